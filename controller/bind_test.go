package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// jsonRequest is the context of a request with a JSON body; chunked hides its length.
func jsonRequest(body string, chunked bool) *gin.Context {
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
	o, err := readObject(jsonRequest(body, false))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return o
}

func TestMediaTypes(t *testing.T) {
	readers := map[string][]func(*gin.Context) error{
		typeJSON: {
			func(c *gin.Context) error { _, err := readObject(c); return err },
			func(c *gin.Context) error { _, err := readOptionalObject(c); return err },
		},
		typeForm: {func(c *gin.Context) error { _, err := formToken(c); return err }},
	}
	type values = map[string][]string
	rows := map[string]map[bool][]values{} // type, whether it is accepted
	for want := range readers {
		rows[want] = map[bool][]values{}
		for text, good := range map[string]bool{
			"": true, ";charset=utf-8": true, ";charset=utf8": true, "; charset=UTF8": true, "; Charset=\"UTF-8\"": true, " ; charset=utf-8": true, "\t;a=b": true,
			"; charset=gbk": true, "; charset=": true, "; charset": true, ";": true, ";;": true, "; v=1": true, "; charset=utf-8; v=1; q=0.9": true, "; a=1; a=2": true,
			"; boundary=\"a;b, text/plain\"": true, "; odata.metadata=minimal;IEEE754Compatible=false": true, "; =": true, "; \"": true, "; profile=\"https://a.example/x\"": true,
			" charset=utf-8": false, ", text/plain": false, "x": false, "+x": false, "/": false, "\x00": false, ",": false, "; a=b" + strings.Repeat("; c=d", 2000): true,
		} {
			for _, name := range []string{want, strings.ToUpper(want), strings.ToUpper(want[:1]) + want[1:]} {
				rows[want][good] = append(rows[want][good], values{"Content-Type": {name + text}})
			}
		}
		for _, coding := range []string{"", "identity", "Identity"} {
			rows[want][true] = append(rows[want][true], values{"Content-Type": {want}, "Content-Encoding": {coding}})
		}
		rows[want][false] = append(rows[want][false],
			values{}, values{"Content-Type": {""}}, values{"Content-Type": {";charset=utf-8"}}, values{"Content-Type": {want, want}}, values{"Content-Type": {want, "text/plain"}},
			values{"Content-Type": {"x" + want}}, values{"Content-Type": {"text/plain; " + want}}, values{"Content-Type": {"text/plain, " + want}}, values{"Content-Type": {"*/*"}},
			values{"Content-Type": {"text/json"}}, values{"Content-Type": {"application/problem+json"}}, values{"Content-Type": {"application/jſon"}}, values{"Content-Type": {"application / json"}},
			values{"Content-Type": {"text/plain"}}, values{"Content-Type": {"multipart/form-data; boundary=x"}}, values{"Content-Type": {"json"}}, values{"Content-Type": {"application"}},
			values{"Content-Type": {want}, "Content-Encoding": {"gzip"}}, values{"Content-Type": {want}, "Content-Encoding": {"identity", "br"}},
		)
	}
	rows[typeJSON][false] = append(rows[typeJSON][false], values{"Content-Type": {typeForm}})
	rows[typeForm][false] = append(rows[typeForm][false], values{"Content-Type": {typeJSON}})
	for want, byGood := range rows {
		for good, list := range byGood {
			for _, headers := range list {
				for _, read := range readers[want] {
					c := jsonRequest("{}", false)
					c.Request.Header = headers
					err := read(c)
					if good && err != nil || !good && (!errors.Is(err, model.ErrMediaType) || !strings.Contains(err.Error(), want)) {
						t.Errorf("%s: %.80q: error %v", want, headers, err)
					}
				}
			}
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }

func TestReadObjectSize(t *testing.T) {
	fits := `{"a":"` + strings.Repeat("x", maxBody-8) + `"}`
	for _, chunked := range []bool{false, true} {
		o, err := readObject(jsonRequest(fits, chunked))
		if err != nil || len(o.String("a", maxBody)) != maxBody-8 {
			t.Errorf("chunked %t: 16 KiB: error %v", chunked, err)
		}
		for _, body := range []string{fits + " ", strings.Repeat("x", 1<<20)} {
			if _, err := readObject(jsonRequest(body, chunked)); !errors.Is(err, model.ErrTooLarge) {
				t.Errorf("chunked %t: %d bytes: error %v", chunked, len(body), err)
			}
		}
	}
	c := jsonRequest("", false)
	c.Request.Body, c.Request.ContentLength = io.NopCloser(unreadable{t}), maxBody+1
	if _, err := readObject(c); !errors.Is(err, model.ErrTooLarge) {
		t.Errorf("announced too much: error %v", err)
	}
	c = jsonRequest(fits, true)
	c.Request.Body = http.MaxBytesReader(httptest.NewRecorder(), c.Request.Body, 100)
	if _, err := readObject(c); !errors.Is(err, model.ErrTooLarge) {
		t.Errorf("limit of a guard: error %v", err)
	}
	c = jsonRequest("", true)
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
			_, err := readObject(jsonRequest(body, chunked))
			checkProblems(t, body, err, "body format")
		}
	}
	for _, body := range []string{
		`{"a":1,"a":1}`, `{"a":1,"b":2,"a":3}`, `{"a":1,"\u0061":2}`, `{"mobil\u0065":"1","mobile":"2"}`,
		`{"a":{"b":1,"b":2}}`, `{"a":[{"b":[{"c":1,"c":1}]}]}`, `{"":1,"":2}`,
	} {
		_, err := readObject(jsonRequest(body, false))
		checkProblems(t, body, err, "body duplicate")
	}
	if _, err := readObject(jsonRequest(`{"a":`+deep+`}`, false)); err != nil {
		t.Errorf("deep: %v", err)
	}
}

func TestReadOptionalObject(t *testing.T) {
	for _, c := range []*gin.Context{
		{Request: httptest.NewRequest(http.MethodPost, "/", nil)},
		{Request: &http.Request{Method: http.MethodPost, Header: http.Header{}}},
		jsonRequest("", false), jsonRequest("", true),
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
		o, err := readOptionalObject(jsonRequest(`{"scope":"all"}`, chunked))
		if err != nil {
			t.Fatal(err)
		}
		if scope, given := o.OptionalString("scope", 9); scope != "all" || !given {
			t.Errorf("scope %q", scope)
		}
		_, err = readOptionalObject(jsonRequest("null", chunked))
		checkProblems(t, "null", err, "body format")
		c := jsonRequest("{}", chunked)
		c.Request.Header.Del("Content-Type")
		if _, err := readOptionalObject(c); !errors.Is(err, model.ErrMediaType) {
			t.Errorf("no media type: error %v", err)
		}
		if _, err := readOptionalObject(jsonRequest(strings.Repeat(" ", maxBody+1), chunked)); !errors.Is(err, model.ErrTooLarge) {
			t.Errorf("too large: error %v", err)
		}
	}
}

func TestObjectInt32(t *testing.T) {
	for text, want := range map[string]int32{
		"0": 0, "-0": 0, "7": 7, "-1": -1, "10": 10, "2147483647": 2147483647, "-2147483648": -2147483648,
		"0.0": 0, "-0.0": 0, "0e0": 0, "0E+0": 0, "-0e-0": 0, "1e0": 1, "1E0": 1, "1.0": 1, "1.000": 1, "10e-1": 1, "0.1e1": 1, "0.001e3": 1, "-1.0": -1, "-10E-1": -1,
		"1e2": 100, "1E+2": 100, "12.50e1": 125, "100e-2": 1, "0.30e+01": 3, "2.147483647e9": 2147483647, "-2.147483648e9": -2147483648, "2147483647.0": 2147483647,
		"214748364700e-2": 2147483647, "-0.0000000002147483648e19": -2147483648, "1e9": 1e9, "1e-0": 1, "1e00000000000000000000000000000": 1,
		"0e99999999999999999999": 0, "0.000e-99999999999999999999": 0, "-0e2147483648": 0, "0." + strings.Repeat("0", 9000): 0, "1" + strings.Repeat("0", 9000) + "e-9000": 1,
		"0." + strings.Repeat("0", 8999) + "1e9000": 1,
	} {
		o := mustRead(t, `{"n": `+text+` }`)
		if got := o.Int32("n"); got != want || o.Err() != nil {
			t.Errorf("%s: %d, error %v", text, got, o.Err())
		}
	}
	for text, want := range map[string]string{
		"null": "n type", `"1"`: "n type", `"0"`: "n type", "true": "n type", "{}": "n type", "[1]": "n type", `"0.0"`: "n type", `"1e0"`: "n type",
		"0.5": "n type", "-0.5": "n type", "1.5": "n type", "1e-1": "n type", "1.05e1": "n type", "1e-400": "n type", "1e-2147483648": "n type", "1e-2147483649": "n type", "1e-99999999999999999999": "n type",
		"2147483647.0000000001": "n type", "0." + strings.Repeat("0", 9000) + "1": "n type", "1.00000000000000000000000000000000000001": "n type", "2147483648.5": "n type",
		"1e10": "n range", "1e99": "n range", "1e400": "n range", "-1e400": "n range", "1E2147483647": "n range", "1e2147483648": "n range", "1e99999999999999999999": "n range", "2.147483648e9": "n range",
		"-2.147483649e9": "n range", "0.1e11": "n range", "21474836480e-1": "n range", "1" + strings.Repeat("0", 9000): "n range", "1e" + strings.Repeat("9", 9000): "n range",
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

func TestObjectReportsAllProblems(t *testing.T) {
	o := mustRead(t, `{"Mobile":"1","productType":"0","source":null,"validateNo":123456,"extra":{"mobile":"x"},"companyType":7}`)
	o.Int32("companyType")
	o.String("mobile", 9)
	o.Int32("productType")
	o.String("source", 64)
	o.String("validateNo", 9)
	o.Reject("companyType", model.ReasonUnknown)
	o.Reject("productType", model.ReasonUnknown) // the first problem counts
	checkProblems(t, "login", o.Err(),
		"mobile required", "productType type", "source type", "validateNo type", "companyType unknown")

	o = mustRead(t, ` {"mobil\u0065" : "1" , "a/b":"2","a~b":"3","":"4"} `+"\r\n\t")
	for name, want := range map[string]string{"mobile": "1", "a/b": "2", "a~b": "3", "": "4"} {
		if got := o.String(name, 9); got != want || o.Err() != nil {
			t.Errorf("%q: %q, error %v", name, got, o.Err())
		}
	}
}

// FuzzReadObject: encoding/json accepts every accepted body and reads the same values.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{"n":1,"s":"x"}`, `{"n":-0,"s":""}`, `{"n":2147483648}`, `{"n":0.0}`, `{"n":-0e7}`, `{"n":10e-1}`, `{"n":0.5}`, `{"n":1e400}`, `{"n":1e-99999999999}`, `{"n":214748364.7e1}`, `{"n":1e2,"s":null}`, `{"\u006e":7,"\u0073":"\ud83d\ude00"}`,
		`{"s":"\ud800"}`, `{"n":1,"n":2}`, `{"N":1,"S":"x"}`, `{"a":{"n":1,"n":2}}`, "\ufeff{}", `{} x`, `[1]`, `null`, ``, "{\"s\":\"\xff\"}",
		`{"s":"\u2028\/\b"}`, `{"a":[[[]]],"s":"门神"}`, `{"":0}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		o, err := readObject(jsonRequest(body, false))
		if chunked, err2 := readObject(jsonRequest(body, true)); (err == nil) != (err2 == nil) || (err == nil && len(chunked.members) != len(o.members)) {
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
		for name, member := range o.members {
			if value, found := standard[name]; !found || !bytes.Equal(value, member) {
				t.Fatalf("%q is %s, encoding/json reads %s", name, member, value)
			}
		}
		checkInt32(t, o, string(orNull(standard["n"])))
		o.problems = nil
		var s *string
		wantErr := json.Unmarshal(orNull(standard["s"]), &s)
		if got := o.Verbatim("s", maxBody); (wantErr == nil && s != nil) != (o.Err() == nil) || (o.Err() == nil && got != *s) {
			t.Fatalf("s: %q, error %v; encoding/json: error %v", got, o.Err(), wantErr)
		}
	})
}

// checkInt32 compares the member n, whose text is given, with exact arithmetic.
func checkInt32(t *testing.T, o *object, text string) {
	t.Helper()
	got := o.Int32("n")
	if _, exponent, _ := strings.Cut(strings.ToLower(text), "e"); text[0] != '-' && (text[0] < '0' || text[0] > '9') || len(strings.TrimLeft(exponent, "+-0")) > 4 {
		if number := text[0] <= '9' && text[0] != '"'; !number && o.Err() == nil {
			t.Fatalf("%s became %d", text, got)
		}
		return // no number, or one that exact arithmetic cannot hold
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%s is no number", text)
	}
	fits := exact.IsInt() && exact.Num().IsInt64() && exact.Num().Int64() == int64(int32(exact.Num().Int64())) //nolint:gosec // the comparison tells
	if fits != (o.Err() == nil) || fits && int64(got) != exact.Num().Int64() {
		t.Fatalf("%s became %d, error %v", text, got, o.Err())
	}
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
		o, err := readObject(jsonRequest(body, false))
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
