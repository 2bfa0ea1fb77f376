package conformance_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// storage guards the records of all clients of this process: tabs share one.
var storage sync.Mutex

// kept is the one record of a client.
type kept struct {
	Device, Access, Refresh string
	Tickets, Credentials    map[string]string // by number
}

// client does what clients/typescript/README.md advises, in another language, unless a bug
// is planted in it.
type client struct {
	bug        bug
	base, file string
	ctx        context.Context // ends when the client is killed
	kill       context.CancelFunc
	onEnded    func(reason string)

	refreshing sync.Mutex
	mu         sync.Mutex
	reason     string
	memory     kept      // of the bug pairInMemory
	last       [2]string // number and code, of the bug logsInAgain
}

// outcome is an answer; code is -1 without one of the service.
type outcome struct {
	code   int
	data   map[string]any
	header http.Header
	status int
}

func (o outcome) temporary() bool { return o.code == -1 || o.code >= 42900 }

func newClient(b bug, base, folder string) *client {
	c := &client{bug: b, base: base, file: filepath.Join(folder, "record.json")}
	c.ctx, c.kill = context.WithCancel(context.Background())
	c.change(func(k *kept) {
		if k.Device == "" {
			k.Device = "device-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		}
	})
	c.memory = c.read()
	return c
}

func (c *client) read() (k kept) {
	storage.Lock()
	defer storage.Unlock()
	return c.readLocked()
}

func (c *client) readLocked() (k kept) {
	text, _ := os.ReadFile(c.file)
	_ = json.Unmarshal(text, &k)
	return k
}

// change reads the record and writes it as a whole.
func (c *client) change(edit func(*kept)) {
	storage.Lock()
	defer storage.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	k := c.readLocked()
	edit(&k)
	text, _ := json.Marshal(k)
	if err := os.WriteFile(c.file, text, 0o600); err != nil {
		panic(err)
	}
}

// tokens is the pair to send.
func (c *client) tokens() kept {
	if c.bug == pairInMemory {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.memory.Access == "" {
			c.memory = c.read()
		}
		return c.memory
	}
	return c.read()
}

func (c *client) send(method, path string, body any, header http.Header) outcome {
	text, _ := json.Marshal(body)
	request, err := http.NewRequestWithContext(c.ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return outcome{code: -1}
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "X-Device-Number": {c.read().Device}}
	maps.Copy(request.Header, header)
	sender := http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.bug == followsRedirects {
		sender.CheckRedirect = nil
	}
	response, err := sender.Do(request)
	if err != nil {
		return outcome{code: -1}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	var envelope struct {
		Code *int
		Data json.RawMessage
	}
	got := outcome{code: -1, header: response.Header, status: response.StatusCode}
	switch {
	case err == nil && json.Unmarshal(answer, &envelope) == nil && envelope.Code != nil:
		got.code = *envelope.Code
		_ = json.Unmarshal(envelope.Data, &got.data) // lists are of no interest
	case c.bug == pageIsSuccess && response.StatusCode == http.StatusOK:
		got.code = 0
	case c.bug == statusIsVerdict && response.StatusCode == http.StatusUnauthorized:
		got.code = 40100
	}
	return got
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func (c *client) sendCode(mobile, solution string) outcome {
	header := http.Header{}
	credentials := c.read().Credentials
	credential := credentials[mobile]
	if c.bug == credentialOfAnother {
		for _, other := range credentials {
			credential = other
		}
	}
	if credential != "" {
		header.Set("X-Device-Credential", credential)
	}
	body := map[string]any{"companyType": 0, "productType": 0, "mobile": mobile}
	got := c.send(http.MethodPost, "/auth/mobile/code", body, header)
	if challenge, ok := got.data["challenge"].(map[string]any); ok {
		body["challenge"], body["challengeProvider"] = solution, challenge["provider"]
		got = c.send(http.MethodPost, "/auth/mobile/code", body, header)
	}
	if ticket := got.header.Get("X-Code-Ticket"); ticket != "" {
		c.change(func(k *kept) { k.Tickets = with(k.Tickets, mobile, ticket) })
	}
	return got
}

func with(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

func (c *client) login(mobile, code string) outcome {
	k, header := c.read(), http.Header{}
	c.mu.Lock()
	c.last = [2]string{mobile, code}
	c.mu.Unlock()
	if ticket := k.Tickets[mobile]; ticket != "" && c.bug != forgetsTicket {
		header.Set("X-Code-Ticket", ticket)
	}
	if c.bug == newDeviceNumber {
		header.Set("X-Device-Number", "device-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	}
	got := c.send(http.MethodPost, "/auth/mobile/login", map[string]any{
		"companyType": 0, "productType": 0, "mobile": mobile, "source": "", "validateNo": code,
	}, header)
	if got.code == 0 {
		c.change(func(k *kept) {
			k.Access, k.Refresh = text(got.data, "accessToken", "value"), text(got.data, "refreshToken", "value")
			k.Credentials = with(k.Credentials, mobile, got.header.Get("X-Device-Credential"))
		})
		c.setReason("")
		c.mu.Lock()
		c.memory = c.read()
		c.mu.Unlock()
	}
	return got
}

// text is the string at a path of members.
func text(data map[string]any, path ...string) string {
	for _, member := range path[:len(path)-1] {
		data, _ = data[member].(map[string]any)
	}
	value, _ := data[path[len(path)-1]].(string)
	return value
}

// claimsOf are the claims of a token, unverified.
func claimsOf(token string) (c struct {
	SID string
	Gen int
	Exp int64
}) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &c)
	}
	return c
}

// authorized sends a request with the access token. An expired token is refreshed and a
// stale one read again.
func (c *client) authorized(method, path string) outcome {
	for try := 0; ; try++ {
		k := c.tokens()
		if k.Access == "" {
			return outcome{code: 40100}
		}
		if c.bug == trustsOwnClock && time.Unix(claimsOf(k.Access).Exp, 0).Before(time.Now()) {
			c.refresh(k.Access)
			k = c.tokens()
		}
		got := c.send(method, path, map[string]any{}, bearer(k.Access))
		if got.code < 40100 || got.code > 40199 {
			return got
		}
		if c.tokens().Access != k.Access && try < 2 {
			continue // a newer one is kept
		}
		again := got.code == 40101 || got.code == 40105 || c.bug == refreshesAtEvery401 && try == 0
		if again && try < 2 {
			if c.bug == keepsAfterUse {
				return c.refreshAndUse(method, path, k)
			}
			if refreshed := c.refresh(k.Access); refreshed.code != 0 {
				return refreshed
			}
			continue
		}
		if !again {
			c.end(got, k.Access)
		}
		return got
	}
}

// refresh replaces an access token. It sends the same pair until there is a verdict.
func (c *client) refresh(old string) outcome {
	if c.bug != sharesNoRefresh {
		c.refreshing.Lock()
		defer c.refreshing.Unlock()
	}
	for try := 1; ; try++ {
		k := c.tokens()
		switch {
		case k.Access == "":
			return outcome{code: 40100}
		case k.Access != old && c.bug != sharesNoRefresh:
			return outcome{} // another tab has been here
		}
		got := c.send(http.MethodPost, "/app/auth/token/refresh", map[string]any{"accessToken": k.Access, "refreshToken": k.Refresh}, nil)
		switch {
		case got.code == 0:
			return c.advance(k.Refresh, text(got.data, "value"))
		case c.tokens().Access != k.Access && c.bug != ignoresStalePair:
			continue
		case c.bug == discardsAtTrouble && got.code >= 50000:
			c.end(got, k.Access)
			return got
		case c.bug == logsOutAtLostAnswer && got.code == -1:
			c.send(http.MethodPost, "/app/auth/logout", map[string]any{}, bearer(k.Access))
		case !got.temporary() && (got.code != 40105 || c.bug == ignoresStalePair):
			c.end(got, k.Access)
			return got
		}
		if try == 4 || c.ctx.Err() != nil {
			return got
		}
		c.pause(got, try)
	}
}

// refreshAndUse is what the bug keepsAfterUse does: it keeps the new token once it has
// worked.
func (c *client) refreshAndUse(method, path string, k kept) outcome {
	got := c.send(http.MethodPost, "/app/auth/token/refresh", map[string]any{"accessToken": k.Access, "refreshToken": k.Refresh}, nil)
	if got.code == 0 {
		access := text(got.data, "value")
		if got = c.send(method, path, map[string]any{}, bearer(access)); got.code == 0 {
			c.advance(k.Refresh, access)
		}
	}
	return got
}

func (c *client) pause(got outcome, try int) {
	after, _ := strconv.Atoi(cmp.Or(got.header.Get("Retry-After"), "0"))
	if c.bug == ignoresRetryAfter {
		after = 0
	}
	timer := time.NewTimer(max(time.Duration(after)*time.Second, 150*time.Millisecond<<(try-1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// advance keeps a refreshed token, unless a newer one or another login is kept.
func (c *client) advance(refresh, access string) outcome {
	c.change(func(k *kept) {
		if c.bug == overwritesNewer || k.Refresh == refresh && k.Access != "" && claimsOf(k.Access).Gen < claimsOf(access).Gen {
			k.Access = access
		}
	})
	c.mu.Lock()
	c.memory.Access = access
	c.mu.Unlock()
	return outcome{}
}

// end forgets the pair that was refused, unless another login has replaced it.
func (c *client) end(got outcome, access string) {
	if c.bug == retriesStolenPair {
		return
	}
	ended := false
	c.change(func(k *kept) {
		if claimsOf(k.Access).SID == claimsOf(access).SID {
			k.Access, k.Refresh, ended = "", "", true
		}
	})
	if ended {
		reason := cmp.Or(text(got.data, "reason"), "invalid")
		c.setReason(reason)
		c.onEnded(reason)
		if c.bug == logsInAgain {
			c.login(c.last[0], c.last[1])
		}
	}
}

func (c *client) setReason(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = reason
}

func (c *client) logout() outcome {
	got := c.authorized(http.MethodPost, "/app/auth/logout")
	if c.bug == claimsLogout && got.code == -1 {
		got.code = 0
	}
	if got.code == 0 {
		c.change(func(k *kept) { k.Access, k.Refresh = "", "" })
		c.mu.Lock()
		c.memory = kept{}
		c.mu.Unlock()
	}
	return got
}
