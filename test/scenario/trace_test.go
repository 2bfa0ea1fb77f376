package scenario

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"menshen/repository"
)

// spans is a collector of OTLP/HTTP that remembers.
type spans struct {
	mu   sync.Mutex
	raw  []byte
	path string
	all  []*otlp.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var batch collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &batch); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw, s.path = append(s.raw, body...), r.URL.Path
	for _, resource := range batch.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.all = append(s.all, scope.GetSpans()...)
		}
	}
}

// named are the spans of a name.
func (s *spans) named(name string) []*otlp.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), func(span *otlp.Span) bool { return span.GetName() != name })
}

// attributesOf is what a span tells, by name, as text.
func attributesOf(span *otlp.Span) map[string]string {
	told := map[string]string{}
	for _, attribute := range span.GetAttributes() {
		told[attribute.GetKey()] = strings.Trim(regexp.MustCompile(`^.*?:`).ReplaceAllString(attribute.GetValue().String(), ""), `" `)
	}
	return told
}

// TestTraces: requests, their transactions and messages are traced, within the
// time of a stop; what clients send is in no span, and they have no say in what is
// sampled.
func TestTraces(t *testing.T) {
	t.Parallel()
	got := &spans{}
	server := httptest.NewServer(got)
	defer server.Close()
	d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "TRACING_ENDPOINT="+server.URL)
	d.start(t)
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	mobile := d.number()
	query := "canary-of-a-query-0123456789"
	d.secrets.add(kindQuery, query)
	state := "canary=" + query
	d.do(t, call{path: "/auth/mobile/code?q=" + query, body: codeBody(mobile), headers: headersOf(
		"traceparent", "00-"+theirs+"-b7ad6b7169203331-01", "tracestate", state, "baggage", state, "X-Request-Id", "canary-of-a-request", "User-Agent", query,
	)})
	code := d.messages.nextMessage(t, "+86"+mobile).Code
	a := d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Device-Number", "device-of-traces-1", "X-Device-Name", "name-of-device-0123456789")
	d.secrets.add(kindDevice, "name-of-device-0123456789")
	d.wantState(t, a.AccessToken.Value, "device-of-traces-1", "active")
	d.do(t, call{path: "/none-" + query, code: 40400})
	d.callAdmin(t, call{path: "/admin/users?id=1", code: 40100, as: strings.Repeat("x", 40)})
	d.stop(t)

	if got.path != "/v1/traces" {
		t.Errorf("the spans came to %q", got.path)
	}
	if found := d.secrets.find(got.raw, kindCode, kindToken, kindNumber, kindDevice, kindQuery); found != "" {
		t.Errorf("the spans show a %s", found)
	}
	if strings.Contains(string(got.raw), "canary") {
		t.Error("the spans show what a client has made up")
	}
	sent := got.named("POST /auth/mobile/code")
	if len(sent) != 1 || len(got.named("POST /auth/mobile/login")) != 1 || len(got.named("GET none")) != 1 {
		t.Fatalf("the spans are %v", got.all)
	}
	request := sent[0]
	if links := request.GetLinks(); len(request.GetParentSpanId()) > 0 || hexOf(request.GetTraceId()) == theirs || len(links) != 1 ||
		hexOf(links[0].GetTraceId()) != theirs || links[0].GetTraceState() != "" {
		t.Errorf("the client's trace is not just linked: %v", request)
	}
	if told := attributesOf(request); told["http.route"] != "/auth/mobile/code" || told["http.response.status_code"] != "200" || told["menshen.code"] != "0" || len(told) != 4 {
		t.Errorf("the request tells %v", told)
	}
	inner := map[string]map[string]string{}
	for _, name := range []string{"transaction", "send sms"} {
		for _, span := range got.named(name) {
			if hexOf(span.GetTraceId()) == hexOf(request.GetTraceId()) && hexOf(span.GetParentSpanId()) == hexOf(request.GetSpanId()) {
				inner[name] = attributesOf(span)
			}
		}
	}
	if told := inner["transaction"]; told["menshen.tries"] != "1" || told["menshen.outcome"] != "committed" {
		t.Errorf("the transaction tells %v", told)
	}
	if told := inner["send sms"]; told["menshen.provider"] != "webhook" || told["menshen.outcome"] != "sent" || len(told) != 2 {
		t.Errorf("the message tells %v", told)
	}
	for _, span := range got.named("transaction") {
		if len(span.GetParentSpanId()) == 0 {
			t.Error("work in the background is traced")
		}
	}
	if line := `"route":"/auth/mobile/code","status":200`; !regexp.MustCompile(line + `.*"traceId":"` + hexOf(request.GetTraceId()) + `"`).MatchString(d.log.text()) {
		t.Error("the access log does not name the trace")
	}
}

func hexOf(id []byte) string {
	const digits = "0123456789abcdef"
	text := ""
	for _, b := range id {
		text += string(digits[b>>4]) + string(digits[b&15])
	}
	return text
}

// TestNoTraces: nothing is traced at a ratio of 0, whatever a client asks for, and
// nothing is said of traces without a collector.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	got := &spans{}
	server := httptest.NewServer(got)
	defer server.Close()
	for _, setting := range []string{"TRACING_RATIO=0", "TRACING_ENDPOINT="} {
		d := newDeployment(t, repository.SQLite, "TRACING_ENDPOINT="+server.URL, setting)
		d.start(t)
		d.do(t, call{path: "/none", code: 40400, headers: headersOf("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")})
		d.login(t, form{Mobile: d.number()})
		d.stop(t)
		if len(got.raw) > 0 || strings.Contains(d.log.text(), "traceId") {
			t.Errorf("%s: something was traced: %v", setting, got.all)
		}
	}
}

// TestCollectorUnreachable: without its collector the program serves and stops as ever,
// and says once that traces are lost.
func TestCollectorUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // its port refuses
	d := newDeployment(t, repository.SQLite, "TRACING_ENDPOINT="+server.URL)
	d.start(t)
	for range 3 {
		d.do(t, call{path: "/none", code: 40400})
	}
	d.log.await(t, 0, "traces are lost")
	for range 3 {
		d.do(t, call{path: "/none", code: 40400})
	}
	begin := time.Now()
	d.stop(t)
	if took := time.Since(begin); took > patience {
		t.Errorf("the stop took %s", took)
	}
	if said := strings.Count(d.log.text(), "traces are lost"); said != 1 {
		t.Errorf("the loss is told %d times", said)
	}
}
