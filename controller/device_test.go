package controller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

func TestValidDevice(t *testing.T) {
	for _, s := range []string{
		"a", "0", "device-1", "A1:B2:C3", "a b", "a+b/c=", "%41", "NULL", "Undefined", "null ?", "undefined1", "门神", "é", "e\u0301", "１２３", "😀",
		strings.Repeat("x", 128), strings.Repeat("门", 42) + "xx",
	} {
		if deviceProblem(s) != "" {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{
		"", " ", "undefined", "null", " a", "a ", "\u3000a", "a\u3000", "\u00a0a", "a\u2003", "a\n", "\ta", "a\tb", "a\x00b", "\x00", "a\x7f", "a\u0085b",
		"\xff", "a\xc0\x80", "\xed\xa0\x80", "a\u200b", "\ufeffa", "a\u202eb", "a\u2028b", "\ue000",
		strings.Repeat("x", 129), strings.Repeat("门", 43),
	} {
		if deviceProblem(s) == "" {
			t.Errorf("%q is accepted", s)
		}
	}
}

// deviceOrProblem sends a request through a router with the settings of router.go
// and returns the device number or the problem.
func deviceOrProblem(t *testing.T, target string, headers ...string) string {
	t.Helper()
	var device string
	var err error
	called := false
	handler := func(c *gin.Context) { called = true; device, err = deviceFromCheck(c) }
	engine := gin.New()
	engine.UseEscapedPath, engine.UnescapePathValues = true, false
	engine.GET("/check", handler)
	engine.GET("/check/:deviceNumber", handler)
	request := httptest.NewRequest(http.MethodGet, "/check", nil)
	parsed, parseErr := url.ParseRequestURI(target)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	request.URL = parsed
	request.Header[headerDevice] = headers
	engine.ServeHTTP(httptest.NewRecorder(), request)
	if !called {
		t.Fatalf("%s: no route", target)
	}
	if err == nil {
		return device
	}
	if device != "" {
		t.Errorf("%s: device %q beside an error", target, device)
	}
	return "! " + strings.Join(problems(t, err), ", ")
}

func TestDeviceFromCheck(t *testing.T) {
	const problem = "! deviceNumber "
	for _, row := range []struct {
		target  string
		headers []string
		want    string
	}{
		{"/check?deviceNumber=d-1", nil, "d-1"},
		{"/check/d-1", nil, "d-1"},
		{"/check", []string{"d-1"}, "d-1"},
		{"/check/d-1?deviceNumber=d-1", []string{"d-1"}, "d-1"},
		{"/check?wait=25&deviceNumber=d-1&&", nil, "d-1"},
		{"/check?device%4eumber=d-1", nil, "d-1"},
		{"/check?deviceNumber=a+b", nil, "a b"},
		{"/check?deviceNumber=a%2Bb%26c%3D%25", nil, "a+b&c=%"},
		{"/check/a+b", nil, "a+b"},
		{"/check/a%2Bb", nil, "a+b"},
		{"/check/a%2Fb", nil, "a/b"},
		{"/check/a%20b", nil, "a b"},
		{"/check/%2541", nil, "%41"},
		{"/check/%E9%97%A8%E7%A5%9E?deviceNumber=%E9%97%A8%E7%A5%9E", []string{"门神"}, "门神"},
		{"/check/a+b?deviceNumber=a%2Bb", []string{"a+b"}, "a+b"},
		{"/check?deviceNumber=NULL", nil, "NULL"},
		{"/check?DeviceNumber=x&deviceNumber=d", nil, "d"},

		{"/check", nil, problem + "required"},
		{"/check?DeviceNumber=d", nil, problem + "required"},
		{"/check?deviceNumber=", nil, problem + "required"},
		{"/check?deviceNumber", nil, problem + "required"},
		{"/check", []string{""}, problem + "required"},
		{"/check?deviceNumber=a&deviceNumber=b", nil, problem + "duplicate"},
		{"/check?deviceNumber=a&deviceNumber=a", nil, problem + "duplicate"},
		{"/check?deviceNumber=&deviceNumber=a", nil, problem + "duplicate"},
		{"/check?deviceNumber=a&device%4Eumber=a", nil, problem + "duplicate"},
		{"/check", []string{"a", "a"}, problem + "duplicate"},
		{"/check?deviceNumber=a", []string{"a", "b"}, problem + "duplicate"},
		{"/check?deviceNumber=a", []string{"b"}, problem + "conflict"},
		{"/check?deviceNumber=a", []string{"A"}, problem + "conflict"},
		{"/check?deviceNumber=a", []string{""}, problem + "conflict"},
		{"/check/a?deviceNumber=b", nil, problem + "conflict"},
		{"/check/a", []string{"b"}, problem + "conflict"},
		{"/check/a+b?deviceNumber=a+b", nil, problem + "conflict"},
		{"/check?deviceNumber=%C3%A9", []string{"e\u0301"}, problem + "conflict"},
		{"/check?deviceNumber=%zz", nil, problem + "format"},
		{"/check?deviceNumber=a%", nil, problem + "format"},
		{"/check?deviceNumber=a;b", nil, problem + "format"},
		{"/check?deviceNumber=a&x=%zz", nil, problem + "format"},
		{"/check?%zz=1&deviceNumber=a", nil, problem + "format"},
		{"/check?a=1;deviceNumber=b&deviceNumber=c", nil, problem + "format"},
		{"/check?deviceNumber=undefined", nil, problem + "format"},
		{"/check/null", nil, problem + "format"},
		{"/check?deviceNumber=+a", nil, problem + "charset"},
		{"/check/a%20", nil, problem + "charset"},
		{"/check?deviceNumber=a%00", nil, problem + "charset"},
		{"/check?deviceNumber=%FF", nil, problem + "charset"},
		{"/check/a%0Ab", nil, problem + "charset"},
		{"/check?deviceNumber=" + strings.Repeat("x", 129), nil, problem + "length"},
	} {
		if got := deviceOrProblem(t, row.target, row.headers...); got != row.want {
			t.Errorf("%s %q: %q, want %q", row.target, row.headers, got, row.want)
		}
	}
}

func TestQueryValue(t *testing.T) {
	for query, want := range map[string]string{
		"wait=25": "25 true", "": " false", "wait=": " true", "deviceNumber=x": " false", "deviceNumber=a&deviceNumber=b&wait=1": "1 true",
	} {
		c := &gin.Context{Request: httptest.NewRequest(http.MethodGet, "/?"+query, nil)}
		value, given, err := queryValue(c, "wait")
		if got := value + map[bool]string{true: " true", false: " false"}[given]; got != want || err != nil {
			t.Errorf("%s: %q, error %v", query, got, err)
		}
	}
}

// TestQueryTime: a blank before the offset is a plus, which a query writes as a blank.
func TestQueryTime(t *testing.T) {
	want := model.TimeOf(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	for text, good := range map[string]bool{
		"2026-11-23T00:00:00Z": true, "2026-11-23T08:00:00%2B08:00": true, "2026-11-23T08:00:00+08:00": true, "2026-11-23T08:00:00%2008:00": true, "2026-11-22T20:00:00-04:00": true,
		"2026-11-23T08:00:00.000+08:00": true, "2026-11-23T00:00:00+00:00": true, "2026-11-23t00:00:00z": true,
		"2026-11-23T08:00:00++08:00": false, "2026-11-23+00:00:00Z": false, "2026-11-23T08:00:00+0800": false, "+2026-11-23T00:00:00Z": false, "2026-11-23T00:00:00Z+": false, "2026-11-23+00:00": false, "+08:00": false,
	} {
		q := query{c: &gin.Context{Request: httptest.NewRequest(http.MethodGet, "/?from="+text, nil)}}
		if got := q.time("from"); good && (got != want || q.err != nil) || !good && q.err == nil {
			t.Errorf("%s: %s, error %v", text, got, q.err)
		}
	}
	for _, text := range []string{"1970-01-01T00:00:00Z", "1969-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		q := query{c: &gin.Context{Request: httptest.NewRequest(http.MethodGet, "/?from="+text, nil)}}
		if got := q.time("from"); got != 1 || q.err != nil {
			t.Errorf("%s: %d, error %v", text, got, q.err)
		}
	}
}

func TestDeviceFromLogin(t *testing.T) {
	for _, row := range []struct {
		body    string
		headers []string
		want    string
		problem []string
	}{
		{`{}`, nil, "", nil},
		{`{"deviceNumber":"d-1"}`, nil, "d-1", nil},
		{`{}`, []string{"d-1"}, "d-1", nil},
		{`{"deviceNumber":"d-1"}`, []string{"d-1"}, "d-1", nil},
		{`{"deviceNumber":"门神"}`, []string{"门神"}, "门神", nil},
		{`{"deviceNumber":"d-1"}`, []string{"d-2"}, "", []string{"deviceNumber conflict"}},
		{`{"deviceNumber":"d-1"}`, []string{""}, "", []string{"deviceNumber conflict"}},
		{`{"deviceNumber":""}`, nil, "", []string{"deviceNumber length"}},
		{`{}`, []string{""}, "", []string{"deviceNumber length"}},
		{`{}`, []string{"a", "a"}, "", []string{"deviceNumber duplicate"}},
		{`{"deviceNumber":null}`, nil, "", []string{"deviceNumber type"}},
		{`{"deviceNumber":1}`, []string{"1"}, "1", []string{"deviceNumber type"}},
		{`{"deviceNumber":"a\u0000"}`, nil, "", []string{"deviceNumber charset"}},
		{`{"deviceNumber":" a"}`, nil, "", []string{"deviceNumber charset"}},
		{`{"deviceNumber":"undefined"}`, nil, "", []string{"deviceNumber format"}},
		{`{}`, []string{"null"}, "", []string{"deviceNumber format"}},
		{`{}`, []string{"\xff"}, "", []string{"deviceNumber charset"}},
		{`{"deviceNumber":"` + strings.Repeat("x", 129) + `"}`, nil, "", []string{"deviceNumber length"}},
		{`{"deviceNumber":"` + strings.Repeat("门", 43) + `"}`, nil, "", []string{"deviceNumber length"}},
	} {
		c := jsonRequest(row.body, false)
		c.Request.Header[headerDevice] = row.headers
		body := mustRead(t, row.body)
		if got := deviceFromLogin(c, body); got != row.want {
			t.Errorf("%s %q: %q", row.body, row.headers, got)
		}
		checkProblems(t, row.body, body.Err(), row.problem...)
	}
}

func TestDeviceName(t *testing.T) {
	const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
	for _, row := range []struct{ name, userAgent, want string }{
		{"Li's phone", phone, "Li's phone"},
		{" a\tb ", "", "a b"},
		{"%E6%88%91%E7%9A%84%E6%89%8B%E6%9C%BA", "", "我的手机"},
		{"我的手机", "", "我的手机"},
		{"100% mine", "", "100% mine"},
		{"%FF%FE", "", "%FF%FE"}, // not UTF-8 when decoded: left encoded
		{"caf\xe9", "", "caf"},
		{"a%00b%0Ac%1B[31m", "", "ab c[31m"},
		{"a%E2%80%AEb", "", "ab"},
		{"👨‍👩‍👧", "", "👨‍👩‍👧"},
		{strings.Repeat("x", 65), "", strings.Repeat("x", 64)},
		{strings.Repeat("%E9%97%A8", 100), "", strings.Repeat("门", 64)},
		{strings.Repeat("x", 63) + "  yz", "", strings.Repeat("x", 63)},
		{"%00%E2%80%8D%20", phone, "iPhone"},
		{"%E3%85%A4", phone, "iPhone"}, // Hangul filler
		{"%E2%A0%80 %E2%A0%80", phone, "iPhone"},
		{"", "\u2800", ""},
		{"", phone, "iPhone"},
		{"", "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)", "iPad"},
		{"", "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36", "Android"},
		{"", "Dalvik/2.1.0 (Linux; U; Android 11; M2012K11AC)", "Android"},
		{"", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Windows"},
		{"", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "Mac"},
		{"", "Mozilla/5.0 (X11; Linux x86_64)", "Linux"},
		{"", phone + " Mobile/15E148 MicroMessenger/8.0.44", "WeChat"},
		{"", "Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1", "HarmonyOS"},
		{"", "okhttp/4.12.0", "okhttp"},
		{"", "MyApp/7 CFNetwork/1410 Darwin/22", "MyApp"},
		{"", "curl", "curl"},
		{"", strings.Repeat("y", 99), strings.Repeat("y", 64)},
		{"", " ", ""},
		{"", "", ""},
	} {
		c := jsonRequest("", false)
		c.Request.Header.Set(headerDeviceName, row.name)
		c.Request.Header.Set("User-Agent", row.userAgent)
		if got := deviceName(c); got != row.want {
			t.Errorf("%q %q: %q, want %q", row.name, row.userAgent, got, row.want)
		}
	}
}

// FuzzDevice: an accepted device number is one that the client gave, and a label can
// always be shown.
func FuzzDevice(f *testing.F) {
	for _, seed := range [][2]string{
		{"deviceNumber=d-1", "d-1"}, {"deviceNumber=a%2Bb", "a+b"}, {"deviceNumber=%zz", ""}, {"a=1;deviceNumber=b", "b"},
		{"deviceNumber=a&deviceNumber=a", "a"}, {"deviceNumber=%FF", "\xff"}, {"", "%E9%97%A8"}, {"deviceNumber=null", "null"}, {"&&=", "a\u202e\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, header string) {
		c := &gin.Context{Request: &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}}}
		if device, err := deviceFromCheck(c); err == nil {
			values, err := url.ParseQuery(query)
			if got := values[fieldDevice]; err != nil || len(got) != 1 || got[0] != device || deviceProblem(device) != "" {
				t.Fatalf("%q: %q, net/url %q, error %v", query, device, got, err)
			}
		} else if !errors.Is(err, model.ErrMalformed) {
			t.Fatalf("%q: error %v", query, err)
		}
		c.Request.URL.RawQuery = ""
		c.Request.Header[headerDevice] = []string{header}
		if device, err := deviceFromCheck(c); (err == nil) != (deviceProblem(header) == "") || (err == nil && device != header) {
			t.Fatalf("%q: %q, error %v", header, device, err)
		}
		c.Request.Header[headerDeviceName] = []string{header}
		c.Request.Header["User-Agent"] = []string{query}
		name := deviceName(c)
		if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxLabel || name != label(name) || name != strings.TrimSpace(name) {
			t.Fatalf("%q %q: %q", header, query, name)
		}
	})
}
