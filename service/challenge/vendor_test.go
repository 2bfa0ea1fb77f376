package challenge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"menshen/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = model.Secret("0x4hush-secret")
	testToken  = model.Secret("token-hush")
	testID     = "id-of-site"
)

var client = model.Asker{Number: []byte("number"), IP: "192.0.2.1", At: 1_700_000_000_000}

type outcome int

const (
	passed outcome = iota
	failed
	unknown
)

// verifier is what all vendors have in common.
type verifier interface {
	Verify(ctx context.Context, answer model.Secret, asker model.Asker) error
}

// kind is one of the vendors with an answer of the form that it takes, and what its
// servers say.
type kind struct {
	name    string
	at      func(address string) (verifier, *vendor, error)
	answer  model.Secret
	yes, no string
	most    int // characters of an answer
}

const (
	geetestToken = `{"lot_number":"lot-hush","captcha_output":"out-hush","pass_token":"pass-hush","gen_time":"1700000000"}`
	tencentToken = `{"ticket":"ticket-hush","randstr":"@hush"}`
)

func testNow() time.Time { return time.Unix(1_700_000_000, 0) }

var vendors = map[string]kind{
	"turnstile": {"turnstile", func(address string) (verifier, *vendor, error) {
		v, err := NewTurnstile(address, testSecret)
		return v, &v.vendor, err
	}, testToken, `{"success":true}`, `{"success":false,"error-codes":["invalid-input-response"]}`, 2048},
	"hcaptcha": {"hcaptcha", func(address string) (verifier, *vendor, error) {
		v, err := NewHCaptcha(address, testSecret, "site-key")
		return v, &v.vendor, err
	}, testToken, `{"success":true}`, `{"success":false,"error-codes":["already-seen-response"]}`, maxToken},
	"recaptcha": {"recaptcha", func(address string) (verifier, *vendor, error) {
		v, err := NewReCAPTCHA(address, testSecret)
		return v, &v.vendor, err
	}, testToken, `{"success":true}`, `{"success":false,"error-codes":["timeout-or-duplicate"]}`, maxToken},
	"geetest": {"geetest", func(address string) (verifier, *vendor, error) {
		v, err := NewGeeTest(address, testID, testSecret)
		return v, &v.vendor, err
	}, geetestToken, `{"status":"success","result":"success","reason":"","captcha_args":{}}`, `{"status":"success","result":"fail","reason":"pass_token expire"}`, maxToken},
	"aliyun": {"aliyun", func(address string) (verifier, *vendor, error) {
		v, err := NewAliyun(address, AliyunKeys{AccessKeyID: "LTAI", AccessKeySecret: testSecret, SceneID: testID}, testNow)
		return v, &v.vendor, err
	}, testToken, `{"Code":"Success","Success":true,"Result":{"VerifyResult":true,"VerifyCode":"T001"}}`,
		`{"Code":"Success","Success":true,"Result":{"VerifyResult":false,"VerifyCode":"F008"}}`, maxToken},
	"tencent": {"tencent", func(address string) (verifier, *vendor, error) {
		v, err := NewTencent(address, TencentKeys{SecretID: "AKID", SecretKey: testSecret, AppID: "199999164", AppSecretKey: "app-hush"}, testNow)
		return v, &v.vendor, err
	}, tencentToken, `{"Response":{"CaptchaCode":1,"CaptchaMsg":"OK","EvilLevel":0,"RequestId":"x"}}`,
		`{"Response":{"CaptchaCode":9,"CaptchaMsg":"ticket reused","RequestId":"x"}}`, maxToken},
}

// verify asks a server for a verdict and compares what is made of it.
func (k kind) verify(t *testing.T, address string, answer model.Secret, want outcome) error {
	t.Helper()
	asked, v, err := k.at(address)
	if err != nil {
		t.Fatal(err)
	}
	defer v.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = asked.Verify(ctx, answer, client)
	got := unknown
	switch {
	case err == nil:
		got = passed
	case errors.Is(err, model.ErrChallengeFailed):
		got = failed
	}
	if got != want {
		t.Errorf("outcome %d, want %d (error: %v)", got, want, err)
	}
	if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "127.0.0.1") || len(err.Error()) > 200 || !strings.HasPrefix(err.Error(), k.name+": ")) {
		t.Errorf("the error shows too much: %v", err)
	}
	return err
}

// verdictRow is a response and what it means.
type verdictRow struct {
	name   string
	status int
	body   string
	want   outcome
}

func (row verdictRow) judge(t *testing.T, k kind) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(row.status)
		_, _ = w.Write([]byte(row.body))
	}))
	defer server.Close()
	_ = k.verify(t, server.URL+"/?key=hush", k.answer, row.want)
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// TestVendorVerdicts: what is no verdict of any vendor.
func TestVendorVerdicts(t *testing.T) {
	for name, k := range vendors {
		rows := []verdictRow{
			{"yes", 200, k.yes, passed},
			{"no", 200, k.no, failed},
			{"a fault that says yes", 500, k.yes, unknown},
			{"a refusal that says yes", 403, k.yes, unknown},
			{"throttled", 429, k.no, unknown},
			{"garbage", 200, `<html>hush</html>`, unknown},
			{"nothing", 200, ``, unknown},
			{"null", 200, `null`, unknown},
			{"an empty object", 200, `{}`, unknown},
			{"more than one value", 200, k.yes + k.yes, unknown},
			{"cut off by its length", 200, `{"x":"` + strings.Repeat("x", maxAnswer) + `",` + k.yes[1:], unknown},
			{"redirect", 302, k.yes, unknown},
			{"redirect that keeps the method", 307, k.yes, unknown},
		}
		for _, row := range rows {
			t.Run(name+", "+row.name, func(t *testing.T) { row.judge(t, k) })
		}
	}
}

// TestVendorsAreNotAskedInVain: no answer of a form that the vendor cannot have made is a
// fault, or a request.
func TestVendorsAreNotAskedInVain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer server.Close()
	for _, k := range vendors {
		_ = k.verify(t, server.URL, "", failed)
		_ = k.verify(t, server.URL, model.Secret(strings.Repeat("x", k.most+1)), failed)
	}
	for _, answer := range []model.Secret{
		"x", "null", "{}", "[]", `{"lot_number":1}`, geetestToken + "x",
		model.Secret(strings.Replace(geetestToken, `"1700000000"`, `"17 "`, 1)), model.Secret(strings.Replace(geetestToken, `"1700000000"`, `-1`, 1)),
		model.Secret(strings.Replace(geetestToken, `"1700000000"`, `1e9`, 1)), model.Secret(strings.Replace(geetestToken, "lot-hush", "", 1)),
		model.Secret(strings.Replace(geetestToken, "out-hush", "", 1)), model.Secret(strings.Replace(geetestToken, "pass-hush", "", 1)),
		model.Secret(strings.Replace(geetestToken, "lot-hush", strings.Repeat("x", maxToken), 1)),
	} {
		_ = vendors["geetest"].verify(t, server.URL, answer, failed)
	}
	for _, answer := range []model.Secret{"x", "null", "{}", `{"ticket":"x"}`, `{"randstr":"x"}`, `{"ticket":1,"randstr":"x"}`, tencentToken + "}"} {
		_ = vendors["tencent"].verify(t, server.URL, answer, failed)
	}
}

func TestVendorsHang(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			_, _ = w.Write([]byte(`{"success":true`))
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	for name, k := range vendors {
		for _, path := range []string{"/", "/half"} {
			asked, v, err := k.at(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err = asked.Verify(ctx, k.answer, client)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, model.ErrChallengeFailed) {
				t.Errorf("%s%s: error %v", name, path, err)
			}
			v.transport.CloseIdleConnections()
		}
	}
}

func TestVendorsAway(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	for _, k := range vendors {
		_ = k.verify(t, server.URL, k.answer, unknown) // broken off
	}
	server.Close()
	for _, k := range vendors {
		_ = k.verify(t, server.URL, k.answer, unknown) // refused
	}
}

func TestNewVendorRefuses(t *testing.T) {
	for name, k := range vendors {
		for _, address := range []string{"", "/siteverify", "ftp://hush.example", "https://\x00"} {
			if _, _, err := k.at(address); err == nil || strings.Contains(err.Error(), "hush") || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s at %q: error %v", name, address, err)
			}
		}
	}
	keys := AliyunKeys{AccessKeyID: "x", AccessKeySecret: testSecret}
	_, turnstile := NewTurnstile("https://a.example", "")
	_, geetest := NewGeeTest("https://a.example", "x", "")
	_, aliyun := NewAliyun("https://a.example", keys, testNow)
	_, tencent := NewTencent("https://a.example", TencentKeys{SecretID: "x", SecretKey: testSecret, AppID: "one", AppSecretKey: "x"}, testNow)
	for _, err := range []error{turnstile, geetest, aliyun, tencent} {
		if err == nil {
			t.Error("one was made without what it needs")
		}
	}
}

// TestVendorConnections: each verification gets a connection of its own, so that a
// vendor that closes an earlier one costs none.
func TestVendorConnections(t *testing.T) {
	for _, k := range vendors {
		var calls atomic.Int32
		var addresses sync.Map
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			if _, known := addresses.LoadOrStore(r.RemoteAddr, true); known {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, k.yes)
		}))
		asked, v, err := k.at(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := asked.Verify(t.Context(), k.answer, client); err != nil {
				t.Error(err)
			}
		}
		if calls.Load() != 5 {
			t.Errorf("%s: %d calls", k.name, calls.Load())
		}
		v.transport.CloseIdleConnections()
		server.Close()
	}
}

// TestVendorsMisbehave: whatever a vendor answers, the error comes in time, is short and
// quotes nothing.
func TestVendorsMisbehave(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, k := range vendors {
		for name, row := range map[string]struct {
			head, more string // more is repeated until the client leaves
			echo       bool   // after the head
			want       outcome
		}{
			"10 MB of body":          {head: ok + "\r\n", more: "{", want: unknown},
			"10 MB after a verdict":  {head: ok + "\r\n" + k.yes, more: " ", want: passed},
			"10 MB of header":        {head: ok, more: "X: y\r\n", want: unknown},
			"10 MB of status":        {head: ok[:12], more: "x", want: unknown},
			"10 MB of informational": {more: "HTTP/1.1 103 X\r\n\r\n", want: unknown},
			"echo without HTTP":      {echo: true, want: unknown},
			"echo as status":         {head: "HTTP/1.1 ", echo: true, want: unknown},
			"echo as reason":         {head: "HTTP/1.1 502 ", echo: true, want: unknown},
			"echo as body":           {head: ok + "\r\n", echo: true, want: unknown},
			"echo as redirect":       {head: "HTTP/1.1 307 X\r\nLocation: ", echo: true, want: unknown},
			"upgrade":                {head: "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", more: "x", want: unknown},
			"another type":           {head: ok + "Content-Type: text/html\r\n\r\n" + k.yes, want: passed},
			"a page":                 {head: ok + "Content-Type: text/html\r\n\r\n<html>hush</html>", want: unknown},
		} {
			t.Run(k.name+", "+name, func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						return
					}
					defer func() { _ = conn.Close() }()
					_, err = io.WriteString(conn, row.head)
					if row.echo {
						_, err = fmt.Fprintf(conn, "%s %s\r\n\r\n", body, testSecret)
					}
					for more := strings.Repeat(row.more, 1024); err == nil && more != ""; {
						_, err = io.WriteString(conn, more)
					}
				}))
				defer server.Close()
				_ = k.verify(t, server.URL, k.answer, row.want)
			})
		}
	}
}
