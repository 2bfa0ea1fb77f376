package middleware

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"menshen/model"
)

func TestBearerToken(t *testing.T) {
	for value, want := range map[string]string{
		"Bearer abc":                          "abc",
		"bearer abc":                          "abc",
		"BEARER abc":                          "abc",
		"Bearer  abc":                         "abc", // 1*SP, RFC 6750 §2.1
		"Bearer eyJ.eyJ.s-_~+/==":             "eyJ.eyJ.s-_~+/==",
		"Bearer " + strings.Repeat("x", 4096): strings.Repeat("x", 4096),
	} {
		got, err := BearerToken(http.Header{"Authorization": {value}})
		if err != nil || string(got) != want {
			t.Errorf("%.40q: %q, error %v", value, string(got), err)
		}
	}
	for _, values := range [][]string{
		nil, {}, {""}, {"Bearer"}, {"Bearer "}, {"Bearer  "}, {"abc"}, {"Basic abc"}, {"BearerX abc"}, {"Bearerabc"}, {"Bearer\tabc"}, {" Bearer abc"},
		{"Bearer abc "}, {"Bearer abc def"}, {"Bearer abc,def"}, {"Bearer abc, Bearer abc"}, {"Bearer \tabc"}, {"Bearer abc\t"}, {"Bearer abc\n"},
		{"Bearer =abc"}, {"Bearer ="}, {"Bearer a=b"}, {"Bearer \"abc\""}, {"Bearer a\x00"}, {"Bearer é"}, {"Bearer ａ"}, {"Bearer a%20b"}, {"Bearer a:b"},
		{"Bearer abc", "Bearer abc"}, {"Bearer abc", "Basic abc"}, {"Bearer abc", ""}, {"Bearer " + strings.Repeat("x", 4097)}, {"Bearer " + strings.Repeat(".", 1<<16)},
	} {
		got, err := BearerToken(http.Header{"Authorization": values})
		if !errors.Is(err, model.ErrToken) || got != "" {
			t.Errorf("%.40q: %q, error %v", values, string(got), err)
		}
	}
	if _, err := BearerToken(http.Header{"Cookie": {"token=abc"}, "Proxy-Authorization": {"Bearer abc"}}); !errors.Is(err, model.ErrToken) {
		t.Errorf("error %v", err)
	}
}

var credentials = regexp.MustCompile(`\A(?i:bearer) +([A-Za-z0-9._~+/-]+=*)\z`)

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b.c==", "Bearer", "Basic abc", "Bearer a b", "Bearer =", "\u212aearer a", "Bearer a\n", " Bearer a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := BearerToken(http.Header{"Authorization": {value}})
		match := credentials.FindStringSubmatch(value)
		if match != nil && len(match[1]) > maxToken {
			match = nil
		}
		if match == nil {
			if !errors.Is(err, model.ErrToken) || got != "" {
				t.Fatalf("%q: %q, error %v", value, string(got), err)
			}
			return
		}
		if err != nil || string(got) != match[1] {
			t.Fatalf("%q: %q, error %v", value, string(got), err)
		}
		if _, err := BearerToken(http.Header{"Authorization": {value, value}}); !errors.Is(err, model.ErrToken) {
			t.Fatalf("%q twice: error %v", value, err)
		}
	})
}

// FuzzBasic: only the id and the secret of one client pass, plain or percent-encoded
// (RFC 6749 §2.3.1, RFC 7617 §2).
func FuzzBasic(f *testing.F) {
	const id, secret = "back end", "0123456789+abcdefghijk lmnopqrstu"
	clients := Clients{}
	clients.Add(id, secret)
	clients.Add("other", "another secret that is long enough")
	for _, seed := range []string{
		id + ":" + secret, "back+end:0123456789%2Babcdefghijk+lmnopqrstu", id + ":", ":", "", id, "other:" + secret, id + ":" + secret + ":", id + ":" + secret + "\x00", "%zz:%",
	} {
		f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte(seed)))
	}
	for _, seed := range []string{"Basic", "basic  YTpi", "Bearer abc", "Basic YTpi, Basic YTpi", "Basic YTpi\n", "Basic YTp="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		passes := clients.authenticate(&http.Request{Header: http.Header{"Authorization": {value}}})
		want := false
		if len(value) > 6 && strings.EqualFold(value[:6], "Basic ") {
			if plain, err := base64.StdEncoding.DecodeString(value[6:]); err == nil {
				given, password, _ := strings.Cut(string(plain), ":")
				plainID, err1 := url.QueryUnescape(given)
				plainSecret, err2 := url.QueryUnescape(password)
				want = given == id && password == secret || err1 == nil && err2 == nil && plainID == id && plainSecret == secret
			}
		}
		if passes != want {
			t.Errorf("%q passes: %v", value, passes)
		}
		if clients.authenticate(&http.Request{Header: http.Header{"Authorization": {value, value}}}) {
			t.Errorf("%q twice passes", value)
		}
	})
}
