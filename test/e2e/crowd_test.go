package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// victim is what strangers know of an owner: the number, a session and its expired token.
type victim struct{ mobile, device, session, expired string }

// aimAt makes the strangers aim at all of the owners in turn.
func (c *crowd) aimAt(owners []*owner) {
	var victims []victim
	for _, o := range owners {
		victims = append(victims, victim{o.mobile, o.device, o.id, o.access})
	}
	c.aim = func(n int) victim { return victims[n/len(c.acts)%len(victims)] }
}

// crowd is strangers who do all that a client can to the numbers of others.
type crowd struct {
	own       *owner // an account of theirs
	workers   int
	addresses []string
	aim       func(n int) victim // of the n-th request of a worker
	acts      []strangersAct
	ticket    string // of a code of theirs

	begin, end time.Time
	sent       atomic.Int64
	over       chan struct{}
	all        sync.WaitGroup
	stop       func()
	mu         sync.Mutex
	codes      map[int32]int // answers
}

// newCrowd returns strangers who share an account, with as many workers at each address.
func newCrowd(own *owner, workers int, addresses ...string) *crowd {
	return &crowd{own: own, workers: workers, addresses: addresses, acts: strangersActs, over: make(chan struct{}), codes: map[int32]int{}}
}

func (c *crowd) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	during := c.end.Sub(c.begin)
	return fmt.Sprintf("%d requests from %d addresses in %s, %.0f a second, answered %v",
		c.sent.Load(), len(c.addresses), during.Round(time.Millisecond), float64(c.sent.Load())/during.Seconds(), c.codes)
}

// met reports whether the strangers got each of the codes.
func (c *crowd) met(codes ...int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(codes, func(code int32) bool { return c.codes[code] == 0 })
}

// start lets the strangers act until stop, and returns once each of them was answered.
func (c *crowd) start(t *testing.T, instances ...*instance) {
	t.Helper()
	c.own.on = instances[0]
	c.own.access = c.own.do(t, c.own.refreshRequest()).token(t)
	_, c.ticket = c.own.requestCode(t, c.own.on.d.number(), "login")
	c.begin = time.Now()
	c.stop = sync.OnceFunc(func() { close(c.over); c.all.Wait(); c.end = time.Now() })
	t.Cleanup(c.stop)
	for w := range c.workers {
		c.all.Go(func() {
			for n := w; ; n++ {
				c.act(t, instances[w%len(instances)], w, n)
				select {
				case <-c.over:
					return
				default:
				}
			}
		})
	}
	eventually(t, callTime, "every stranger is answered", func() bool { return c.sent.Load() >= int64(c.workers) })
}

// act sends the n-th request of a worker.
func (c *crowd) act(t *testing.T, i *instance, worker, n int) {
	act := c.acts[n%len(c.acts)]
	r := act.request(c, c.aim(n))
	header := headerOf("X-Forwarded-For", c.addresses[(worker+n/len(c.acts))%len(c.addresses)])
	maps.Copy(header, r.header)
	r.header = header
	a := i.call(r)
	if a.err != nil || a.code == 0 && !act.harmless || a.code >= 50000 && a.code != 50300 {
		t.Errorf("%s of a stranger: %s", act.name, a)
	}
	c.sent.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[a.code]++
}

// strangersAct is a kind of request.
type strangersAct struct {
	name     string
	harmless bool // it may succeed, if only to say that a session has ended
	request  func(c *crowd, v victim) request
}

// strangersActs are the kinds of requests that strangers can make.
var strangersActs = []strangersAct{
	{"a wrong code", false, func(_ *crowd, v victim) request { return loginRequest(v.mobile, "none", "") }},
	{"a wrong code with a malformed ticket", false, func(_ *crowd, v victim) request {
		return loginRequest(v.mobile, "none", "").with("X-Code-Ticket", "ct1_x")
	}},
	{"a wrong code with a ticket of another number", false, func(c *crowd, v victim) request {
		return loginRequest(v.mobile, "none", "").with("X-Code-Ticket", c.ticket)
	}},
	{"a code", true, func(_ *crowd, v victim) request { return codeRequest(v.mobile) }},
	{"a code with a foreign credential", true, func(c *crowd, v victim) request {
		return codeRequest(v.mobile).with("X-Device-Credential", c.own.credential)
	}},
	{"a code of another purpose with a forged credential", true, func(_ *crowd, v victim) request {
		r := codeRequest(v.mobile).with("X-Device-Credential", "dc1_"+strings.Repeat("A", 60))
		r.body.(object)["purpose"] = "change"
		return r
	}},
	{"a forged pair", false, func(c *crowd, _ victim) request {
		return request{path: "/app/auth/token/refresh", body: object{"accessToken": c.own.access + "A", "refreshToken": c.own.refresh + "A"}}
	}},
	{"a pair of two sessions", false, func(c *crowd, v victim) request {
		return request{path: "/app/auth/token/refresh", body: object{"accessToken": v.expired, "refreshToken": c.own.refresh}}
	}},
	{"a check with a forged token", false, func(c *crowd, v victim) request {
		return (&session{device: v.device, access: c.own.access + "A"}).checkRequest("")
	}},
	{"a check with an expired token", true, func(_ *crowd, v victim) request {
		return (&session{device: v.device, access: v.expired}).checkRequest("")
	}},
	{"a check from another device", true, func(c *crowd, v victim) request {
		return (&session{device: v.mobile, access: c.own.access}).checkRequest("")
	}},
	{"a change to the number", false, func(c *crowd, v victim) request {
		return request{path: "/app/auth/user/mobile", token: c.own.access, body: object{"mobile": v.mobile, "validateNo": "none", "oldValidateNo": "none"}}
	}},
	{"a deletion", false, func(c *crowd, _ victim) request {
		return request{method: http.MethodDelete, path: "/app/auth/user", token: c.own.access, body: object{"validateNo": "none"}}
	}},
	{"an end of the session", false, func(c *crowd, v victim) request {
		return request{method: http.MethodDelete, path: "/app/auth/sessions/" + v.session, token: c.own.access}
	}},
	{"a logout with a forged token", false, func(c *crowd, _ victim) request {
		return request{path: "/app/auth/logout", token: c.own.access + "A", body: object{"scope": "all"}}
	}},
}

// with returns the request with one more header.
func (r request) with(name, value string) request {
	r.header = headerOf(name, value)
	return r
}
