package scenario

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"menshen/model"
	"menshen/repository"
)

// testRoutes: every path with every method, and unknown paths.
func testRoutes(t *testing.T, d *deployment) {
	for path, item := range mustDocument(t).Paths.Map() {
		served := slices.Sorted(maps.Keys(item.Operations()))
		if slices.Contains(served, http.MethodGet) { // HEAD is that of GET: see TestHead
			served = append(served, http.MethodHead)
			slices.Sort(served)
		}
		path = strings.NewReplacer("{deviceNumber}", "x", "{id}", "x").Replace(path)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			if slices.Contains(served, method) {
				continue
			}
			t.Run(method+path, func(t *testing.T) {
				c := call{method: method, path: path, code: 40500, want: "null"}
				if method == http.MethodHead {
					c.code, c.want = 0, "" // has no body to read it from
				}
				a := d.do(t, c)
				if a.status != http.StatusMethodNotAllowed {
					t.Errorf("the status is %d", a.status)
				}
				allowed := strings.Split(a.header.Get("Allow"), ", ")
				slices.Sort(allowed)
				if !slices.Equal(allowed, served) {
					t.Errorf("Allow is %q, want %v", a.header.Get("Allow"), served)
				}
			})
		}
		for _, none := range []string{path + "/", "/" + path, path + "/x/y", strings.ToUpper(path), path + "%20", path + "."} {
			if strings.HasSuffix(path, "/x") && !strings.Contains(none, "/x/") && none != "/"+path && none != strings.ToUpper(path) {
				continue // another value of the parameter
			}
			t.Run("none"+none, func(t *testing.T) {
				for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
					d.do(t, call{method: method, path: none, code: 40400, want: "null", header: map[string]string{"Location": ""}})
				}
			})
		}
	}
	for _, path := range []string{
		"//", "/auth", "/auth/mobile", "/auth/mobile/logins", "/auth/mobile/./login", "/auth/x/../mobile/login", "/auth%2Fmobile%2Flogin", "/auth/mobile/log%69n", "/app/auth/sessions//",
		"/admin/users", "/internal/revocations", "/metrics", "/debug/pprof/", "/.well-known/openid-configuration", "/.env", "/config.yaml", "/swagger/x", "/swagger//", "/swagger/index.html/", "/swagger/../config.yaml",
		"/favicon.ico", "/wx/pc/check-login-status/", "/" + strings.Repeat("x", 2000), "/%E9%97%A8", "/%00", "/a%0d%0aSet-Cookie:%20b",
	} {
		t.Run(fmt.Sprintf("%.40s", path), func(t *testing.T) {
			d.do(t, call{path: path, code: 40400, want: "null", header: map[string]string{"Location": "", "Set-Cookie": ""}})
		})
	}
	t.Run("queries", func(t *testing.T) {
		as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
		const secret = "query-value-7f3a91c2"
		d.secrets.add(kindQuery, secret)
		d.secrets.add(kindQuery, "path-value-7f3a91c2")
		d.do(t, call{path: "/none?token=" + secret, code: 40400})
		d.do(t, call{path: "/path-value-7f3a91c2", code: 40400})
		d.do(t, call{path: checkPath("x") + "&token=" + secret, as: as, want: `{"isLogin":true}`})
		d.do(t, call{path: checkPath("x") + "%00" + secret, as: as, code: 40000, not: []string{secret}})
		d.do(t, call{path: "/app/auth/sessions?ended=" + secret, as: as, code: 40000, not: []string{secret}})
		d.do(t, call{method: http.MethodDelete, path: "/app/auth/sessions/" + secret, as: as, code: 40400})
		d.do(t, call{path: "/auth/mobile/code", body: `{"companyType":0,"productType":0,"mobile":"` + secret + `","purpose":"` + secret + `"}`, code: 40000, not: []string{secret}})
		d.do(t, call{path: "/none\u0085\u2028?" + secret, code: 40400})
	})
	t.Run("health of the admin listener", func(t *testing.T) {
		for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/auth/mobile/login": 404, "/app/auth/user": 404, "/swagger/index.html": 404, "/.well-known/jwks.json": 404} {
			response, err := d.client.Get(d.admin + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != status || response.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s answers %d with %v", path, response.StatusCode, response.Header)
			}
		}
	})
}

// TestRequestIDsOfProxies: a trusted proxy chooses the id of a request, in the response, the
// log and the events.
func TestRequestIDsOfProxies(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "SERVER_TRUSTED_PROXIES=127.0.0.1")
	d.start(t)
	as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	for _, given := range []string{"a", "A-b_c.9", strings.Repeat("x", 64)} {
		for _, row := range []call{{path: "/app/auth/user", as: as}, {path: "/none", code: 40400}, {path: "/healthz"}, {path: "/app/auth/user", code: 40100}} {
			row.headers, row.header = headersOf("X-Request-Id", given, "X-Forwarded-For", "198.51.100.7"), map[string]string{"X-Request-Id": given}
			d.do(t, row)
		}
	}
	since := len(d.log.text())
	d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: as, headers: headersOf("X-Request-Id", "id-of-a-logout")})
	d.log.await(t, since, `"requestId":"id-of-a-logout"`)
	if got := d.value(t, "SELECT request_id FROM events WHERE kind = 'logout'"); got != "id-of-a-logout" || strings.Contains(d.log.text(), "clientRequestId") {
		t.Errorf("the event has the id %s", got)
	}
}

// testHeaders: the headers of every answer, and the language of its sentence.
func testHeaders(t *testing.T, d *deployment) {
	as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	t.Run("request id", func(t *testing.T) {
		seen := map[string]bool{}
		for _, given := range []string{"a", "A-b_c.9", strings.Repeat("x", 64)} {
			for _, row := range []call{{path: "/app/auth/user", as: as}, {path: "/none", code: 40400}, {path: "/healthz"}, {path: "/app/auth/user", code: 40100}} {
				row.headers = headersOf("X-Request-Id", given)
				if id := d.do(t, row).header.Get("X-Request-Id"); id == given || seen[id] { // this peer is no trusted proxy
					t.Errorf("%q: X-Request-Id is %q", given, id)
				}
			}
		}
		for _, given := range [][]string{nil, {""}, {" "}, {"a b"}, {strings.Repeat("x", 65)}, {"<script>"}, {"a\tb"}, {"请求"}, {"a", "b"}, {"a%0d%0a"}, {"{\"a\":1}"}} {
			a := d.do(t, call{path: "/app/auth/user", as: as, headers: http.Header{"X-Request-Id": given}})
			id := a.header.Get("X-Request-Id")
			if slices.Contains(given, id) || seen[id] {
				t.Errorf("%q: X-Request-Id is %q", given, id)
			}
			seen[id] = true
		}
	})
	t.Run("request id in the log", func(t *testing.T) {
		since := len(d.log.text())
		d.do(t, call{path: "/app/auth/user", as: as, headers: headersOf("X-Request-Id", "id-to-find-in-the-log")})
		d.log.await(t, since, `"clientRequestId":"id-to-find-in-the-log"`)
		line, _, _ := strings.Cut(d.log.text()[since:], `"id-to-find-in-the-log"`)
		line = line[strings.LastIndex(line, "\n")+1:]
		if !regexp.MustCompile(`"requestId":"[A-Z2-7]{26}","method":"GET","route":"/app/auth/user","status":200,"code":0,"durationMs":[0-9.]+,"ip":"127.0.0.1","clientRequestId":$`).MatchString(line) {
			t.Errorf("the line is %s", line)
		}
	})
	t.Run("language", func(t *testing.T) {
		for accept, zh := range map[string]bool{
			"": true, "zh": true, "zh-CN": true, "zh-TW": true, "zh-Hans-CN, en;q=0.5": true, "ZH-cn": true, "en;q=0.1, zh": true, "zh;q=0.9, fr": true,
			"en": false, "en-US": false, "en-GB,en;q=0.9": false, "EN": false, "fr, en;q=0.5": false, "en, zh;q=0.9": false, "zh;q=0.2, en;q=0.8": false, "de;q=0.9, en;q=0.8, zh;q=0.1": false,
			"fr": true, "fr-FR, de": true, "*": true, "garbage": true, ";;;": true, "q=1": true, "\x80": true, strings.Repeat("en,", 400): true, strings.Repeat("x-", 100): true,
		} {
			for _, row := range []call{
				{path: "/none", code: 40400},
				{method: http.MethodPut, path: "/app/auth/user", code: 40500},
				{path: "/app/auth/user", code: 40100},
				{path: "/auth/mobile/code", body: "{}", code: 40000},
				{path: "/app/auth/user", as: as},
			} {
				row.headers = headersOf("Accept-Language", accept)
				a := d.do(t, row)
				if want := sentences(row.code); a.msg != want[zh] {
					t.Errorf("%q: %d says %q, want %q", accept, row.code, a.msg, want[zh])
				}
			}
		}
		d.do(t, call{path: "/none", code: 40400, headers: http.Header{"Accept-Language": {"en", "zh"}}})
	})
	t.Run("challenge", func(t *testing.T) {
		d.runCalls(t,
			call{name: "none", path: "/app/auth/user", code: 40100, header: map[string]string{"WWW-Authenticate": "Bearer"}},
			call{name: "bad", path: "/app/auth/user", as: "bad", code: 40100, header: map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}},
		)
	})
	t.Run("nothing is told of the program", func(t *testing.T) {
		a := d.do(t, call{path: "/none", code: 40400})
		for _, name := range []string{"Server", "X-Powered-By", "Set-Cookie", "Access-Control-Allow-Origin"} {
			if a.header.Get(name) != "" {
				t.Errorf("%s is %q", name, a.header.Get(name))
			}
		}
	})
	t.Run("addresses that nobody vouches for", func(t *testing.T) {
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip"} {
			value := "203.0.113.7"
			if name == "Forwarded" {
				value = "for=203.0.113.7"
			}
			a := d.login(t, form{Mobile: d.number()}, name, value)
			d.do(t, call{path: "/app/auth/sessions", as: a.AccessToken.Value, want: `[{"ip":"127.0.0.1"}]`})
		}
	})
}

var ascii = regexp.MustCompile(`^[\x20-\x7e]+$`)

// sentences returns the sentence of a code in Chinese (true) and in English
// (false).
func sentences(code int32) map[bool]string {
	for _, f := range model.Failures() {
		if f.Code == code {
			return map[bool]string{true: f.Zh, false: f.En}
		}
	}
	return map[bool]string{true: "成功", false: "OK"}
}

func TestEnglishSentencesAreASCII(t *testing.T) {
	for _, f := range model.Failures() {
		if !ascii.MatchString(f.En) || ascii.MatchString(f.Zh) || f.Zh == "" {
			t.Errorf("%d says %q and %q", f.Code, f.Zh, f.En)
		}
	}
}

// testOrigins: pages of the listed origins may send requests and read failures.
func testOrigins(t *testing.T, d *deployment) {
	as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	listed := []string{"https://app.example.com", "http://localhost:5173"}
	exposed := []string{"Retry-After", "X-Code-Ticket", "X-Device-Credential", "X-Displaced", "X-Login-State", "X-Request-Id"}
	rows := []call{
		{path: "/app/auth/user", as: as},
		{path: "/app/auth/user", code: 40100},
		{path: "/none", code: 40400},
		{method: http.MethodPatch, path: "/auth/mobile/login", code: 40500},
		{method: http.MethodPut, path: "/auth/mobile/login", code: 40500},
		{path: "/auth/mobile/code", body: "{", code: 40000},
		{path: "/auth/mobile/code", body: strings.Repeat(" ", 17<<10), code: 41300},
		{path: "/healthz"},
	}
	for _, origin := range listed {
		for _, row := range rows {
			row.headers = headersOf("Origin", origin)
			a := d.do(t, row)
			names := strings.Split(a.header.Get("Access-Control-Expose-Headers"), ", ")
			slices.Sort(names)
			if a.header.Get("Access-Control-Allow-Origin") != origin || !slices.Equal(names, exposed) || !strings.Contains(a.header.Get("Vary"), "Origin") {
				t.Errorf("%s from %s: %v", row.path, origin, a.header)
			}
			if a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		}
	}
	unlisted := []string{"https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.example", "https://APP.example.com.", "null", "https://xapp.example.com", "*"}
	for _, origin := range unlisted {
		for _, row := range rows {
			row.headers = headersOf("Origin", origin)
			if a := d.do(t, row); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %s: %v", row.path, origin, a.header)
			}
		}
	}
	preflight := func(origin, method, path string, headers ...string) *http.Response {
		return d.preflight(t, origin, method, path, headers...)
	}
	testPreflightHeaders(t, d, listed[0], unlisted)
	for path, item := range mustDocument(t).Paths.Map() {
		for method := range item.Operations() {
			path := strings.NewReplacer("{deviceNumber}", "x", "{id}", "x").Replace(path)
			response := preflight(listed[0], method, path, "accept-language,authorization,content-type,x-device-name,x-device-number,x-request-id")
			h := response.Header
			if response.StatusCode/100 != 2 || h.Get("Access-Control-Allow-Origin") != listed[0] || !strings.Contains(h.Get("Access-Control-Allow-Methods"), method) || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization") {
				t.Errorf("the preflight of %s %s answers %d with %v", method, path, response.StatusCode, h)
			}
			if h.Get("X-Request-Id") == "" {
				t.Errorf("the preflight of %s %s has no X-Request-Id", method, path)
			}
			if response := preflight(unlisted[0], method, path, "authorization"); response.Header.Get("Access-Control-Allow-Origin") != "" || response.Header.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("the preflight of %s %s allows %s: %v", method, path, unlisted[0], response.Header)
			}
		}
	}
}

func (d *deployment) preflight(t *testing.T, origin, method, path string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, d.public+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = headersOf("Origin", origin, "Access-Control-Request-Method", method)
	request.Header["Access-Control-Request-Headers"] = headers
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

// allowedHeaders are the request headers of contract §9.
var allowedHeaders = []string{
	"Accept-Language", "Authorization", "Cache-Control", "Content-Type", "Last-Event-ID", "X-Code-Ticket", "X-Device-Credential", "X-Device-Name",
	"X-Device-Number", "X-Request-Id", "X-Requested-With", "traceparent", "tracestate",
}

// testPreflightHeaders: a preflight may name the allowed headers in any order, in any
// case, repeatedly, with blanks and over several lines, and no other header.
func testPreflightHeaders(t *testing.T, d *deployment, origin string, unlisted []string) {
	reversed := slices.Clone(allowedHeaders)
	slices.Reverse(reversed)
	rows := map[string][]string{
		"no header": nil, "an empty one": {""}, "commas alone": {" , ,"}, "as documented": {strings.Join(allowedHeaders, ",")}, "reversed": {strings.Join(reversed, ", ")},
		"capitals": {strings.ToUpper(strings.Join(reversed, ","))}, "small": {strings.ToLower(strings.Join(allowedHeaders, ","))}, "repeated": {strings.Join(append(reversed, allowedHeaders...), ",")},
		"blanks": {"  " + strings.Join(reversed, " \t ,\t  ") + "  "}, "empty members": {",," + strings.Join(reversed, ",,,") + strings.Repeat(",", 99)}, "a header each": reversed, "two in capitals": {"X-DEVICE-NUMBER, AUTHORIZATION", "Content-Type"},
	}
	for _, name := range allowedHeaders {
		rows[name] = []string{name}
	}
	for name, headers := range rows {
		for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE"} {
			h := d.preflight(t, origin, method, "/app/auth/user", headers...)
			allowed := strings.ToLower("," + strings.ReplaceAll(h.Header.Get("Access-Control-Allow-Headers"), " ", "") + ",")
			if h.StatusCode/100 != 2 || h.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(h.Header.Get("Access-Control-Allow-Methods"), method) {
				t.Errorf("%s: %s answers %d with %v", name, method, h.StatusCode, h.Header)
			}
			for asked := range strings.SplitSeq(strings.ToLower(strings.Join(headers, ",")), ",") {
				if asked = strings.Trim(asked, " \t"); asked != "" && !strings.Contains(allowed, ","+asked+",") {
					t.Errorf("%s: %s is not in %s", name, asked, allowed)
				}
			}
		}
		for _, foreign := range unlisted {
			if h := d.preflight(t, foreign, "POST", "/app/auth/user", headers...).Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Headers") != "" {
				t.Errorf("%s: %s gets %v", name, foreign, h)
			}
		}
	}
	for _, headers := range [][]string{
		{"X-Evil"}, {"authorization,x-evil"}, {"X-Device-Number", "Cookie"}, {"authorization;content-type"}, {"authorization content-type"}, {"*"}, {"x-device-numbe"}, {"X-Forwarded-For"}, {"\u00a0authorization"}, {"authorization\u017f"},
	} {
		if h := d.preflight(t, origin, "POST", "/app/auth/user", headers...); h.StatusCode/100 != 2 || h.Header.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%q: %d with %v", headers, h.StatusCode, h.Header)
		}
	}
}

// testKeys: the public halves of the keys and nothing else.
func testKeys(t *testing.T, d *deployment) {
	a := d.do(t, call{path: "/.well-known/jwks.json"})
	set, _ := decodeJSON(t, a.raw).(map[string]any)
	keys, _ := set["keys"].([]any)
	kids := d.keyFiles(t)
	if len(keys) != 1 || len(kids) != 1 {
		t.Fatalf("the keys are %s, the files %v", a.raw, kids)
	}
	key, _ := keys[0].(map[string]any)
	if key["kid"] != kids[0] || key["alg"] != "ES256" || key["use"] != "sig" || key["kty"] != "EC" || key["d"] != nil || key["k"] != nil {
		t.Errorf("the key is %v", key)
	}
	tag := a.header.Get("ETag")
	if a.header.Get("Cache-Control") != "public, max-age=300" || len(tag) != 45 || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("the headers are %v", a.header)
	}
	for given, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, `"x"`: 200, "": 200} {
		again := d.do(t, call{path: "/.well-known/jwks.json", headers: headersOf("If-None-Match", given), header: map[string]string{"ETag": tag, "Cache-Control": "public, max-age=300"}})
		if again.status != status || (len(again.raw) == 0) != (status == 304) {
			t.Errorf("with If-None-Match %s: %d %s", given, again.status, again.raw)
		}
	}
	if header, _ := parseJWT(t, d.login(t, form{Mobile: d.number()}).AccessToken.Value); header["kid"] != kids[0] {
		t.Errorf("the token's key is %v", header["kid"])
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := d.do(t, call{path: path}); a.status != http.StatusOK || string(a.raw) != `{"status":"ok"}` {
			t.Errorf("%s answers %d %s", path, a.status, a.raw)
		}
	}
}

// testDocuments: the page and the document, as a browser gets them.
func testDocuments(t *testing.T, d *deployment) {
	for path, kind := range map[string]string{
		"/swagger/index.html": "text/html; charset=utf-8", "/swagger/doc.json": "application/json; charset=utf-8",
		"/swagger/swagger-ui-bundle.js": "text/javascript; charset=utf-8", "/swagger/swagger-ui.css": "text/css; charset=utf-8",
	} {
		if a := d.do(t, call{path: path}); a.status != http.StatusOK || a.header.Get("Content-Type") != kind || len(a.raw) == 0 {
			t.Errorf("%s answers %d, %v, %d bytes", path, a.status, a.header, len(a.raw))
		}
	}
	doc := decodeJSON(t, d.do(t, call{path: "/swagger/doc.json"}).raw).(map[string]any)
	paths, _ := doc["paths"].(map[string]any)
	schemas, _ := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for _, path := range []string{"/auth/mobile/login", "/app/auth/token/refresh", "/wx/pc/check-login-status"} {
		if paths[path] == nil {
			t.Errorf("%s is not in the document", path)
		}
	}
	for _, name := range []string{"MobileLoginReq", "MobileLoginResp", "CheckLoginStatusResp", "AccessToken", "RefreshToken", "UserInfo"} {
		if schemas[name] == nil {
			t.Errorf("%s is not in the document", name)
		}
	}
	if version := doc["info"].(map[string]any)["version"]; version != "dev" {
		t.Errorf("the document's version is %v", version)
	}
}

// testExamples sends every example of a request in the document: each is valid by
// shape and type.
func testExamples(t *testing.T, d *deployment) {
	sent := 0
	for path, item := range mustDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil || strings.HasPrefix(path, hooks) {
				continue
			}
			content := operation.RequestBody.Value.Content["application/json"]
			if content == nil {
				continue
			}
			for name, example := range content.Examples {
				t.Run(operation.OperationID+" "+name, func(t *testing.T) {
					row := call{method: method, path: path, body: jsonOf(t, example.Value.Value)}
					if operation.Security != nil {
						row.as = d.login(t, form{Mobile: d.number()}).AccessToken.Value
					}
					if a := d.send(t, row.request(t, d.public)); refusals[a.code] {
						t.Errorf("the answer is %s", a.raw)
					}
				})
				sent++
			}
		}
	}
	if sent < 7 {
		t.Errorf("only %d examples were sent", sent)
	}
}
