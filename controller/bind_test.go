package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// post is the context of a request with a JSON body; chunked hides its length.
func post(body string, chunked bool) *gin.Context {
	c := &gin.Context{Request: httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))}
	c.Request.Header.Set("Content-Type", "application/json")
	if chunked {
		c.Request.ContentLength = -1
	}
	return c
}

// problems are the fields and reasons of a model.ErrMalformed.
func problems(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if !errors.Is(err, model.ErrMalformed) {
		t.Fatalf("error %v", err)
	}
	text, err := json.Marshal(model.AsFailure(err).Data())
	if err != nil {
		t.Fatal(err)
	}
	var data struct{ Fields []model.FieldProblem }
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, problem := range data.Fields {
		list = append(list, problem.Field+" "+problem.Reason)
	}
	return list
}

func checkProblems(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	if got := problems(t, err); !slices.Equal(got, want) {
		t.Errorf("%.80q: problems %q, want %q", what, got, want)
	}
}

func mustRead(t *testing.T, body string) *object {
	t.Helper()
	o, err := readObject(post(body, false))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return o
}

func TestReadObjectMediaType(t *testing.T) {
	type headers = map[string][]string
	for _, row := range []struct {
		headers headers
		good    bool
	}{
		{headers{"Content-Type": {"application/json"}}, true},
		{headers{"Content-Type": {"application/json;charset=utf-8"}}, true},
		{headers{"Content-Type": {"Application/JSON; Charset=\"UTF-8\""}}, true},
		{headers{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, true},
		{headers{"Content-Type": {"application/json"}, "Content-Encoding": {"Identity"}}, true},
		{headers{}, false},
		{headers{"Content-Type": {""}}, false},
		{headers{"Content-Type": {"application/json", "application/json"}}, false},
		{headers{"Content-Type": {"application/json", "text/plain"}}, false},
		{headers{"Content-Type": {"application/json, text/plain"}}, false},
		{headers{"Content-Type": {"application/json; charset=gbk"}}, false},
		{headers{"Content-Type": {"application/json; charset="}}, false},
		{headers{"Content-Type": {"application/json; charset=utf-8; v=1"}}, false},
		{headers{"Content-Type": {"application/json; v=1"}}, false},
		{headers{"Content-Type": {"application/json charset=utf-8"}}, false},
		{headers{"Content-Type": {"application/jsonp"}}, false},
		{headers{"Content-Type": {"application/problem+json"}}, false},
		{headers{"Content-Type": {"text/json"}}, false},
		{headers{"Content-Type": {"text/plain"}}, false},
		{headers{"Content-Type": {"application/x-www-form-urlencoded"}}, false},
		{headers{"Content-Type": {"multipart/form-data; boundary=x"}}, false},
		{headers{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, false},
		{headers{"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "br"}}, false},
	} {
		for _, read := range []func(*gin.Context) (*object, error){readObject, readOptionalObject} {
			c := post("{}", false)
			c.Request.Header = row.headers
			_, err := read(c)
			if row.good && err != nil || !row.good && !errors.Is(err, model.ErrMediaType) {
				t.Errorf("%v: error %v", row.headers, err)
			}
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }

func TestReadObjectSize(t *testing.T) {
	fits := `{"a":"` + strings.Repeat("x", maxBody-8) + `"}`
	for _, chunked := range []bool{false, true} {
		o, err := readObject(post(fits, chunked))
		if err != nil || len(o.String("a", maxBody)) != maxBody-8 {
			t.Errorf("chunked %t: 16 KiB: error %v", chunked, err)
		}
		for _, body := range []string{fits + " ", strings.Repeat("x", 1<<20)} {
			if _, err := readObject(post(body, chunked)); !errors.Is(err, model.ErrTooLarge) {
				t.Errorf("chunked %t: %d bytes: error %v", chunked, len(body), err)
			}
		}
	}
	c := post("", false)
	c.Request.Body, c.Request.ContentLength = io.NopCloser(unreadable{t}), maxBody+1
	if _, err := readObject(c); !errors.Is(err, model.ErrTooLarge) {
		t.Errorf("announced too much: error %v", err)
	}
	c = post(fits, true)
	c.Request.Body = http.MaxBytesReader(httptest.NewRecorder(), c.Request.Body, 100)
	if _, err := readObject(c); !errors.Is(err, model.ErrTooLarge) {
		t.Errorf("limit of a guard: error %v", err)
	}
	c = post("", true)
	c.Request.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":1}`), brokenReader{}))
	_, err := readObject(c)
	checkProblems(t, "broken off", err, "body format")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReadObjectRefuses(t *testing.T) {
	deep := strings.Repeat("[", 8000) + strings.Repeat("]", 8000)
	for _, body := range []string{
		"", " ", "null", "[]", "1", `"x"`, "true", "{", "}", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a" 1}`,
		`{"a":1}{"b":2}`, `{"a":1} x`, `{}{}`, `{} null`, `{}]`, "{}\x00", "\ufeff{}", "\xef\xbb\xbf{\"a\":1}", "{}\ufeff",
		`{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":undefined}`, `{"a":TRUE}`,
		`{"a":1/*x*/}`, "{\"a\":\"x\ny\"}", "{\"a\":\"x\x00\"}", "{\"a\":\"\xff\"}", "{\"\xff\":1}", "{\"a\":{\"b\":[\"\xc0\x80\"]}}",
		`{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"\ud800":1}`, "{\"a\":\"\xed\xa0\x80\"}", `{"a":"\x41"}`, `{"a":"\u12"}`, `{1:1}`,
		`{"a":[1,}`, `{"a":[1}`, "\v{}", "\u00a0{}", `{"a":1;"b":2}`, `{"a":1 "b":2}`, `{"a":tru}`, `{"a":"x}`,
	} {
		for _, chunked := range []bool{false, true} {
			_, err := readObject(post(body, chunked))
			checkProblems(t, body, err, "body format")
		}
	}
	for _, body := range []string{
		`{"a":1,"a":1}`, `{"a":1,"b":2,"a":3}`, `{"a":1,"\u0061":2}`, `{"mobil\u0065":"1","mobile":"2"}`,
		`{"a":{"b":1,"b":2}}`, `{"a":[{"b":[{"c":1,"c":1}]}]}`, `{"":1,"":2}`,
	} {
		_, err := readObject(post(body, false))
		checkProblems(t, body, err, "body duplicate")
	}
	if _, err := readObject(post(`{"a":`+deep+`}`, false)); err != nil {
		t.Errorf("deep: %v", err)
	}
}

func TestReadOptionalObject(t *testing.T) {
	for _, c := range []*gin.Context{
		{Request: httptest.NewRequest(http.MethodPost, "/", nil)},
		{Request: &http.Request{Method: http.MethodPost, Header: http.Header{}}},
		post("", false), post("", true),
	} {
		c.Request.Header.Del("Content-Type")
		o, err := readOptionalObject(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, given := o.OptionalString("scope", 9); given || o.Err() != nil {
			t.Errorf("given %t, error %v", given, o.Err())
		}
	}
	for _, chunked := range []bool{false, true} {
		o, err := readOptionalObject(post(`{"scope":"all"}`, chunked))
		if err != nil {
			t.Fatal(err)
		}
		if scope, given := o.OptionalString("scope", 9); scope != "all" || !given {
			t.Errorf("scope %q", scope)
		}
		_, err = readOptionalObject(post("null", chunked))
		checkProblems(t, "null", err, "body format")
		c := post("{}", chunked)
		c.Request.Header.Del("Content-Type")
		if _, err := readOptionalObject(c); !errors.Is(err, model.ErrMediaType) {
			t.Errorf("no media type: error %v", err)
		}
		if _, err := readOptionalObject(post(strings.Repeat(" ", maxBody+1), chunked)); !errors.Is(err, model.ErrTooLarge) {
			t.Errorf("too large: error %v", err)
		}
	}
}

func TestObjectInt32(t *testing.T) {
	for text, want := range map[string]int32{
		"0": 0, "-0": 0, "7": 7, "-1": -1, "2147483647": 2147483647, "-2147483648": -2147483648,
	} {
		o := mustRead(t, `{"n": `+text+` }`)
		if got := o.Int32("n"); got != want || o.Err() != nil {
			t.Errorf("%s: %d, error %v", text, got, o.Err())
		}
	}
	for text, want := range map[string]string{
		"null": "n type", `"1"`: "n type", `"0"`: "n type", "true": "n type", "{}": "n type", "[1]": "n type", "1.0": "n type", "1.5": "n type",
		"1e2": "n type", "1E2": "n type", "0e0": "n type", "0.0": "n type", "1e99": "n type",
		"2147483648": "n range", "-2147483649": "n range", "9223372036854775808": "n range", strings.Repeat("9", 400): "n range",
	} {
		o := mustRead(t, `{"n":`+text+`}`)
		if got := o.Int32("n"); got != 0 {
			t.Errorf("%s: %d", text, got)
		}
		checkProblems(t, text, o.Err(), want)
	}
}

func TestObjectStrings(t *testing.T) {
	for text, want := range map[string]string{
		`""`: "", `"a b"`: "a b", `"门神神"`: "门神神", `"\u95e8\u795e"`: "门神", `"\""`: `"`, `"\/\\"`: `/\`, `"\ud83d\ude00"`: "😀", `"\uffff"`: "\uffff",
	} {
		o := mustRead(t, `{"s":`+text+`}`)
		optional, given := o.OptionalString("s", 3)
		if got := o.String("s", 3); got != want || optional != want || !given || o.Verbatim("s", 3) != want || o.Err() != nil {
			t.Errorf("%s: %q, error %v", text, got, o.Err())
		}
	}
	for text, want := range map[string]string{
		"null": "s type", "1": "s type", "false": "s type", "[]": "s type", `{"s":"x"}`: "s type",
		`"abcd"`: "s length", `"门神门神"`: "s length", `"a\u0000"`: "s charset", `"\n"`: "s charset", `"\t"`: "s charset",
		`"\u007f"`: "s charset", `"\u0085"`: "s charset", "\"\x7f\"": "s charset",
	} {
		o := mustRead(t, `{"s":`+text+`}`)
		if got := o.String("s", 3); got != "" {
			t.Errorf("%s: %q", text, got)
		}
		checkProblems(t, text, o.Err(), want)
		o = mustRead(t, `{"s":`+text+`}`)
		if got, given := o.OptionalString("s", 3); got != "" || given {
			t.Errorf("%s: %q", text, got)
		}
		checkProblems(t, text, o.Err(), want)
	}
	o := mustRead(t, `{"code":"123456\n","long":"abcd"}`)
	if got := o.Verbatim("code", 9); got != "123456\n" || o.Err() != nil {
		t.Errorf("%q, error %v", got, o.Err())
	}
	o.Verbatim("long", 3)
	o.Verbatim("none", 3)
	checkProblems(t, "verbatim", o.Err(), "long length", "none required")
}

func TestObjectTellsAllProblems(t *testing.T) {
	o := mustRead(t, `{"Mobile":"1","productType":"0","source":null,"validateNo":123456,"extra":{"mobile":"x"},"companyType":7}`)
	o.Int32("companyType")
	o.String("mobile", 9)
	o.Int32("productType")
	o.String("source", 64)
	o.String("validateNo", 9)
	o.Reject("companyType", model.ReasonUnknown)
	o.Reject("productType", model.ReasonUnknown) // the first problem stays
	checkProblems(t, "login", o.Err(),
		"mobile required", "productType type", "source type", "validateNo type", "companyType unknown")

	o = mustRead(t, ` {"mobil\u0065" : "1" , "a/b":"2","a~b":"3","":"4"} `+"\r\n\t")
	for name, want := range map[string]string{"mobile": "1", "a/b": "2", "a~b": "3", "": "4"} {
		if got := o.String(name, 9); got != want || o.Err() != nil {
			t.Errorf("%q: %q, error %v", name, got, o.Err())
		}
	}
}

// FuzzReadObject: what is accepted here encoding/json accepts too, and reads alike.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{"n":1,"s":"x"}`, `{"n":-0,"s":""}`, `{"n":2147483648}`, `{"n":1e2,"s":null}`, `{"\u006e":7,"\u0073":"\ud83d\ude00"}`,
		`{"s":"\ud800"}`, `{"n":1,"n":2}`, `{"N":1,"S":"x"}`, `{"a":{"n":1,"n":2}}`, "\ufeff{}", `{} x`, `[1]`, `null`, ``, "{\"s\":\"\xff\"}",
		`{"s":"\u2028\/\b"}`, `{"a":[[[]]],"s":"门神"}`, `{"":0}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		o, err := readObject(post(body, false))
		if chunked, err2 := readObject(post(body, true)); (err == nil) != (err2 == nil) || (err == nil && len(chunked.members) != len(o.members)) {
			t.Fatalf("chunked: error %v, else %v", err2, err)
		}
		if err != nil {
			if len(body) <= maxBody {
				problems(t, err)
			}
			return
		}
		var standard map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &standard); err != nil || len(standard) != len(o.members) {
			t.Fatalf("encoding/json: %d members and not %d, error %v", len(standard), len(o.members), err)
		}
		for _, m := range o.members {
			if value, found := standard[string(m.name)]; !found || !bytes.Equal(value, m.value) {
				t.Fatalf("%q is %s, encoding/json reads %s", m.name, m.value, value)
			}
		}
		var n *int32
		wantErr := json.Unmarshal(orNull(standard["n"]), &n)
		if got := o.Int32("n"); (wantErr == nil && n != nil) != (o.Err() == nil) || (o.Err() == nil && got != *n) {
			t.Fatalf("n: %d, error %v; encoding/json: error %v", got, o.Err(), wantErr)
		}
		o.problems = nil
		var s *string
		wantErr = json.Unmarshal(orNull(standard["s"]), &s)
		if got := o.Verbatim("s", maxBody); (wantErr == nil && s != nil) != (o.Err() == nil) || (o.Err() == nil && got != *s) {
			t.Fatalf("s: %q, error %v; encoding/json: error %v", got, o.Err(), wantErr)
		}
	})
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

func BenchmarkReadObject(b *testing.B) {
	body := fmt.Sprintf(`{"companyType":0,"mobile":"13800138000","productType":0,"source":"","validateNo":"123456","deviceNumber":%q}`, "device-1")
	b.ReportAllocs()
	for b.Loop() {
		o, err := readObject(post(body, false))
		if err != nil || o.Int32("companyType") != 0 || o.String("mobile", 64) == "" || o.Err() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseObject(b *testing.B) {
	body := []byte(`{"companyType":0,"mobile":"13800138000","productType":0,"source":"","validateNo":"123456"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseObject(body); err != nil {
			b.Fatal(err)
		}
	}
}
