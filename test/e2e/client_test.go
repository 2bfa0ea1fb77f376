package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// answer is what came back; err is set when nothing did.
type answer struct {
	err    error
	took   time.Duration
	status int
	header http.Header
	raw    []byte
	code   int32 // of the envelope, -1 without one
	data   json.RawMessage
}

func (a answer) String() string {
	return fmt.Sprintf("status %d after %s, state %q, error %v: %s", a.status, a.took.Round(time.Millisecond), a.header.Get("X-Login-State"), a.err, a.raw)
}

// decode decodes the answer's data.
func (a answer) decode(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal(a.data, value); err != nil {
		t.Fatalf("data of %s: %v", a, err)
	}
}

// wantSuccess returns the answer, which must be a success.
func (a answer) wantSuccess(t *testing.T) answer {
	t.Helper()
	if a.err != nil || a.code != 0 {
		t.Fatalf("want a success: %s", a)
	}
	return a
}

// request is a call of the API; the base URL says of which listener.
type request struct {
	method string // GET, or POST with a body
	path   string
	token  string // of a user, or the admin key
	client string // id and secret of a back end
	ticket string // X-Code-Ticket
	header http.Header
	body   any // becomes JSON
}

// call sends a request to the public listener. It may be called from any
// goroutine: failures are part of the answer.
func (i *instance) call(r request) answer { return i.d.exchange(context.Background(), i.public, r) }

// callAdmin sends a request to the admin listener.
func (i *instance) callAdmin(r request) answer {
	r.token = adminKey
	return i.d.exchange(context.Background(), i.admin, r)
}

func (d *deployment) exchange(ctx context.Context, base string, r request) (a answer) {
	begin := time.Now()
	a.code = -1
	defer func() { a.took = time.Since(begin) }()
	request, err := r.http(ctx, base)
	if err != nil {
		return answer{err: err, code: -1}
	}
	response, err := d.client.Do(request)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = response.Body.Close() }()
	a.status, a.header = response.StatusCode, response.Header
	if a.raw, a.err = io.ReadAll(response.Body); a.err != nil {
		return a
	}
	var envelope struct {
		Code *int32
		Data json.RawMessage
	}
	if json.Unmarshal(a.raw, &envelope) == nil && envelope.Code != nil {
		a.code, a.data = *envelope.Code, envelope.Data
	}
	return a
}

func (r request) http(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(string(text))
	}
	if r.method == "" {
		r.method = http.MethodGet
		if r.body != nil {
			r.method = http.MethodPost
		}
	}
	request, err := http.NewRequestWithContext(ctx, r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, r.header)
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.ticket != "" {
		request.Header.Set("X-Code-Ticket", r.ticket)
	}
	if r.client != "" {
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.client)))
	}
	return request, nil
}

// object is a JSON object.
type object map[string]any

// codeRequest requests a code.
func codeRequest(mobile string) request {
	return request{path: "/auth/mobile/code", body: object{"companyType": 0, "mobile": mobile, "productType": 0}}
}

// loginRequest logs in to the product 0; with an empty device the first check
// binds one.
func loginRequest(mobile, code, device string) request {
	body := object{"companyType": 0, "mobile": mobile, "productType": 0, "source": "e2e", "validateNo": code}
	if device != "" {
		body["deviceNumber"] = device
	}
	return request{path: "/auth/mobile/login", body: body}
}

// session is a login as its device knows it.
type session struct {
	mobile, device  string
	access, refresh string
	id              string
	user            int64
}

// session reads the answer of a login.
func (a answer) session(t *testing.T, mobile, device string) *session {
	t.Helper()
	var data struct {
		AccessToken, RefreshToken struct{ Value string }
		UserInfo                  struct{ ID int64 }
	}
	a.wantSuccess(t).decode(t, &data)
	s := &session{mobile: mobile, device: device, access: data.AccessToken.Value, refresh: data.RefreshToken.Value, user: data.UserInfo.ID}
	s.id = claimsOf(t, s.access).Sid
	return s
}

type tokenClaims struct {
	Sid, Jti string
	Gen      int64
}

// claimsOf reads an access token without verifying it.
func claimsOf(t *testing.T, raw string) (claims tokenClaims) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", raw)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// sendCode requests a code and takes it from the provider.
func (i *instance) sendCode(t *testing.T, mobile string) string {
	t.Helper()
	i.call(codeRequest(mobile)).wantSuccess(t)
	return i.d.messages.newest(mobile)
}

// login requests a code and logs in with it; with an empty mobile as a new user.
func (i *instance) login(t *testing.T, mobile, device string) *session {
	t.Helper()
	if mobile == "" {
		mobile = i.d.number()
	}
	return i.call(loginRequest(mobile, i.sendCode(t, mobile), device)).session(t, mobile, device)
}

func (s *session) checkRequest(more string) request {
	return request{path: "/wx/pc/check-login-status?deviceNumber=" + url.QueryEscape(s.device) + more, token: s.access}
}

// check returns the answer to a check and the state in X-Login-State, which is ""
// for a failure. An envelope that disagrees with the state is an error.
func (i *instance) check(s *session) (state string, a answer) {
	a = i.call(s.checkRequest(""))
	return a.state(), a
}

// state returns the state in X-Login-State of a successful check.
func (a answer) state() string {
	var data struct{ IsLogin *bool }
	if a.err != nil || a.code != 0 || json.Unmarshal(a.data, &data) != nil || data.IsLogin == nil {
		return ""
	}
	state := a.header.Get("X-Login-State")
	if *data.IsLogin != (state == "active" || state == "bound") {
		return fmt.Sprintf("isLogin %t but %s", *data.IsLogin, state)
	}
	return state
}

// wantState checks that the check is answered with state.
func (i *instance) wantState(t *testing.T, s *session, state string) {
	t.Helper()
	if got, a := i.check(s); got != state {
		t.Errorf("the check on %s is %q, want %q: %s", i.name, got, state, a)
	}
}

// cacheSession makes the instance cache the session, so that its next positive
// answer comes from the cache.
func (i *instance) cacheSession(t *testing.T, s *session) {
	t.Helper()
	for range 2 {
		i.wantState(t, s, "active")
	}
}

func (s *session) refreshRequest() request {
	return request{path: "/app/auth/token/refresh", body: object{"accessToken": s.access, "refreshToken": s.refresh}}
}

// token returns the access token in the answer to a refresh.
func (a answer) token(t *testing.T) string {
	t.Helper()
	var data struct{ Value string }
	a.wantSuccess(t).decode(t, &data)
	return data.Value
}

// refreshSession refreshes the session and keeps the new token.
func (i *instance) refreshSession(t *testing.T, s *session) {
	t.Helper()
	s.access = i.call(s.refreshRequest()).token(t)
}

func (s *session) logoutRequest() request {
	return request{path: "/app/auth/logout", token: s.access, body: object{"scope": "current"}}
}

func (s *session) kickRequest() request {
	return request{path: fmt.Sprintf("/admin/users/%d/kick", s.user), body: object{"reason": "e2e", "sessionId": s.id}}
}

// kick ends a session as an operator.
func (i *instance) kick(t *testing.T, s *session) {
	t.Helper()
	i.callAdmin(s.kickRequest()).wantSuccess(t)
}

// stream is an open stream of events.
type stream struct {
	events chan string   // "name data" of each event
	over   chan struct{} // closed when the stream has ended
	cancel context.CancelFunc
}

// events opens the session's stream and returns once the response header has
// arrived.
func (i *instance) events(t *testing.T, s *session) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := request{path: "/app/auth/events", token: s.access}.http(ctx, i.public)
	if err != nil {
		t.Fatal(err)
	}
	client := *i.d.client
	client.Timeout = 0
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the stream has status %d", response.StatusCode)
	}
	st := &stream{events: make(chan string, 16), over: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(st.over)
		defer func() { _ = response.Body.Close() }()
		name := ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = text
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				st.events <- name + " " + text
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-st.over })
	return st
}

// next returns the next event, "" if the stream ended or the deadline passed.
func (st *stream) next(deadline <-chan time.Time) string {
	select {
	case event := <-st.events:
		return event
	case <-deadline:
		return ""
	case <-st.over:
	}
	select { // both were ready
	case event := <-st.events:
		return event
	default:
		return ""
	}
}

// wantEnded waits for session.ended with the reason, and for the end of the
// stream.
func (st *stream) wantEnded(t *testing.T, reason string, within time.Duration) {
	t.Helper()
	deadline := time.After(within)
	event := st.next(deadline)
	if !strings.HasPrefix(event, "session.ended ") || !strings.Contains(event, `"reason":"`+reason+`"`) {
		t.Errorf("the stream told %q within %s, want %s", event, within, reason)
		return
	}
	select {
	case <-st.over:
	case <-deadline:
		t.Errorf("not within %s: the stream ends", within)
	}
}
