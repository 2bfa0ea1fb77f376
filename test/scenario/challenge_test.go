package scenario

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

// challengers are GeeTest and hCaptcha. Each takes the lot_number or token "good".
type challengers struct{ geetestAway, hcaptchaAway atomic.Bool }

func (c *challengers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	geetest := r.URL.Path == "/validate"
	switch {
	case geetest && c.geetestAway.Load() || !geetest && c.hcaptchaAway.Load():
		panic(http.ErrAbortHandler)
	case geetest && r.PostFormValue("lot_number") == "good":
		_, _ = io.WriteString(w, `{"status":"success","result":"success","reason":""}`)
	case geetest:
		_, _ = io.WriteString(w, `{"status":"success","result":"fail","reason":"pass_token expire"}`)
	default:
		_, _ = fmt.Fprintf(w, `{"success":%t,"error-codes":["invalid-input-response"]}`, r.PostFormValue("response") == "good")
	}
}

// challenged is the data of a refusal that a challenge lifts.
type challenged struct {
	Challenge struct {
		Provider, SiteKey string
		Params            json.RawMessage
		Alternatives      []struct {
			Provider, SiteKey string
			Params            json.RawMessage
		}
	}
}

// params returns those of the provider.
func (c challenged) params(provider string) json.RawMessage {
	if c.Challenge.Provider == provider {
		return c.Challenge.Params
	}
	for _, other := range c.Challenge.Alternatives {
		if other.Provider == provider {
			return other.Params
		}
	}
	return nil
}

// solvePuzzle is what ALTCHA's widget does (https://altcha.org/docs/v2/proof-of-work-captcha).
func solvePuzzle(t *testing.T, params json.RawMessage) string {
	t.Helper()
	var challenge struct {
		Parameters struct {
			Cost, KeyLength        int
			KeyPrefix, Nonce, Salt string
		}
	}
	if err := json.Unmarshal(params, &challenge); err != nil {
		t.Fatal(err)
	}
	p := challenge.Parameters
	nonce, _ := hex.DecodeString(p.Nonce)
	salt, _ := hex.DecodeString(p.Salt)
	for counter := uint32(0); ; counter++ {
		key, err := pbkdf2.Key(sha256.New, string(binary.BigEndian.AppendUint32(slices.Clone(nonce), counter)), salt, p.Cost, p.KeyLength)
		if err != nil {
			t.Fatal(err)
		}
		if found := hex.EncodeToString(key); strings.HasPrefix(found, p.KeyPrefix) {
			return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"challenge":%s,"solution":{"counter":%d,"derivedKey":"%s","time":1}}`, params, counter, found))
		}
	}
}

// TestChallenges: several providers, in order of preference, and the last of them needs
// no vendor (contract §12).
func TestChallenges(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			vendors := &challengers{}
			server := httptest.NewServer(vendors)
			t.Cleanup(server.Close)
			d := newDeployment(t, driver, "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=6", "CHALLENGE_GEETEST_SITE_KEY=captcha-id",
				"CHALLENGE_GEETEST_CAPTCHA_KEY=captcha-secret", "CHALLENGE_GEETEST_URL="+server.URL+"/validate",
				"CHALLENGE_HCAPTCHA_SITE_KEY=h-site", "CHALLENGE_HCAPTCHA_SECRET=hcaptcha-secret", "CHALLENGE_HCAPTCHA_URL="+server.URL+"/siteverify")
			d.start(t)
			d.wantNoWidget(t)
			d.configure(t, "challenge: {providers: [geetest, hcaptcha, pow]}")
			eventually(t, 5*time.Second, "the widget is served", func() bool { return d.widgetStatus(t) == http.StatusOK })
			mobile := d.number()
			for range 6 {
				d.codeAndTicket(t, mobile, "login")
			}
			body := func(answer, provider string) string {
				more, _ := json.Marshal(map[string]string{"challenge": answer, "challengeProvider": provider})
				return strings.TrimSuffix(codeBody(mobile), "}") + "," + string(more[1:])
			}
			refused := func(code int32, body, first, others string) (c challenged) {
				t.Helper()
				a := d.do(t, call{path: "/auth/mobile/code", body: body, code: code})
				if err := json.Unmarshal(a.data, &c); err != nil {
					t.Fatal(err)
				}
				var alternatives []string
				for _, other := range c.Challenge.Alternatives {
					alternatives = append(alternatives, other.Provider+":"+other.SiteKey)
				}
				if got := strings.Join(alternatives, " "); c.Challenge.Provider+":"+c.Challenge.SiteKey != first || got != others {
					t.Errorf("offered are %s:%s and %s, want %s and %s", c.Challenge.Provider, c.Challenge.SiteKey, got, first, others)
				}
				return c
			}
			const geetest, hcaptcha, pow = "geetest:captcha-id", "hcaptcha:h-site", "pow:"
			first := refused(42902, codeBody(mobile), geetest, hcaptcha+" "+pow)
			if string(first.Challenge.Params) != "{}" {
				t.Errorf("params %s", first.Challenge.Params)
			}
			for _, unknown := range []string{"turnstile", "GeeTest", ""} {
				d.do(t, call{path: "/auth/mobile/code", body: body("good", unknown), code: 40000, fields: []string{"challengeProvider unknown"}})
			}
			refused(42902, body("good", "geetest"), geetest, hcaptcha+" "+pow) // not of its form
			refused(42902, body("bad", "hcaptcha"), hcaptcha, geetest+" "+pow)
			refused(42902, body("good", "pow"), pow, geetest+" "+hcaptcha)
			vendors.geetestAway.Store(true)
			four := `{"lot_number":"good","captcha_output":"o","pass_token":"p","gen_time":"1700000000"}`
			refused(42900, body(four, "geetest"), hcaptcha, pow)
			vendors.hcaptchaAway.Store(true)
			offer := refused(42900, body("good", "hcaptcha"), pow, "")
			solved := solvePuzzle(t, offer.params("pow"))
			d.do(t, call{path: "/auth/mobile/code", body: body(solved, "pow")})
			refused(42902, body(solved, "pow"), pow, geetest+" "+hcaptcha)
			vendors.geetestAway.Store(false)
			d.do(t, call{path: "/auth/mobile/code", body: strings.TrimSuffix(codeBody(mobile), "}") + fmt.Sprintf(`,"challenge":%q}`, four)})
			vendors.hcaptchaAway.Store(false)
			d.do(t, call{path: "/auth/mobile/code", body: body("good", "hcaptcha")})
			d.do(t, call{path: "/auth/mobile/code", body: body("good", "hcaptcha"), code: 42902, want: "null"}) // half of six
			d.configure(t, "challenge: {providers: []}")
			eventually(t, 5*time.Second, "the widget is gone", func() bool { return d.widgetStatus(t) == http.StatusNotFound })
			d.wantNoWidget(t)
		})
	}
}

func (d *deployment) wantNoWidget(t *testing.T) {
	t.Helper()
	d.do(t, call{path: "/challenge/pow.js", code: 40400, want: "null"})
}

func (d *deployment) widgetStatus(t *testing.T) int {
	t.Helper()
	response, err := d.client.Get(d.public + "/challenge/pow.js") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
