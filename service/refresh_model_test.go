package service_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// modelTimes are the times of one run. A grace beyond the life of access
// tokens makes them expire within it.
type modelTimes struct{ access, idle, refresh, grace time.Duration }

// refreshModel is one run: a few sessions on two instances over one database.
type refreshModel struct {
	first     *instance
	instances [2]*instance
	turn      int
	times     modelTimes
	numbers   []string
	chains    []*chain
	jtis      map[string]bool
}

// numbersTaken counts the numbers of all runs, which share a database.
var numbersTaken atomic.Int64

func newRefreshModel(t *rapid.T, in *instance) *refreshModel {
	m := &refreshModel{first: in, jtis: map[string]bool{}}
	m.times = rapid.SampledFrom([]modelTimes{
		{15 * time.Minute, 2 * time.Hour, 5 * time.Hour, 30 * time.Second},
		{10 * time.Second, 2 * time.Hour, 5 * time.Hour, 30 * time.Second},
		{15 * time.Minute, 2 * time.Hour, 5 * time.Hour, 0},
	}).Draw(t, "times")
	for range 2 {
		m.numbers = append(m.numbers, fmt.Sprintf("139%08d", numbersTaken.Add(1)))
	}
	for i := range m.instances {
		m.restart(i)
	}
	m.login(t)
	return m
}

// restart replaces an instance's services by new ones.
func (m *refreshModel) restart(i int) {
	instance := m.first.another()
	s := instance.sessions
	s.AccessTTL, s.IdleTTL, s.RefreshTTL, s.ReuseGrace = m.times.access, m.times.idle, m.times.refresh, m.times.grace
	m.instances[i] = instance
}

// on is the instance that serves next.
func (m *refreshModel) on() *instance {
	m.turn++
	return m.instances[m.turn%2]
}

func (m *refreshModel) now() model.Time { return m.first.clock.Time() }

func (m *refreshModel) login(t *rapid.T) {
	mobile, device := m.numbers[rapid.IntRange(0, 1).Draw(t, "number")], fmt.Sprint("device ", len(m.chains))
	for _, c := range m.chains { // its place is taken
		if c.mobile == mobile {
			if c.look(m.now()); c.reason == "" {
				c.close(model.ReasonDisplaced, model.EventDisplaced)
			}
		}
	}
	in := m.on()
	if _, err := in.sendCode(mobile); err != nil {
		t.Fatalf("ask for a code: %v", err)
	}
	result, err := in.tryLogIn(mobile, in.phone.last(), withDevice(device, ""))
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	c := &chain{
		mobile: mobile, device: device, refresh: result.Refresh.Value, end: result.Refresh.Expire, events: []string{string(model.EventLogin)},
	}
	if old := m.alive(mobile); old != nil {
		t.Fatalf("session %s should have ended", old.tokens[0].claims.SessionID)
	}
	m.chains = append(m.chains, c)
	m.receive(t, c, result.Access)
	c.holds = c.current()
	m.compare(t, c)
}

func (m *refreshModel) alive(mobile string) *chain {
	for _, c := range m.chains {
		if c.mobile == mobile && c.reason == "" {
			return c
		}
	}
	return nil
}

// receive adds a token that was made now.
func (m *refreshModel) receive(t *rapid.T, c *chain, token service.IssuedToken) {
	claims := m.verify(t, token)
	want := claims
	want.Gen = int64(len(c.tokens) + 1)
	want.IssuedAt = m.now().Second()
	want.ExpiresAt = min(want.IssuedAt.Add(m.times.access), c.end)
	if diff := cmp.Diff(want, claims); diff != "" || m.jtis[claims.TokenID] {
		t.Fatalf("the new token's jti was there before (%v), or its claims differ:\n%s", m.jtis[claims.TokenID], diff)
	}
	m.jtis[claims.TokenID] = true
	c.tokens = append(c.tokens, &minted{claims: claims, raw: token.Value})
	c.at, c.seen, c.idle = m.now(), false, m.now().Add(m.times.idle)
}

func (m *refreshModel) verify(t *rapid.T, token service.IssuedToken) model.Claims {
	claims, err := m.first.sessions.Tokens.Verify(string(token.Value))
	if err != nil || claims.ExpiresAt != token.Expire {
		t.Fatalf("the answer's token does not verify, or ends otherwise than told: %v", err)
	}
	return claims
}

// refresh presents a token n times at once and compares the answers.
func (m *refreshModel) refresh(t *rapid.T, c *chain, token *minted, n int) string {
	answer := c.present(token, m.now(), m.times.grace)
	if !c.hurt && (answer == stale || answer == reuse) {
		t.Fatalf("an honest client is told %q", answer)
	}
	if answer == stale {
		c.recordStale(n, m.now())
	}
	tokens, instances := make([]service.IssuedToken, n), []*instance{m.on(), m.on()}
	errs := race(n, func(i int) (err error) {
		tokens[i], err = instances[i%2].refresh(token.raw, c.refresh)
		return err
	})
	for i, err := range errs {
		if diff := cmp.Diff(m.wantCode(c, answer), codeOf(err)); diff != "" {
			t.Fatalf("presenting a token that is %s: %v, want %s", c.role(token), err, answer)
		}
		if err != nil {
			continue
		}
		if answer == renewed && i == 0 {
			m.receive(t, c, tokens[i])
		}
		if got := m.verify(t, tokens[i]); got != c.current().claims {
			t.Fatalf("answer %d of %d is another token: %+v, want %+v", i+1, n, got, c.current().claims)
		}
	}
	m.compare(t, c)
	return answer
}

// wantCode is the number of the failure that an answer is, 0 for none.
func (m *refreshModel) wantCode(c *chain, answer string) int32 {
	switch {
	case answer == stale:
		return model.ErrStalePair.Code
	case c.reason == model.ReasonDisplaced:
		return model.ErrDisplaced.Code
	case c.reason != "":
		return model.ErrSessionEnded.Code
	}
	return 0
}

func codeOf(err error) int32 {
	if err == nil {
		return 0
	}
	return model.AsFailure(err).Code
}

// show uses a token somewhere.
func (m *refreshModel) show(t *rapid.T, c *chain, token *minted) {
	c.look(m.now())
	want := m.wantCode(c, "")
	if c.reason == "" && m.now() >= token.claims.ExpiresAt {
		want = model.ErrTokenExpired.Code
	}
	if want == 0 && token == c.current() {
		c.seen = true
	}
	if rapid.Bool().Draw(t, "by a check") {
		result, err := m.on().sessions.Check(m.first.t.Context(), token.claims, c.device, model.Caller{})
		if c.reason != "" { // returned as an answer, not as a failure
			if err != nil || result.IsLogin || result.State != service.LoginState(c.reason) {
				t.Fatalf("a check of a session that is %s says %+v, error %v", c.reason, result, err)
			}
		} else if codeOf(err) != want || result.IsLogin != (want == 0) {
			t.Fatalf("a check says %+v, error %v; want %d", result, err, want)
		}
	} else if _, err := m.on().sessions.Authenticate(m.first.t.Context(), token.raw); codeOf(err) != want {
		t.Fatalf("a call is told %v, want %d", err, want)
	}
	m.compare(t, c)
}

// compare compares the model with the row and, when it has ended, with the log.
func (m *refreshModel) compare(t *rapid.T, c *chain) {
	s, err := repository.Sessions{DB: m.first.db}.ByID(m.first.t.Context(), c.current().claims.SessionID)
	if err != nil {
		t.Fatalf("read the row: %v", err)
	}
	now := c.current().claims
	got := []any{s.Gen, s.CurJTI, s.CurIat, s.CurExp, s.MintedAt, s.Confirmed, s.IdleUntil, s.EndsAt, s.EndReason, s.EndedAt != 0, s.Seat == nil, s.PrevGen}
	want := []any{now.Gen, now.TokenID, now.IssuedAt, now.ExpiresAt, c.at, c.seen, c.idle, c.end, c.reason, c.reason != "", c.reason != "", int64(0)}
	if c.parent != nil {
		want[len(want)-1] = c.parent.claims.Gen
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the row differs from the model:\n%s", diff)
	}
}

// compareLogs compares the events of all sessions with the model's.
func (m *refreshModel) compareLogs(t *rapid.T) {
	for _, c := range m.chains {
		got := m.first.texts("SELECT kind FROM events WHERE session_id = ? AND kind <> 'device_bound' ORDER BY id", c.tokens[0].claims.SessionID)
		if diff := cmp.Diff(c.events, got); diff != "" {
			t.Fatalf("the log of a session differs:\n%s", diff)
		}
		var counts []string
		for _, hour := range slices.Sorted(maps.Keys(c.stale)) {
			counts = append(counts, fmt.Sprint(c.stale[hour]))
		}
		got = m.first.texts("SELECT count FROM folds JOIN events ON fold = name WHERE session_id = ? ORDER BY id", c.tokens[0].claims.SessionID)
		if diff := cmp.Diff(counts, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the counts of stale pairs differ:\n%s", diff)
		}
	}
}

func (m *refreshModel) any(t *rapid.T) *chain { return pick(t, "session", m.chains) }

// pick draws one of a list by its place, so that a failure prints no secrets.
func pick[T any](t *rapid.T, label string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

// commands are what may happen next.
func (m *refreshModel) commands() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"login": m.login,
		"honest refresh": func(t *rapid.T) {
			c := m.any(t)
			answer := m.refresh(t, c, c.holds, 1)
			received := rapid.Bool().Draw(t, "received")
			if received && (answer == renewed || answer == same) {
				c.holds = c.current()
			}
		},
		"honest use": func(t *rapid.T) {
			c := m.any(t)
			m.show(t, c, c.holds)
		},
		"honest tabs refresh at once": func(t *rapid.T) {
			c := m.any(t)
			answer := m.refresh(t, c, c.holds, rapid.IntRange(2, 8).Draw(t, "tabs"))
			if answer == renewed || answer == same {
				c.holds = c.current()
			}
		},
		"theft": func(t *rapid.T) {
			c := m.any(t)
			c.stolen = c.holds
		},
		"thief refreshes": func(t *rapid.T) {
			c := m.robbed(t)
			if answer := m.refresh(t, c, c.stolen, 1); answer == renewed || answer == same {
				c.stolen = c.current()
			}
		},
		"thief uses": func(t *rapid.T) {
			c := m.robbed(t)
			m.show(t, c, c.stolen)
		},
		"any pair ever seen": func(t *rapid.T) {
			c := m.any(t)
			token := pick(t, "token", c.tokens)
			c.hurt = true
			m.refresh(t, c, token, rapid.SampledFrom([]int{1, 1, 4}).Draw(t, "times"))
		},
		"any token ever seen": func(t *rapid.T) {
			c := m.any(t)
			token := pick(t, "token", c.tokens)
			c.hurt = true
			m.show(t, c, token)
		},
		"without the right refresh token": func(t *rapid.T) {
			c := m.any(t)
			token := pick(t, "token", c.tokens)
			wrongs := []model.Secret{"", "rt1_x_y", c.refresh[:len(c.refresh)-1], c.refresh + "A"}
			for _, other := range m.chains {
				if other != c {
					wrongs = append(wrongs, other.refresh)
				}
			}
			_, err := m.on().refresh(token.raw, pick(t, "refresh token", wrongs))
			if codeOf(err) != model.ErrRefreshToken.Code {
				t.Fatalf("answered with %v", err)
			}
			m.compare(t, c)
		},
		"time": m.pass,
		"restart": func(t *rapid.T) {
			m.restart(rapid.IntRange(0, 1).Draw(t, "instance"))
		},
	}
}

// robbed is a session with a thief, who hurts it from now on.
func (m *refreshModel) robbed(t *rapid.T) *chain {
	robbed := slices.DeleteFunc(slices.Clone(m.chains), func(c *chain) bool { return c.stolen == nil })
	if len(robbed) == 0 {
		t.Skip("nothing was stolen yet")
	}
	c := pick(t, "robbed session", robbed)
	c.hurt = true
	return c
}

// pass lets time pass, often to a moment that decides something.
func (m *refreshModel) pass(t *rapid.T) {
	c := m.any(t)
	now, grace := m.now(), c.at.Add(m.times.grace)
	moments := []model.Time{
		now + 1, now.Add(time.Second), now.Add(20 * time.Second), now.Add(40 * time.Second), now.Add(20 * time.Minute),
		grace - 1, grace, grace + 1, grace + 1, c.current().claims.ExpiresAt - 1, c.current().claims.ExpiresAt,
	}
	if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
		moments = []model.Time{c.idle - 1, c.idle, c.end - 1, c.end}
	}
	to := rapid.SampledFrom(moments).Draw(t, "moment")
	if to <= now {
		t.Skip("that was before")
	}
	m.first.clock.Advance(to.Sub(now))
}

// checksOf sets how many runs rapid makes, unless -rapid.checks says otherwise.
func checksOf(t *testing.T, n int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	old := checks.Value.String()
	if old != checks.DefValue {
		return
	}
	if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(old) })
}

// modelChecks is the number of runs by kind of database.
var modelChecks = map[string]int{repository.SQLite: 100, repository.MySQL: 30}

func TestRefreshModel(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		checksOf(t, modelChecks[db.Driver()])
		rapid.Check(t, func(t *rapid.T) {
			m := newRefreshModel(t, in)
			t.Repeat(m.commands())
			m.compareLogs(t)
		})
	})
}

// TestTwoHoldersAreFoundOut: two holders of one pair each act after the grace. The
// second one's act ends the session, or the act after it if no token was shown in
// between. Until then an honest client alone never loses its session.
func TestTwoHoldersAreFoundOut(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		checksOf(t, modelChecks[db.Driver()]/2)
		rapid.Check(t, func(t *rapid.T) {
			in.clock.Advance(time.Hour)
			number := fmt.Sprintf("139%08d", numbersTaken.Add(1))
			if _, err := in.sendCode(number); err != nil {
				t.Fatal(err)
			}
			login, err := in.tryLogIn(number, in.phone.last())
			if err != nil {
				t.Fatal(err)
			}
			holders := [2]model.Secret{login.Access.Value, login.Access.Value}
			first := rapid.IntRange(0, 1).Draw(t, "who acts first")
			acts := rapid.IntRange(1, 4).Draw(t, "acts of the first alone")
			shows := false
			for range acts {
				shows = rapid.Bool().Draw(t, "the first shows the token")
				act(t, in, &holders[first], login.Refresh.Value, shows)
			}
			in.clock.Advance(31 * time.Second)
			token, err := in.refresh(holders[1-first], login.Refresh.Value)
			if acts == 1 && !shows {
				if err != nil {
					t.Fatalf("what may have been a lost answer was refused: %v", err)
				}
				holders[1-first] = token.Value
				in.clock.Advance(31 * time.Second)
				_, err = in.refresh(holders[first], login.Refresh.Value)
			}
			if codeOf(err) != model.ErrSessionEnded.Code {
				t.Fatalf("two holders were not found out: %v", err)
			}
		})
	})
}

// act refreshes after the grace and may show the new token.
func act(t *rapid.T, in *instance, access *model.Secret, refresh model.Secret, show bool) {
	in.clock.Advance(31 * time.Second)
	token, err := in.refresh(*access, refresh)
	if err != nil {
		t.Fatalf("an honest client was refused: %v", err)
	}
	*access = token.Value
	if show {
		if _, err := in.sessions.Authenticate(in.t.Context(), token.Value); err != nil {
			t.Fatalf("an honest client's token was refused: %v", err)
		}
	}
}
