package service_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service"
	"menshen/service/code"
)

// TestSessionModel runs sequences of commands against three instances over one
// database and against the rules, which must agree after each command on every
// session, loginAttempt on every instance. The sequences are 5 times rapid's number of
// checks (-rapid.checks, 100): 2 parts on SQLite and 3 on MySQL; 5 on SQLite
// alone with -short.
func TestSessionModel(t *testing.T) {
	parts := map[string]int{repository.SQLite: 2, repository.MySQL: 3}
	if testing.Short() {
		parts[repository.SQLite] = 5
	}
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel() // one waits for the disk while the other works
			d := newDeployment(t, dbtest.OpenFast(t, driver), shortLived)
			for part := range parts[driver] {
				t.Run(fmt.Sprint(part), rapid.MakeCheck(func(t *rapid.T) {
					m := newSessionModel(t, d)
					for _, c := range slices.Concat(commands.Draw(t, "first"), commands.Draw(t, "then"), commands.Draw(t, "last")) {
						m.run(c)
					}
					m.observe(true)
				}))
			}
		})
	}
}

// command is one step of a sequence. Each number chooses among what there is at
// that moment.
type command struct {
	act        string
	a, b, c, d int
}

// acts are the commands, some more often than others.
var acts = strings.Fields(`login login login login login check check check check refresh refresh refresh logout logout delete
	kick ban unban wait wait wait wait wait back restart reload raceLogin raceCheck raceRefresh`)

var commands = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) command {
	return command{acts[uniform(t)%len(acts)], uniform(t), uniform(t), uniform(t), uniform(t)}
}), 0, 9)

// uniform is a number of ten bits. Rapid's own numbers are mostly small ones,
// which are no more interesting here than others.
func uniform(t *rapid.T) (n int) {
	for range 10 {
		n <<= 1
		if coin.Draw(t, "bit") {
			n++
		}
	}
	return n
}

var coin = rapid.Bool()

// sessionModel runs commands against a deployment and against the rules.
type sessionModel struct {
	*rapid.T
	d        *deployment
	on       []*instance
	rules    *rules
	products []model.Product // that the sequence is about
	actor    int             // instance of the last command, -1 when it was several
	latest   model.Time
}

// subjects are the products, by type, that a sequence is about: those of one
// group, or of two.
var subjects = [][]int{{0, 1}, {0, 2}, {2}, {2, 2, 3}, {2, 4}, {3, 4}, {4}}

// skews are by how much the clocks of the processes are off.
var skews = []time.Duration{0, 30 * time.Second, -30 * time.Second}

func newSessionModel(t *rapid.T, shared *deployment) *sessionModel {
	shared.clock.Advance(time.Hour) // out of sight of the sequence before
	d := *shared
	d.catalog.Products = slices.Clone(shared.catalog.Products)
	one, other := shared.number(), shared.number()
	m := &sessionModel{T: t, d: &d, rules: newRules()}
	for _, i := range choose(subjects, uniform(t)) {
		m.products = append(m.products, d.catalog.Products[i])
	}
	for _, u := range []ruledUser{{company: 0, number: one}, {company: 1, number: one}, {company: 0, number: other}} {
		u.logins, u.newest = map[string]int64{}, map[string]model.Time{}
		m.rules.users = append(m.rules.users, &u)
	}
	for _, p := range d.catalog.Products {
		m.rules.places[p.Group] = p.MaxSessions
	}
	for _, skew := range skews {
		m.on = append(m.on, d.start(skew))
	}
	return m
}

// choose returns the element that n selects, or the zero value if there is none.
func choose[T any](from []T, n int) (one T) {
	if len(from) == 0 {
		return one
	}
	return from[n%len(from)]
}

// run does one command. A wait may go unobserved, so that others find sessions
// whose time has come.
func (m *sessionModel) run(c command) {
	m.rules.now = model.TimeOf(m.d.clock.Now())
	m.latest = max(m.latest, m.rules.now)
	m.actor = c.d % len(m.on)
	on := m.on[m.actor]
	if len(m.going()) == 0 && !strings.Contains("raceLogin unban back restart reload", c.act) {
		c.act = "login" // for the others there is little to do
	}
	switch c.act {
	case "login":
		m.login(on, c)
	case "raceLogin":
		m.raceLogin(c)
	case "restart":
		m.on[m.actor] = m.d.start(skews[m.actor])
	case "reload":
		m.reload(c)
	case "wait", "back":
		m.wait(c)
		if c.d%2 == 0 {
			return
		}
	case "ban", "unban", "kick":
		m.operate(on, c)
	default:
		m.withSession(on, c)
	}
	m.observe(false)
}

// withSession runs a command on some session, preferably a live one.
func (m *sessionModel) withSession(on *instance, c command) {
	all := m.sessions()
	if going := m.going(); c.a%8 != 0 && len(going) > 0 {
		all = going
	}
	s := choose(all, c.a/8)
	if s == nil {
		return
	}
	newest := len(s.access)
	gen := choose([]int{newest, newest, max(1, newest-1), 1 + c.b/4%newest}, c.b)
	switch c.act {
	case "check":
		m.check(on, s, gen, c)
	case "refresh":
		m.refresh(s, gen, []*instance{on})
	case "raceRefresh":
		m.actor = -1
		m.refresh(s, gen, []*instance{on, choose(m.on, c.c), choose(m.on, c.c/3)})
	case "raceCheck":
		m.actor = -1
		m.raceCheck(s, gen)
	case "logout":
		m.logout(on, s, gen, choose([]service.Scope{service.ScopeCurrent, service.ScopeOthers, service.ScopeAll}, c.c))
	case "delete":
		m.delete(on, s, gen, choose(m.sessions(), c.c))
	}
}

func (m *sessionModel) sessions() (all []*ruledSession) {
	for _, u := range m.rules.users {
		all = append(all, u.sessions...)
	}
	return all
}

func (m *sessionModel) going() (going []*ruledSession) {
	for _, u := range m.rules.users {
		going = append(going, u.going("")...)
	}
	return going
}

// devices are few, so that they meet again.
var devices = []string{"d1", "d2", "d3"}

func (m *sessionModel) asks(c command) loginAttempt {
	a := loginAttempt{
		user: choose(m.rules.users, c.a%5%3), product: choose(m.products, c.b), device: choose(devices, c.c), label: choose([]string{"Pixel 9", ""}, c.c/4),
	}
	if c.b/2%2 == 0 {
		a.device = ""
	}
	if s := choose(a.user.going(a.product.Group), c.a/3); s != nil && c.c/8%3 == 0 {
		a.replace = s.id
	}
	return a
}

func (m *sessionModel) send(on *instance, u *ruledUser) {
	_, err := on.codes.Send(m.Context(), code.SendRequest{CompanyType: u.company, Mobile: u.number, Purpose: model.PurposeLogin})
	m.must(err)
}

func (m *sessionModel) enter(on *instance, a loginAttempt) (service.LoginResult, error) {
	return on.login.Do(m.Context(), service.LoginRequest{
		CompanyType: a.user.company, ProductType: a.product.Type, Mobile: a.user.number, ValidateNo: fixedCode, DeviceNumber: a.device,
		ReplaceSession: a.replace, Caller: model.Caller{Device: a.label},
	})
}

func (m *sessionModel) login(on *instance, c command) {
	a := m.asks(c)
	m.send(on, a.user)
	result, err := m.enter(on, a)
	m.loggedIn(on, a, result, err)
	if errors.Is(err, model.ErrDeviceLimit) && c.d%2 == 0 { // the way out, with the same code
		a.replace = choose(model.AsFailure(err).Data().(service.DevicesInUse).Devices, c.d).ID
		result, err = m.enter(on, a)
		m.loggedIn(on, a, result, err)
	}
}

// loggedIn compares the outcome of a login and remembers the session.
func (m *sessionModel) loggedIn(on *instance, a loginAttempt, result service.LoginResult, err error) {
	s, displaced, want := m.rules.login(a)
	m.wantFailure("login", err, want)
	if want != nil {
		return
	}
	claims := m.verify(on, result.Access.Value)
	if a.user.id == 0 {
		a.user.id = claims.UserID
	}
	if claims.UserID != a.user.id || claims.CompanyType != a.user.company || result.Displaced != displaced || result.Refresh.Expire != s.ends {
		m.Fatalf("login: %+v of %+v, want user %d, %d displaced, the end %v", claims, result, a.user.id, displaced, s.ends)
	}
	s.id, s.refresh = claims.SessionID, result.Refresh.Value
	m.minted(on, s, result.Access)
	probe := claims
	probe.Gen, probe.IssuedAt, probe.ExpiresAt = 0, 1000, lastSecond*1000
	text, err := on.tokens.Sign(probe)
	m.must(err)
	s.probe = model.Secret(text)
}

// minted checks the session's newest token and keeps it.
func (m *sessionModel) minted(on *instance, s *ruledSession, token service.IssuedToken) {
	want := &s.access[len(s.access)-1]
	claims := m.verify(on, token.Value)
	if claims.SessionID != s.id || claims.ExpiresAt != want.exp || token.Expire != want.exp {
		m.Fatalf("token %+v of session %s ends at %v, want %v", claims, s.id, token.Expire, want.exp)
	}
	if want.raw != "" && want.claims != claims {
		m.Fatalf("token %+v is not the newest one, %+v", claims, want.claims)
	}
	want.raw, want.claims = token.Value, claims
}

func (m *sessionModel) verify(on *instance, raw model.Secret) model.Claims {
	claims, err := on.tokens.Verify(string(raw))
	m.must(err)
	return claims
}

func (m *sessionModel) check(on *instance, s *ruledSession, gen int, c command) {
	device := choose(devices, c.c/4)
	if other := choose(s.user.going(s.product.Group), c.b); other != nil && other.device != "" && s.device == "" && c.c%2 == 0 {
		device = other.device
	} else if s.device != "" && c.c%4 != 0 {
		device = s.device
	}
	want, failure := m.rules.check(s, gen, device)
	got, err := on.sessions.Check(m.Context(), m.verify(on, s.access[gen-1].raw), device, model.Caller{})
	m.wantFailure("check", err, failure)
	m.wantChecked(s, got, want)
}

func (m *sessionModel) wantChecked(s *ruledSession, got service.CheckResult, state service.LoginState) {
	want := service.CheckResult{State: state, IsLogin: state == service.StateActive || state == service.StateBound}
	if !want.IsLogin && state != "" {
		want.LastLoginTime = s.lastLogin()
	}
	if got.Until = 0; got != want { // when to ask again is for those who wait
		m.Fatalf("check of %s: %+v, want %+v", s.id, got, want)
	}
}

// refresh sends one pair to each of the instances at once. All get the same.
func (m *sessionModel) refresh(s *ruledSession, gen int, on []*instance) {
	want := m.rules.renew(s, gen)
	tokens, errs := make([]service.IssuedToken, len(on)), make([]error, len(on))
	together(len(on), func(i int) {
		tokens[i], errs[i] = on[i].sessions.Refresh(m.Context(), s.access[gen-1].raw, s.refresh, model.Caller{})
	})
	for i := range on {
		if m.wantFailure("refresh", errs[i], want); want == nil {
			m.minted(on[i], s, tokens[i])
		}
	}
}

func (m *sessionModel) logout(on *instance, s *ruledSession, gen int, scope service.Scope) {
	var want *model.Failure
	ended := 0
	switch {
	case scope == service.ScopeCurrent && !m.rules.gone(s) && m.rules.now >= s.access[gen-1].exp && gen < s.replaced:
		want = model.ErrStalePair
	case scope == service.ScopeCurrent:
		ended = m.rules.end(s.user, model.ReasonLoggedOut, func(target *ruledSession) bool { return target == s })
	default:
		if want = m.rules.authenticate(s, gen); want == nil {
			ended = m.rules.end(s.user, model.ReasonLoggedOut, func(target *ruledSession) bool { return scope == service.ScopeAll || target != s })
		}
	}
	token := s.access[gen-1]
	got, err := on.sessions.Logout(m.Context(), token.raw, m.verify(on, token.raw), scope, model.Caller{})
	m.wantFailure("logout", err, want)
	m.wantEnded("logout "+string(scope), got, ended)
}

func (m *sessionModel) delete(on *instance, s *ruledSession, gen int, target *ruledSession) {
	want := m.rules.authenticate(s, gen)
	owner, err := on.sessions.Authenticate(m.Context(), s.access[gen-1].raw)
	if m.wantFailure("authenticate", err, want); want != nil {
		return
	}
	if target.user != s.user {
		want = model.ErrNotFound
	}
	ended := m.rules.end(s.user, model.ReasonLoggedOut, func(s *ruledSession) bool { return s == target })
	got, err := on.sessions.Delete(m.Context(), owner, target.id, model.Caller{})
	m.wantFailure("delete", err, want)
	m.wantEnded("delete", got, ended)
}

func (m *sessionModel) operate(on *instance, c command) {
	u := choose(m.rules.users, c.a)
	by := service.Operator{Name: "root"}
	if u.id == 0 {
		return
	}
	switch c.act {
	case "unban":
		m.must(on.admin.Unban(m.Context(), by, u.id, ""))
		u.banned = 0
	case "ban":
		until := choose([]model.Time{0, m.rules.now.Add(time.Second), m.rules.now.Add(time.Minute)}, c.b)
		if u.banned = until; until == 0 {
			u.banned = model.Forever
		}
		ended := m.rules.end(u, model.ReasonBanned, everySession)
		got, err := on.admin.Ban(m.Context(), by, u.id, "abuse", until)
		m.must(err)
		m.wantEnded("ban", got, ended)
	default:
		m.kick(on, u, c)
	}
}

func (m *sessionModel) kick(on *instance, u *ruledUser, c command) {
	var target service.KickTarget
	product := choose(m.products, c.c).Type
	switch c.b % 3 {
	case 0:
		target.ProductType = &product
	case 1:
		target.SessionID = "NOBODYSSESSION"
		if s := choose(m.sessions(), c.c); s != nil {
			target.SessionID = s.id
		}
	}
	ended := m.rules.end(u, model.ReasonKicked, func(s *ruledSession) bool {
		return (target.ProductType == nil || s.product.Type == product) && (target.SessionID == "" || s.id == target.SessionID)
	})
	got, err := on.admin.Kick(m.Context(), service.Operator{Name: "root"}, u.id, target, "abuse")
	m.must(err)
	m.wantEnded("kick", got, ended)
}

// wait moves the clock, often to just before, at or after a moment that
// matters. Back is a step of the clock, by which no end may be undone; a token
// from a future that is further away than tokenSkew would be refused.
func (m *sessionModel) wait(c command) {
	to := m.rules.now + choose([]model.Time{1, 400, 1000, 5000, 30_000, 60_000, 200_000, 800_000}, c.b)
	if s := choose(m.going(), c.a/4); s != nil && c.a%4 != 0 {
		grace := s.minted.Add(reuseGrace)
		to = choose([]model.Time{s.idle, s.idle, s.ends, s.access[len(s.access)-1].exp, grace, grace + 1, grace + 1}, c.b) + choose([]model.Time{-1, 0, 0, 1}, c.c)
	} else if u := choose(m.rules.users, c.a); c.b%3 == 0 {
		to = u.banned
	}
	if c.act == "back" {
		to = max(m.rules.now-choose([]model.Time{1, 1000, 20_000}, c.b), m.latest.Add(-tokenSkew)+1000)
	} else if to <= m.rules.now || to > m.rules.now.Add(shortRefresh) {
		return
	}
	m.d.clock.Advance(to.Sub(m.rules.now))
	m.rules.now = to
}

// reload gives a group another number of places, which counts from the next
// login on.
func (m *sessionModel) reload(c command) {
	group := choose(m.products, c.a).Group
	m.rules.places[group] = 1 + c.b%3
	products := slices.Clone(m.d.catalog.Products)
	for i := range products {
		if products[i].Group == group {
			products[i].MaxSessions = m.rules.places[group]
		}
	}
	m.d.catalog.Products = products
	for _, on := range m.on {
		on.login.Catalog, on.codes.Catalog, on.sessions.Catalog, on.admin.Catalog = m.d.catalog, m.d.catalog, m.d.catalog, m.d.catalog
	}
}

// raceLogin sends one right code several times at once: exactly one of the
// logins wins, and at no commit are there more sessions than places.
func (m *sessionModel) raceLogin(c command) {
	const racers = 4
	a := m.asks(c)
	m.send(m.on[m.actor], a.user)
	results, errs := make([]service.LoginResult, racers), make([]error, racers)
	var crowded sync.Map
	m.d.commits = func() { m.crowded(&crowded) }
	together(racers, func(i int) { results[i], errs[i] = m.enter(m.on[i%len(m.on)], a) })
	m.d.commits = nil
	crowded.Range(func(key, value any) bool {
		m.Fatalf("user %v has %v active sessions in a group", key, value)
		return false
	})
	winner := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, model.ErrCode) })
	if winner < 0 {
		m.Fatalf("of %d logins with one code none won: %v", racers, errs)
	}
	for i, err := range errs {
		if i != winner && !errors.Is(err, model.ErrCode) && !errors.Is(err, model.ErrDeviceLimit) {
			m.Fatalf("two of %d logins with one code came through: %v, %v", racers, errs[winner], err)
		}
	}
	m.actor = winner % len(m.on)
	m.loggedIn(m.on[m.actor], a, results[winner], errs[winner])
}

// crowded looks for more active sessions than the group has places, and had
// before the places became fewer.
func (m *sessionModel) crowded(found *sync.Map) {
	for _, u := range m.rules.users {
		if u.id == 0 {
			continue
		}
		rows, err := m.reads().QueryContext(m.Context(), "SELECT product_group, COUNT(*) FROM sessions WHERE user_id = ? AND active_slot IS NOT NULL GROUP BY product_group", u.id)
		if err != nil {
			found.Store(u.id, err)
			return
		}
		for rows.Next() {
			var group string
			var n int
			if err := rows.Scan(&group, &n); err != nil || n > max(m.rules.places[group], len(u.going(group))) {
				found.Store(u.id, n)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			found.Store(u.id, err)
		}
	}
}

func (m *sessionModel) reads() *sql.DB {
	if pool, ok := m.d.db.Pools()["read"]; ok {
		return pool
	}
	return m.d.db.Pools()["write"]
}

// raceCheck checks a session with several devices at once: the one that the
// session is bound to afterwards is the only one whose answer says so.
func (m *sessionModel) raceCheck(s *ruledSession, gen int) {
	results, errs := make([]service.CheckResult, len(m.on)), make([]error, len(m.on))
	claims := m.verify(m.on[0], s.access[gen-1].raw)
	together(len(m.on), func(i int) {
		results[i], errs[i] = m.on[i].sessions.Check(m.Context(), claims, devices[i], model.Caller{})
	})
	winner := s.device
	if row, err := m.on[0].sessions.Store.ByID(m.Context(), s.id); err == nil && winner == "" {
		winner = row.DeviceNumber
	}
	if winner == "" { // it has ended, or the token has expired
		winner = devices[0]
	}
	first, failure := m.rules.check(s, gen, winner)
	for i := range m.on {
		m.wantFailure("raced check", errs[i], failure)
		want := first
		if (first == service.StateBound || first == service.StateActive) && devices[i] != winner {
			want = service.StateDeviceMismatch
		}
		m.wantChecked(s, results[i], want)
	}
}

// observe asks every instance about the sessions and looks into the database.
// The instance that did the last command knows at once; another one errs only
// towards yes, and no more once it has read the log.
func (m *sessionModel) observe(all bool) {
	late := (m.actor + 1) % len(m.on)
	for _, s := range m.sessions() {
		if !s.changed {
			continue
		}
		if m.actor >= 0 {
			m.ask(m.on[m.actor], s, false)
		}
		m.ask(m.on[late], s, true)
	}
	for i, on := range m.on {
		m.must(on.follower.Poll(m.Context()))
		for _, s := range m.sessions() {
			if all || s.changed || s.reason == "" || i == late {
				m.ask(on, s, false)
			}
		}
	}
	m.inspect()
	for _, s := range m.sessions() {
		s.changed = false
	}
}

// ask asks without a trace: the probe is a token of the session older than all.
func (m *sessionModel) ask(on *instance, s *ruledSession, mayBeLate bool) {
	gone := m.rules.gone(s)
	claims := m.verify(on, s.probe)
	live, err := on.sessions.Authenticate(m.Context(), s.probe)
	if mayBeLate && gone && err == nil {
		return
	}
	if !gone {
		if err != nil || live.ID != s.id || live.UserID != s.user.id || live.ProductGroup != s.product.Group || live.ProductType != s.product.Type {
			m.Fatalf("session %s lives: %+v, error %v", s.id, live, err)
		}
		if s.device == "" {
			return
		}
	} else {
		m.wantFailure("authenticate", err, s.failure())
		m.wantEndData(s, model.AsFailure(err).Data())
	}
	want := service.StateActive
	if gone {
		want = service.LoginState(s.reason)
	}
	got, err := on.sessions.Check(m.Context(), claims, "d1"+s.device, model.Caller{})
	if gone {
		m.must(err)
		m.wantChecked(s, got, want)
		return
	}
	got, err = on.sessions.Check(m.Context(), claims, s.device, model.Caller{})
	m.must(err)
	m.wantChecked(s, got, want)
}

// wantEndData checks what the refusal says of the end.
func (m *sessionModel) wantEndData(s *ruledSession, data any) {
	want := any(service.Ended{Reason: s.reason, LastLoginTime: s.lastLogin()})
	if told, ok := data.(service.Displaced); ok && s.reason == model.ReasonDisplaced {
		by := ""
		if told.By != nil {
			by = *told.By
		}
		if by != s.by {
			m.Fatalf("session %s was displaced by %q, want %q", s.id, by, s.by)
		}
		data = told.Ended
	}
	if data != want {
		m.Fatalf("session %s ended: %+v, want %+v", s.id, data, want)
	}
}

// inspect compares the rows with the rules.
func (m *sessionModel) inspect() {
	m.inspectSessions()
	m.inspectSlots()
	m.inspectEvents()
}

// rowsOf runs a query for the users of the sequence and gives each row to see.
func (m *sessionModel) rowsOf(query string, see func(scan func(columns ...any))) {
	ids := []string{"-1"}
	for _, u := range m.rules.users {
		if u.id != 0 { // 0: has not logged in yet
			ids = append(ids, fmt.Sprint(u.id))
		}
	}
	rows, err := m.reads().QueryContext(m.Context(), strings.Replace(query, "?", strings.Join(ids, ","), 1))
	m.must(err)
	for rows.Next() {
		see(func(columns ...any) { m.must(rows.Scan(columns...)) })
	}
	m.must(errors.Join(rows.Err(), rows.Close()))
}

func (m *sessionModel) inspectSessions() {
	want := map[string]*ruledSession{}
	for _, s := range m.sessions() {
		want[s.id] = s
		if s.reason == "" && m.latest < s.user.banned {
			m.Fatalf("session %s of a banned user lives", s.id)
		}
	}
	place := map[string]string{}
	m.rowsOf("SELECT id, user_id, epoch, login_at, gen, active_slot, ended_at, end_reason FROM sessions WHERE user_id IN (?)", func(scan func(...any)) {
		var id, reason string
		var user, epoch, gen int64
		var login, ended model.Time
		var slot sql.NullInt64
		scan(&id, &user, &epoch, &login, &gen, &slot, &ended, &reason)
		s := want[id]
		delete(want, id)
		if s == nil || user != s.user.id || epoch != s.epoch || login != s.login || gen != int64(len(s.access)) {
			m.Fatalf("session %s of user %d: epoch %d, login %v, gen %d; want %+v", id, user, epoch, login, gen, s)
		}
		if reason != string(s.reason) || slot.Valid != (s.reason == "") || (ended == 0) != (s.reason == "") {
			m.Fatalf("session %s: reason %q, ended at %v, place %v; want %q", id, reason, ended, slot, s.reason)
		}
		at := fmt.Sprint(user, s.product.Group, slot.Int64)
		if other, taken := place[at]; slot.Valid && (taken || slot.Int64 < 0 || slot.Int64 > 2) {
			m.Fatalf("sessions %s and %s hold place %s", id, other, at)
		} else if slot.Valid {
			place[at] = id
		}
	})
	if len(want) > 0 {
		m.Fatalf("%d sessions are not in the database", len(want))
	}
}

func (m *sessionModel) inspectSlots() {
	m.rowsOf("SELECT user_id, product_group, epoch, login_at FROM slots WHERE user_id IN (?)", func(scan func(...any)) {
		var user, epoch int64
		var group string
		var login model.Time
		scan(&user, &group, &epoch, &login)
		for _, u := range m.rules.users {
			if u.id == user && (u.logins[group] != epoch || u.newest[group] != login) {
				m.Fatalf("slot %d %s: epoch %d, login %v; want %d, %v", user, group, epoch, login, u.logins[group], u.newest[group])
			}
		}
	})
}

// inspectEvents counts one line for each end, of its kind, and one for each login.
func (m *sessionModel) inspectEvents() {
	want := map[string]int{}
	for _, s := range m.sessions() {
		want[s.id+" "+string(model.EventLogin)] = 1
		if s.reason != "" {
			want[s.id+" "+string(service.EndKinds[s.reason])] = 1
		}
	}
	m.rowsOf(`SELECT session_id, kind FROM events WHERE user_id IN (?) AND session_id <> ''
		AND kind IN ('login', 'displaced', 'relogin', 'logout', 'kick', 'ban', 'reuse', 'expired', 'user_deleted')`, func(scan func(...any)) {
		var session, kind string
		scan(&session, &kind)
		want[session+" "+kind]--
	})
	for line, n := range want {
		if n != 0 {
			m.Fatalf("%q is told %d times, want once", line, 1-n)
		}
	}
}

// TestPlaces: the place of a new session is one of those that the group has, so
// that the unique index holds the limit.
func TestPlaces(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		for product, places := range map[int32]int64{0: 1, 2: 3} {
			number := d.number()
			for n := range 7 {
				p := i.logIn(number, onDevice(product, fmt.Sprint("d", n)))
				want := min(int64(n)+1, places)
				const active = " FROM sessions WHERE user_id = ? AND product_type = ? AND active_slot IS NOT NULL"
				if got := d.count("SELECT COUNT(*)"+active, p.user, product); got != want {
					t.Errorf("%d active sessions, want %d", got, want)
				}
				if got := d.count("SELECT MAX(active_slot)"+active, p.user, product); got != want-1 {
					t.Errorf("the last place is %d of %d", got, places)
				}
			}
		}
	})
}

// TestLatestEndOfTokens: the row remembers the latest end of all tokens of the
// session, also after the life of tokens became shorter or the clock stepped
// back: the feed of revocations goes by it.
func TestLatestEndOfTokens(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(0, "d"))
		latest := func() model.Time {
			return model.Time(d.count("SELECT max_exp FROM sessions WHERE id = ?", p.session))
		}
		if latest() != p.claims.ExpiresAt {
			t.Errorf("the latest end is %v, want %v", latest(), p.claims.ExpiresAt)
		}
		i.sessions.AccessTTL = time.Minute
		token, err := i.sessions.Refresh(t.Context(), p.access, p.refresh, model.Caller{})
		if err != nil || token.Expire >= p.claims.ExpiresAt || latest() != p.claims.ExpiresAt {
			t.Errorf("after a token until %v the latest end is %v, want %v; error %v", token.Expire, latest(), p.claims.ExpiresAt, err)
		}
		i.sessions.AccessTTL = tokenTTL
		d.clock.Advance(time.Minute)
		token, err = i.sessions.Refresh(t.Context(), token.Value, p.refresh, model.Caller{})
		if err != nil || latest() != token.Expire || token.Expire <= p.claims.ExpiresAt {
			t.Errorf("after a token until %v the latest end is %v; error %v", token.Expire, latest(), err)
		}
	})
}

func (m *sessionModel) must(err error) {
	if err != nil {
		m.Fatalf("%v", err)
	}
}

func (m *sessionModel) wantFailure(doing string, err error, want *model.Failure) {
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		m.Fatalf("%s: error %v, want %v", doing, err, want)
	}
}

func (m *sessionModel) wantEnded(doing string, got, want int) {
	if got != want {
		m.Fatalf("%s ended %d, want %d", doing, got, want)
	}
}

var _ service.Tx = (*deployment)(nil)
