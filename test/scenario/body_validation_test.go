package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// operation is an operation with a body, for the tables of what a body may be.
type operation struct {
	name, method, path string
	needsToken         bool
	optional           bool           // the body may be left out
	body               map[string]any // fits
	code               int32          // the answer to body
	fields             []field
}

// field is a member of a body.
type field struct {
	name     string
	number   bool // int32, else a string
	required bool
	limit    int   // characters; 0: the contract names no bound
	printed  bool  // control characters are 40000
	judged   int32 // the answer to a string that fits and is not right; 0: that of body
}

// operations returns all operations with a body. Their bodies are valid and change
// nothing.
func operations(mobile string) []operation {
	company, product := field{name: "companyType", number: true, required: true}, field{name: "productType", number: true, required: true}
	number := field{name: "mobile", required: true, judged: 40001}
	return []operation{
		{
			name: "code", method: http.MethodPost, path: "/auth/mobile/code", code: 40001,
			body:   map[string]any{"companyType": 0, "mobile": "none", "productType": 0},
			fields: []field{company, number, product, {name: "purpose", judged: 40000}, {name: "challenge", limit: 8192, printed: true}},
		},
		{
			name: "login", method: http.MethodPost, path: "/auth/mobile/login", code: 40002,
			body: map[string]any{"companyType": 0, "mobile": mobile, "productType": 0, "source": "", "validateNo": "wrong"},
			fields: []field{
				company, number, product, {name: "source", required: true, limit: 64, printed: true}, {name: "validateNo", required: true},
				{name: "deviceNumber", limit: 128, printed: true}, {name: "replaceSession"},
			},
		},
		{
			name: "refresh", method: http.MethodPost, path: "/app/auth/token/refresh", code: 40104,
			body:   map[string]any{"accessToken": "a", "refreshToken": "r"},
			fields: []field{{name: "accessToken", required: true}, {name: "refreshToken", required: true}},
		},
		{
			name: "logout", method: http.MethodPost, path: "/app/auth/logout", needsToken: true, optional: true,
			body: map[string]any{}, fields: []field{{name: "scope", judged: 40000}},
		},
		{
			name: "user", method: http.MethodPatch, path: "/app/auth/user", needsToken: true, body: map[string]any{},
			fields: []field{{name: "nickName", limit: 32, printed: true}, {name: "realName", limit: 64, printed: true}, {name: "avatarUrl", limit: 512, printed: true, judged: 40000}},
		},
		{
			name: "number", method: http.MethodPost, path: "/app/auth/user/mobile", needsToken: true, code: 40002,
			body:   map[string]any{"mobile": mobile, "validateNo": "wrong", "oldValidateNo": "wrong"},
			fields: []field{number, {name: "validateNo", required: true}, {name: "oldValidateNo", required: true}},
		},
		{
			name: "deletion", method: http.MethodDelete, path: "/app/auth/user", needsToken: true, code: 40002,
			body: map[string]any{"validateNo": "wrong"}, fields: []field{{name: "validateNo", required: true}},
		},
	}
}

// testFields sends every member of every body missing, null, of every other type,
// out of range, too long and with characters that are not allowed.
func testFields(t *testing.T, d *deployment) {
	as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	for _, o := range operations(d.number()) {
		t.Run(o.name, func(t *testing.T) {
			if o.name != "logout" { // which would end the session
				d.do(t, o.call(t, as, o.body, o.code))
			}
			all := []string{}
			for _, f := range o.fields {
				t.Run(f.name, func(t *testing.T) { f.runCalls(t, d, o, as) })
				if f.required {
					all = append(all, f.name+" required")
				}
			}
			if len(all) > 0 {
				c := o.call(t, as, map[string]any{}, 40000)
				c.fields = all // all at once
				d.do(t, c)
			}
			// Unknown members are ignored, names are case-sensitive.
			if o.name != "logout" {
				body := maps.Clone(o.body)
				for _, f := range o.fields {
					body[strings.ToUpper(f.name)] = nil
				}
				body[""], body["_"], body["__proto__"] = 1, []any{nil}, map[string]any{"a": nil}
				d.do(t, o.call(t, as, body, o.code))
			}
		})
	}
}

func (o operation) call(t *testing.T, as string, body map[string]any, code int32) call {
	t.Helper()
	return o.raw(as, jsonOf(t, body), code)
}

func (o operation) raw(as, body string, code int32) call {
	c := call{name: o.name, method: o.method, path: o.path, body: body, code: code}
	if o.needsToken {
		c.as = as
	}
	return c
}

// with returns the body with one member replaced.
func (o operation) with(name string, value any) map[string]any {
	body := maps.Clone(o.body)
	body[name] = value
	return body
}

func (f field) runCalls(t *testing.T, d *deployment, o operation, as string) {
	refuse := func(value any, reason string) {
		t.Helper()
		c := o.call(t, as, o.with(f.name, value), 40000)
		c.fields = []string{f.name + " " + reason}
		d.do(t, c)
	}
	if f.required {
		body := maps.Clone(o.body)
		delete(body, f.name)
		c := o.call(t, as, body, 40000)
		c.fields = []string{f.name + " required"}
		d.do(t, c)
	}
	wrong := []any{nil, true, false, []any{}, []any{"0"}, map[string]any{}, map[string]any{"a": 0}}
	if f.number {
		for _, value := range append(wrong, "0", "", "0.0", json.RawMessage("0.5"), json.RawMessage("1e-1"), json.RawMessage("2147483647.0000000001"), json.RawMessage("1e-999999999")) {
			refuse(value, "type")
		}
		for _, value := range []string{"2147483648", "-2147483649", "9223372036854775808", "123456789012345678901234567890", "1e400", "-1e10", "2147483648.0", "1e999999999"} {
			refuse(json.RawMessage(value), "range")
		}
		for _, zero := range []string{"0.0", "-0", "0e0", "0.00E+7", "-0.0e-9"} { // spellings of what o.body has
			d.do(t, o.call(t, as, o.with(f.name, json.RawMessage(zero)), o.code))
		}
		for _, value := range []int{3, 2147483646, -2147483647, -1} { // valid, but not configured
			if f.name == "productType" && value == 3 {
				continue
			}
			refuse(value, "unknown")
		}
		return
	}
	for _, value := range append(wrong, 0, 13800138000, json.RawMessage("1.5")) {
		refuse(value, "type")
	}
	if f.limit > 0 {
		refuse(strings.Repeat("x", f.limit+1), "length")
		if f.name != "deviceNumber" {
			refuse(strings.Repeat("设", f.limit+1), "length")
		}
	}
	if f.printed {
		for _, text := range []string{"a\x00b", "a\nb", "\x1b[31m", "a\u0085b", "a\x7fb"} {
			refuse(text, "charset")
		}
	}
	if f.judged == 40000 {
		refuse("anything", map[bool]string{true: "format", false: "unknown"}[f.name == "avatarUrl"])
		return
	}
	code := o.code
	if f.judged != 0 {
		code = f.judged
	}
	if f.required && f.limit == 0 { // an empty and a long string are well-shaped
		d.do(t, o.call(t, as, o.with(f.name, ""), code))
		d.do(t, o.call(t, as, o.with(f.name, strings.Repeat("长", 2000)), code))
	}
}

// testBodies sends every known kind of malformed JSON.
func testBodies(t *testing.T, d *deployment) {
	as := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	for _, o := range operations(d.number()) {
		t.Run(o.name, func(t *testing.T) {
			good := jsonOf(t, o.body)
			inner := strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}")
			if inner == "" {
				inner = `"a":1`
			}
			for _, body := range []string{
				" ", "null", "true", "0", `"x"`, "[]", "[" + good + "]", "{", "}", good + "}", good + good, good + " " + good, good + "\n{}", good + "x", good + "\x00",
				"\ufeff" + good, "\x00" + good, "{" + inner + ",}", "{," + inner + "}", "{" + inner + ",\"a\"}", "{" + inner + ",\"a\":}", "{'a':1}", "{a:1}",
				"{" + inner + "}//", "{/**/" + inner + "}", "{" + inner + `,"x":NaN}`, "{" + inner + `,"x":Infinity}`, "{" + inner + `,"x":01}`, "{" + inner + `,"x":+1}`, "{" + inner + `,"x":.5}`,
				"{" + inner + ",\"x\":\"\xff\"}", "{" + inner + ",\"\xc3\x28\":1}", "{" + inner + `,"x":"\ud800"}`, "{" + inner + `,"x":"\udc00\ud800"}`, "{" + inner + ",\"x\":\"\xed\xa0\x80\"}",
				"{" + inner + ",\"x\":\"a\nb\"}", "{" + inner + ",\"x\":\"a\x00b\"}", "{" + inner + `,"x":"\x41"}`, "{" + inner + `,"x":"\u00"}`, strings.Repeat("[", 8000), strings.Repeat(`{"a":`, 3000),
				"{" + inner + "," + inner + "}", "{" + inner + `,"x":1,"x":1}`, "{" + inner + `,"x":1,"\u0078":2}`, "{" + inner + `,"x":{"y":1,"y":1}}`, "{" + inner + `,"x":[{"y":1,"y":1}]}`,
				"accessToken=a&refreshToken=b", "<a/>",
			} {
				d.do(t, o.raw(as, body, 40000))
			}
			if !o.optional {
				c := o.raw(as, "", 40000)
				c.method, c.headers = o.method, headersOf("Content-Type", "application/json")
				d.do(t, c)
				c.headers, c.code = nil, 41500
				d.do(t, c)
			}
			o.testTypes(t, d, as, good)
			if o.name != "logout" {
				o.testSizes(t, d, as, good)
			}
		})
	}
}

// testTypes: no media type but application/json is accepted, whatever its parameters.
func (o operation) testTypes(t *testing.T, d *deployment, as, good string) {
	types := map[string][]string{
		"none": nil, "empty": {""}, "text": {"text/plain"}, "form": {"application/x-www-form-urlencoded"}, "multipart": {"multipart/form-data; boundary=a"},
		"text/json": {"text/json"}, "jsonp": {"application/jsonp"}, "json seq": {"application/json-seq"}, "problem": {"application/problem+json"}, "any": {"*/*"},
		"no semicolon": {"application/json charset=utf-8"}, "parameter of another": {"text/plain; application/json"}, "list": {"application/json, text/plain"}, "twice": {"application/json", "application/json"},
	}
	for name, values := range types {
		c := o.raw(as, good, 41500)
		c.name, c.headers, c.want = name, http.Header{"Content-Type": values}, "null"
		d.do(t, c)
	}
	c := o.raw(as, good, 41500)
	c.headers = headersOf("Content-Encoding", "gzip")
	d.do(t, c)
	if o.name == "logout" {
		return
	}
	for _, value := range []string{
		"application/json;charset=utf-8", "application/json;charset=utf8", "Application/JSON", "APPLICATION/JSON;CHARSET=UTF8", "application/json ; charset=\"UTF-8\"",
		"application/json; charset=gbk", "application/json; v=1; a=\"b;c\"", "application/json; charset", "application/json;", "application/json; a=1; a=2",
	} {
		c := o.raw(as, good, o.code)
		c.headers = headersOf("Content-Type", value)
		d.do(t, c)
	}
}

// testSizes: a body of 16 KiB is accepted and one byte more is not, with and
// without Content-Length.
func (o operation) testSizes(t *testing.T, d *deployment, as, good string) {
	const most = 16 << 10
	pad := func(size int) string { return good[:len(good)-1] + strings.Repeat(" ", size-len(good)) + "}" }
	for _, chunked := range []bool{false, true} {
		for size, code := range map[int]int32{most: o.code, most + 1: 41300, 4 * most: 41300} {
			t.Run(fmt.Sprintf("%d bytes, chunked %v", size, chunked), func(t *testing.T) {
				c := o.raw(as, pad(size), code)
				c.chunked = chunked
				d.do(t, c)
			})
		}
	}
	c := o.raw(as, strings.Repeat("{", most+1), 41300) // too large before malformed
	c.chunked = true
	d.do(t, c)
}

// TestEveryBodyHasATable keeps the tables complete: every operation of the
// document with a JSON body, and every member of its schema.
func TestEveryBodyHasATable(t *testing.T) {
	documented := map[string][]string{}
	for path, item := range mustDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil || operation.RequestBody.Value.Content["application/json"] == nil || strings.HasPrefix(path, hooks) {
				continue // receipts are signed or bear a token: TestReceipts
			}
			schema := operation.RequestBody.Value.Content["application/json"].Schema.Value
			documented[method+" "+path] = slices.Sorted(maps.Keys(schema.Properties))
		}
	}
	for _, o := range operations("") {
		names := []string{}
		for _, f := range o.fields {
			names = append(names, f.name)
		}
		slices.Sort(names)
		if want := documented[o.method+" "+o.path]; !slices.Equal(names, want) {
			t.Errorf("%s %s has %v, the document %v", o.method, o.path, names, want)
		}
		delete(documented, o.method+" "+o.path)
	}
	if len(documented) > 0 {
		t.Errorf("without a table: %v", documented)
	}
}
