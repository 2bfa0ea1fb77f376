package challenge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"menshen/model"
)

// TestSiteverifyVerdicts: what the three vendors document, and what they do not.
func TestSiteverifyVerdicts(t *testing.T) {
	shared := []verdictRow{
		{"wrong", 200, `{"success":false,"error-codes":["invalid-input-response"]}`, failed},
		{"missing, in the vendor's eyes", 200, `{"success":false,"error-codes":["missing-input-response"]}`, failed},
		{"wrong with status 400", 400, `{"success":false,"error-codes":["invalid-input-response"]}`, failed},
		{"no without a reason", 200, `{"success":false,"error-codes":[]}`, failed},
		{"our secret is wrong", 200, `{"success":false,"error-codes":["invalid-input-secret"]}`, unknown},
		{"our secret is wrong and so is the token", 200, `{"success":false,"error-codes":["invalid-input-response","invalid-input-secret"]}`, unknown},
		{"our request is bad", 400, `{"success":false,"error-codes":["bad-request"]}`, unknown},
		{"the vendor is ill", 200, `{"success":false,"error-codes":["internal-error"]}`, unknown},
		{"a reason that echoes", 200, `{"success":false,"error-codes":["` + strings.Repeat("x", 5000) + `"]}`, unknown},
		{"a refusal that says success", 400, `{"success":true}`, unknown},
		{"success as a word", 200, `{"success":"true"}`, unknown},
		{"success as a number", 200, `{"success":1}`, unknown},
		{"throttled", 429, `{"success":false,"error-codes":[]}`, unknown},
	}
	of := map[string][]verdictRow{
		"turnstile": {
			{"success", 200, `{"success":true,"challenge_ts":"2026-01-02T03:04:05Z","hostname":"a.example","error-codes":[],"action":"","cdata":""}`, passed},
			{"spent", 200, `{"success":false,"error-codes":["timeout-or-duplicate"],"messages":[]}`, failed},
		},
		"hcaptcha": {
			{"success", 200, `{"success":true,"challenge_ts":"2026-01-02T03:04:05.000000Z","hostname":"a.example","credit":true}`, passed},
			{"spent", 200, `{"success":false,"error-codes":["already-seen-response"]}`, failed},
			{"spent, by its former name", 200, `{"success":false,"error-codes":["invalid-or-already-seen-response"]}`, failed},
			{"too old", 200, `{"success":false,"error-codes":["expired-input-response"]}`, failed},
			{"another widget's", 200, `{"success":false,"error-codes":["sitekey-secret-mismatch"]}`, failed},
		},
		"recaptcha": {
			{"success of version 2", 200, `{"success":true,"challenge_ts":"2026-01-02T03:04:05Z","hostname":"a.example"}`, passed},
			{"success of version 3", 200, `{"success":true,"score":0.9,"action":"send","challenge_ts":"2026-01-02T03:04:05Z","hostname":"a.example"}`, passed},
			{"a program's score", 200, `{"success":true,"score":0.1,"action":"send"}`, failed},
			{"the least score", 200, `{"success":true,"score":0.5}`, passed},
			{"spent", 200, `{"success":false,"error-codes":["timeout-or-duplicate"]}`, failed},
			{"the client's browser", 200, `{"success":false,"error-codes":["browser-error"]}`, failed},
		},
	}
	for name, rows := range of {
		for _, row := range append(rows, shared...) {
			t.Run(name+", "+row.name, func(t *testing.T) { row.judge(t, vendors[name]) })
		}
	}
}

// TestTurnstileElsewhere: a right answer counts only if the widget was on a page of ours
// and of our action.
func TestTurnstileElsewhere(t *testing.T) {
	for _, row := range []struct {
		name      string
		hostnames []string
		action    string
		answer    string
		want      bool
	}{
		{"any", nil, "", `"hostname":"evil.example","action":"x"`, true},
		{"ours", []string{"a.example", "b.example"}, "", `"hostname":"b.example","action":"x"`, true},
		{"ours in capitals", []string{"b.example"}, "", `"hostname":"B.Example"`, true},
		{"foreign", []string{"a.example", "b.example"}, "", `"hostname":"evil.example"`, false},
		{"below ours", []string{"a.example"}, "", `"hostname":"x.a.example"`, false},
		{"not told", []string{"a.example"}, "", `"hostname":""`, false},
		{"missing", []string{"a.example"}, "", `"action":"x"`, false},
		{"null", []string{"a.example"}, "", `"hostname":null`, false},
		{"our action", nil, "send-code", `"hostname":"evil.example","action":"send-code"`, true},
		{"another action", nil, "send-code", `"action":"Send-Code"`, false},
		{"no action", nil, "send-code", `"action":""`, false},
		{"our host, another action", []string{"a.example"}, "send-code", `"hostname":"a.example","action":"login"`, false},
		{"both", []string{"a.example"}, "send-code", `"hostname":"a.example","action":"send-code"`, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"success":true,`+row.answer+`}`)
			}))
			defer server.Close()
			turnstile, err := NewTurnstile(server.URL, testSecret)
			if err != nil {
				t.Fatal(err)
			}
			defer turnstile.transport.CloseIdleConnections()
			turnstile.Hostnames, turnstile.Action = row.hostnames, row.action
			err = turnstile.Verify(t.Context(), testToken, client)
			if row.want != (err == nil) || err != nil && (!errors.Is(err, model.ErrChallengeFailed) || strings.Contains(err.Error(), "example")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTurnstileEchoes: what the vendor was sent does not come back in an error,
// whole or in pieces; its own codes do.
func TestTurnstileEchoes(t *testing.T) {
	for _, echo := range []func(form url.Values) string{
		func(form url.Values) string { return form.Get("secret") },
		func(form url.Values) string { return form.Get("remoteip") },
		func(form url.Values) string { return form.Get("response") + "\n" + form.Get("remoteip") },
		func(form url.Values) string { return "bad-request " + form.Get("secret") },
		func(url.Values) string { return "bad-request\n" },
		func(url.Values) string { return strings.Repeat("x", 65) },
		func(url.Values) string { return "" },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "error-codes": []string{echo(r.PostForm)}})
		}))
		err := vendors["turnstile"].verify(t, server.URL, testToken, unknown)
		server.Close()
		if err == nil || err.Error() != "turnstile: refused: a code of an unknown form" {
			t.Errorf("error %v", err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":false,"error-codes":["invalid-input-secret"]}`))
	}))
	defer server.Close()
	if err := vendors["turnstile"].verify(t, server.URL, testToken, unknown); err == nil || err.Error() != "turnstile: refused: invalid-input-secret" {
		t.Errorf("error %v", err)
	}
}

func TestSiteverifyRequest(t *testing.T) {
	for _, name := range []string{"turnstile", "hcaptcha", "recaptcha"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.String() != "/siteverify?a=1" {
				t.Errorf("%s %s, error %v", r.Method, r.URL, err)
			}
			want := url.Values{"secret": {string(testSecret)}, "response": {"a&b=c +\n"}, "remoteip": {client.IP}}
			if name == "hcaptcha" {
				want.Set("sitekey", "site-key")
			}
			if got := r.PostForm; got.Encode() != want.Encode() {
				t.Errorf("form %v, want %v", got, want)
			}
			_, _ = w.Write([]byte(`{"success":true}`))
		}))
		_ = vendors[name].verify(t, server.URL+"/siteverify?a=1", "a&b=c +\n", passed)
		server.Close()
	}
}
