package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"menshen/model"
)

// call is one row of a scenario: a request, and what its answer must be.
type call struct {
	name    string
	method  string // GET, or POST with a body
	path    string
	headers http.Header
	as      string // access token
	body    string
	chunked bool // hides the body's length

	code   int32             // of the envelope
	fields []string          // of a 40000: "field reason", in this order
	want   string            // JSON that data must contain
	header map[string]string // headers of the answer; "" means none
	not    []string          // what the answer must not contain
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	took   time.Duration

	enveloped bool
	code      int32
	data      json.RawMessage
	msg       string
}

// runCalls runs rows one after the other.
func (d *deployment) runCalls(t *testing.T, rows ...call) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Helper()
			d.do(t, row)
		})
	}
}

// do sends the request and checks its answer: against the row, against the
// rules that hold for every answer, and against the document.
func (d *deployment) do(t *testing.T, c call) answer {
	t.Helper()
	a := d.send(t, c.request(t, d.public))
	c.checkAnswer(t, a)
	return a
}

// checkAnswer compares an answer with the row.
func (c call) checkAnswer(t *testing.T, a answer) {
	t.Helper()
	if a.code != c.code {
		t.Errorf("%s answers %d, want %d: %s", c.path, a.code, c.code, a.raw)
	}
	if c.fields != nil && !slices.Equal(a.fieldProblems(t), c.fields) {
		t.Errorf("%s: the fields are %q, want %q", c.path, a.fieldProblems(t), c.fields)
	}
	if c.want != "" {
		if difference := difference(decodeJSON(t, a.data), decodeJSON(t, []byte(c.want)), "data"); difference != "" {
			t.Errorf("%s: %s", c.path, difference)
		}
	}
	for name, want := range c.header {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", c.path, name, got, want)
		}
	}
	for _, text := range c.not {
		if bytes.Contains(a.raw, []byte(text)) {
			t.Errorf("%s: the answer has %q: %s", c.path, text, a.raw)
		}
	}
}

func (c call) request(t *testing.T, base string) *http.Request {
	t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
		if c.body != "" {
			method = http.MethodPost
		}
	}
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
		if c.chunked {
			body = io.MultiReader(body)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, base+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.as != "" {
		request.Header.Set("Authorization", "Bearer "+c.as)
	}
	for name, values := range c.headers {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	return request
}

// send sends a request to the public listener and checks the rules that hold for
// every exchange.
func (d *deployment) send(t *testing.T, request *http.Request) answer {
	t.Helper()
	a, sent := d.exchange(t, request)
	if problem := validateExchange(t, mustDocument(t), request, sent, a); problem != nil {
		t.Errorf("%s %s, answered %d: the exchange does not fit the document: %v\n%s", request.Method, request.URL.Path, a.code, problem, a.raw)
	}
	return a
}

// exchange sends a request to either listener and does not compare it with the API
// document.
func (d *deployment) exchange(t *testing.T, request *http.Request) (a answer, sent []byte) {
	t.Helper()
	if request.Body != nil {
		sent, _ = io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(sent))
	}
	begin := time.Now()
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL.Path, err)
	}
	defer func() { _ = response.Body.Close() }()
	a = answer{status: response.StatusCode, header: response.Header}
	if a.raw, err = io.ReadAll(response.Body); err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL.Path, err)
	}
	a.took = time.Since(begin)
	a.readEnvelope(t, d.always200)
	a.checkRules(t, request)
	d.wantNoCode(t, a)
	return a, sent
}

// standard are the paths whose answers a standard shapes.
var standard = regexp.MustCompile(`^/(healthz|readyz|\.well-known/jwks\.json|oauth/introspect|swagger/.*)$`)

// readEnvelope reads the envelope: exactly three members, and a code that agrees
// with the status.
func (a *answer) readEnvelope(t *testing.T, always200 bool) {
	t.Helper()
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") || !bytes.HasPrefix(a.raw, []byte(`{"code":`)) {
		return
	}
	var members map[string]json.RawMessage
	var envelope struct {
		Code *int32
		Data json.RawMessage
		Msg  *string
	}
	if err := json.Unmarshal(a.raw, &members); err != nil {
		t.Fatalf("answer %s: %v", a.raw, err)
	}
	if err := json.Unmarshal(a.raw, &envelope); err != nil || envelope.Code == nil || envelope.Msg == nil {
		t.Fatalf("answer %s: %v", a.raw, err)
	}
	if names := slices.Sorted(maps.Keys(members)); !slices.Equal(names, []string{"code", "data", "msg"}) {
		t.Errorf("the envelope has %v", names)
	}
	a.enveloped, a.code, a.data, a.msg = true, *envelope.Code, envelope.Data, *envelope.Msg
	status := http.StatusOK
	if a.code != 0 && !always200 {
		status = int(a.code / 100)
	}
	if a.status != status {
		t.Errorf("code %d comes with status %d", a.code, a.status)
	}
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// checkRules checks the rules that hold for every answer (contract §1, §10).
func (a *answer) checkRules(t *testing.T, request *http.Request) {
	t.Helper()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s, answered %d: %s", request.Method, request.URL.Path, a.code, fmt.Sprintf(format, args...))
	}
	if id := a.header.Values("X-Request-Id"); len(id) != 1 || !requestID.MatchString(id[0]) {
		fault("X-Request-Id is %q", id)
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		fault("X-Content-Type-Options is %q", a.header.Get("X-Content-Type-Options"))
	}
	if standard.MatchString(request.URL.Path) && (a.status == http.StatusOK || a.status == http.StatusNotModified) {
		return
	}
	if a.header.Get("Content-Type") != "application/json; charset=utf-8" || a.header.Get("Cache-Control") != "no-store" {
		fault("Content-Type is %q, Cache-Control %q", a.header.Get("Content-Type"), a.header.Get("Cache-Control"))
	}
	if request.Method == http.MethodHead || standard.MatchString(request.URL.Path) && !a.enveloped {
		return
	}
	if !a.enveloped || a.msg == "" {
		fault("this is no envelope: %s", a.raw)
	}
	challenged := slices.Contains([]int32{42900, 42901, 42902}, a.code) && bytes.HasPrefix(a.data, []byte(`{"challenge":`))
	carriesData := a.code == 0 && !strings.HasSuffix(request.URL.Path, "/unban") || challenged || slices.Contains([]int32{40000, 40102, 40103, 40300, 40301, 40900}, a.code)
	if (string(a.data) == "null") == carriesData {
		fault("data is %s", a.data)
	}
	if challenge := a.header.Get("WWW-Authenticate"); a.code/100 == 401 != strings.HasPrefix(challenge, "Bearer") {
		fault("WWW-Authenticate is %q", challenge)
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); a.code/100 == 429 != (err == nil && seconds >= 1) {
		fault("Retry-After is %q", a.header.Get("Retry-After"))
	}
	if (a.code == 40500) != (a.header.Get("Allow") != "") {
		fault("Allow is %q", a.header.Get("Allow"))
	}
	if a.code == 40000 && len(a.fieldProblems(t)) == 0 {
		fault("no field is named")
	}
}

// wantNoCode checks that the answer contains no code.
func (d *deployment) wantNoCode(t *testing.T, a answer) {
	t.Helper()
	text := a.raw
	for name, values := range a.header {
		text = fmt.Appendf(text, "\n%s: %s", name, strings.Join(values, "\n"))
	}
	if found := d.secrets.find(text, kindCode); found != "" {
		t.Errorf("the answer holds a %s", found)
	}
}

// fieldProblems returns the fields of a 40000 with their reasons.
func (a *answer) fieldProblems(t *testing.T) []string {
	t.Helper()
	var data struct{ Fields []model.FieldProblem }
	if err := json.Unmarshal(a.data, &data); err != nil {
		t.Errorf("data %s: %v", a.data, err)
	}
	list := make([]string, 0, len(data.Fields))
	for _, field := range data.Fields {
		list = append(list, field.Field+" "+field.Reason)
	}
	return list
}

func decodeJSON(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// difference returns where got lacks a part of want, "" if it lacks nothing:
// objects may have more members, everything else must be equal.
func difference(got, want any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want an object", at, got)
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, ok := object[name]
			if !ok {
				return fmt.Sprintf("%s has no %s: %v", at, name, got)
			}
			if difference := difference(value, want[name], at+"."+name); difference != "" {
				return difference
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want %d items", at, got, len(want))
		}
		for i := range want {
			if difference := difference(list[i], want[i], fmt.Sprintf("%s[%d]", at, i)); difference != "" {
				return difference
			}
		}
		return ""
	}
	if got != want {
		return fmt.Sprintf("%s is %v, want %v", at, got, want)
	}
	return ""
}

// jsonOf returns a value as JSON.
func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
