package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// route is a kind of request.
type route string

// The routes that traces speak of. A push is whatever reports the end of a session: the
// event stream, or a held check.
const (
	onCode    route = "request for a code"
	onLogin   route = "login"
	onRefresh route = "refresh"
	onLogout  route = "logout"
	onPush    route = "push"
	onCheck   route = "check"
	onCall    route = "call"
	onOther   route = "other request"
)

var routes = map[string]route{
	"POST /auth/mobile/code":        onCode,
	"POST /auth/mobile/login":       onLogin,
	"POST /app/auth/token/refresh":  onRefresh,
	"POST /app/auth/logout":         onLogout,
	"GET /app/auth/events":          onPush,
	"GET /wx/pc/check-login-status": onCheck,
	"GET /app/auth/user":            onCall,
}

func routeOf(r *http.Request) route {
	found := routes[r.Method+" "+r.URL.Path]
	switch wait := r.URL.Query().Get("wait"); {
	case found == "" && strings.HasPrefix(r.URL.Path, "/wx/pc/check-login-status/"):
		found = onCheck
	case found == "":
		found = onOther
	case found == onCheck && wait != "" && wait != "0":
		found = onPush
	}
	return found
}

// request is one request of the client, and what became of it.
type request struct {
	route    route
	path     string
	header   http.Header
	body     []byte
	bearer   string        // the access token that it bears, as header or as half of a pair
	refresh  string        // the other half
	arrived  time.Duration // since the trace began
	cuts     int           // calls of cutStreams until then
	unasked  bool          // there was no command under way that asks for it
	answered time.Duration // 0: not yet
	outcome  string
	given    http.Header // of the answer
}

// String is one line of the conversation.
func (r *request) String() string {
	token := ""
	if r.bearer != "" {
		token = fmt.Sprintf(", token %d", claimsOf(r.bearer).Gen)
	}
	return fmt.Sprintf("%7.3fs %s %s%s → %s", r.arrived.Seconds(), r.route, r.path, token, r.outcome)
}

// claims are those of an access token, unverified.
type claims struct {
	SID string `json:"sid"`
	Gen int    `json:"gen"`
}

func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &c) // what is no token has no claims
	}
	return c
}

// rule makes the gate do something with the next requests of a route.
type rule struct {
	route route
	left  int // -1: with all
	act   fault
}

// gate stands between client and service. It records what the client sends and plays the
// faults of the trace. It is safe for concurrent use.
type gate struct {
	service *program
	since   func() time.Duration

	mu      sync.Mutex
	record  []*request
	rules   []*rule
	streams []context.CancelFunc
	cuts    int           // calls of cutStreams
	changed chan struct{} // closed and replaced with each change of record
	asked   map[route]int // commands under way that send such a request
	login   login
}

// login is the newest login of the client that the gate has seen.
type login struct {
	user            int64
	sid             string
	access, refresh string
}

func newGate(service *program, since func() time.Duration) *gate {
	return &gate{service: service, since: since, changed: make(chan struct{}), asked: map[route]int{}}
}

// ServeHTTP plays the request's fault, or passes it on.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longLine))
	if err != nil {
		return // the client has gone
	}
	x := &exchange{gate: g, w: w, r: r, onward: body, request: &request{
		route: routeOf(r), path: r.URL.RequestURI(), header: r.Header, body: body, arrived: g.since(), outcome: "under way",
	}}
	x.request.bearer, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if x.request.route == onRefresh {
		var pair struct{ AccessToken, RefreshToken string }
		_ = json.Unmarshal(body, &pair) // the service judges it
		x.request.bearer, x.request.refresh = pair.AccessToken, pair.RefreshToken
	}
	g.arrive(x.request)(x)
}

// arrive records a request and returns what to do with it.
func (g *gate) arrive(r *request) fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.cuts, r.unasked = g.cuts, g.asked[r.route] == 0
	g.record = append(g.record, r)
	g.announce()
	for _, rule := range g.rules {
		if rule.route == r.route && rule.left != 0 {
			rule.left--
			return rule.act
		}
	}
	return (*exchange).pass
}

// asks notes a command that has the client send a request, until the returned function is
// called. A logout may be sent long after its command, when the network is back.
func (g *gate) asks(on route) (over func()) {
	count := func(n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked[on] += n
	}
	count(1)
	if on == onLogout {
		return func() {}
	}
	return func() { count(-1) }
}

// announce wakes what waits for the record. The caller holds mu.
func (g *gate) announce() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// finish notes how a request was answered, and the answer's header, which may be nil.
func (g *gate) finish(r *request, outcome string, given http.Header) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.answered, r.outcome, r.given = g.since(), outcome, given
	g.announce()
}

// add makes a rule for the next requests of a route, -1 for all.
func (g *gate) add(next int, on route, act fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = append(g.rules, &rule{on, next, act})
}

// clear forgets all rules.
func (g *gate) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = nil
}

// cutStreams ends all open pushes without an answer.
func (g *gate) cutStreams() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cut := range g.streams {
		cut()
	}
	g.streams = nil
	g.cuts++
}

// opened notes a push that cutStreams will end, or has ended since its request arrived.
func (g *gate) opened(r *request, cut context.CancelFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cuts != r.cuts {
		cut()
		return
	}
	g.streams = append(g.streams, cut)
}

// seen returns copies of the requests of a route from the one with number from on.
func (g *gate) seen(on route, from int) (found []request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.record[min(from, len(g.record)):] {
		if r.route == on {
			found = append(found, *r)
		}
	}
	return found
}

// retryAfter is how long the newest request has to wait by its answer.
func (g *gate) retryAfter() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.record) == 0 {
		return 0
	}
	seconds, _ := strconv.Atoi(g.record[len(g.record)-1].given.Get("Retry-After")) // none is 0
	return time.Duration(seconds) * time.Second
}

// size is how many requests there were.
func (g *gate) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.record)
}

// await waits until n requests of a route have arrived since the one with number from, and
// reports whether they have.
func (g *gate) await(ctx context.Context, on route, from, n int) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		if len(g.seen(on, from)) >= n {
			return true
		}
		select {
		case <-changed:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// conversation is what was sent and answered, a line each.
func (g *gate) conversation() (lines []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.record {
		lines = append(lines, r.String())
	}
	return lines
}

// current is the newest login of the client.
func (g *gate) current() login {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.login
}

// learn notes the login in an answer of the service.
func (g *gate) learn(body []byte) {
	var got struct {
		Code int32
		Data struct {
			AccessToken, RefreshToken struct{ Value string }
			UserInfo                  struct{ ID int64 }
		}
	}
	if json.Unmarshal(body, &got) != nil || got.Code != 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	access := got.Data.AccessToken.Value
	g.login = login{got.Data.UserInfo.ID, claimsOf(access).SID, access, got.Data.RefreshToken.Value}
}
