package service_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service"
)

// The numbers and products that most scenes play with.
const (
	alice = "13800138000"
	bob   = "13900139000"

	app = int32(0) // alone in its group
	pc  = int32(1) // alone in its group
	tv  = int32(2) // at most two sessions
	box = int32(3) // of the group of tv
	pos = int32(4) // at most two sessions, refuses more
)

// world is the service over a real database, with a clock that moves when told
// and a phone that remembers what it was sent.
type world struct {
	t     *testing.T
	db    *repository.DB
	clock *fakeClock
	phone *phone
	keys  *service.KeyRing
	holds []byte // its secrets by their fills, the current one first

	codes    *service.Codes
	login    *service.Login
	sessions *service.Sessions
	users    *service.Users
	vault    *service.Vault
	catalog  service.Catalog
}

// scene is one story on an empty world.
type scene struct {
	name string
	play func(t *testing.T, w *world)
}

// play plays each scene over every kind of database.
func play(t *testing.T, scenes ...scene) {
	t.Helper()
	eachDB(t, func(t *testing.T, db *repository.DB) {
		for _, s := range scenes {
			t.Run(s.name, func(t *testing.T) { s.play(t, newWorld(t, db)) })
		}
	})
}

// eachDB is dbtest.Each with an SQLite that does not wait for the disk: no
// scene pulls the plug.
func eachDB(t *testing.T, test func(t *testing.T, db *repository.DB)) {
	t.Helper()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) { test(t, dbtest.OpenFast(t, driver)) })
	}
}

// tables are all that a scene may leave something in.
var tables = []string{"users", "slots", "sessions", "codes", "gates", "events"}

func newWorld(t *testing.T, db *repository.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: newFakeClock(), phone: &phone{}, holds: []byte{'k'}}
	for _, table := range tables {
		w.sql("DELETE FROM " + table)
	}
	keys, err := service.OpenKeys(service.KeyOptions{
		Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: service.AlgEdDSA, RefreshTTL: 720 * time.Hour, Generate: true, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.keys = keys
	w.catalog = service.Catalog{
		Companies: []service.Company{{Type: 0}, {Type: 1}, {Type: 7, Closed: true}},
		Products: []service.Product{
			{Type: app, Group: "app", MaxSessions: 1},
			{Type: pc, Group: "pc", MaxSessions: 1},
			{Type: tv, Group: "home", MaxSessions: 2},
			{Type: box, Group: "home", MaxSessions: 2},
			{Type: pos, Group: "pos", MaxSessions: 2, Reject: true},
		},
	}
	w.start()
	return w
}

// start makes the services anew over what stays: the database, the keys, the
// clock. It is a restart.
func (w *world) start() {
	w.t.Helper()
	vault := w.mustOpenVault(w.holds...)
	now, numbers := w.clock.Now, service.Numbers{DefaultRegion: "CN", Regions: []string{"CN"}}
	events, users := repository.Events{DB: w.db}, repository.Users{DB: w.db}
	w.vault = vault
	w.codes = &service.Codes{
		Tx: w.db, Store: repository.Codes{DB: w.db}, Events: events, Providers: []service.Provider{{Name: "phone", Sender: w.phone}}, Vault: vault, Numbers: numbers, Catalog: w.catalog,
		Rules: service.CodeRules{Length: 6, TTL: 5 * time.Minute, MaxAttempts: 5}, Now: now, NewCode: w.phone.newCode,
	}
	w.sessions = &service.Sessions{
		Tx: w.db, Store: repository.Sessions{DB: w.db}, Events: events, Catalog: w.catalog,
		Tokens:    &service.Tokens{Keys: w.keys, Issuer: "menshen", Audience: []string{"menshen"}, Now: now},
		AccessTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour, IdleTTL: 336 * time.Hour, ReuseGrace: 30 * time.Second, Now: now,
	}
	w.login = &service.Login{
		Codes: w.codes, Users: users, Sessions: w.sessions, Vault: vault, Numbers: numbers, Catalog: w.catalog, Now: now,
	}
	w.users = &service.Users{
		Tx: w.db, Store: users, Events: events, Codes: w.codes, Sessions: w.sessions, Vault: vault, Numbers: numbers, Now: now,
	}
}

// another is a second instance on the same database, clock and phone.
func (w *world) another() *world {
	w.t.Helper()
	other := *w
	other.start()
	return &other
}

// serve changes what the deployment serves.
func (w *world) serve(change func(c *service.Catalog)) {
	change(&w.catalog)
	w.codes.Catalog, w.login.Catalog, w.sessions.Catalog = w.catalog, w.catalog, w.catalog
}

// defaults puts the limits of the contract in force; without it there are none.
func (w *world) defaults() {
	w.codes.Rules = service.CodeRules{
		Length: 6, TTL: 5 * time.Minute, MaxAttempts: 5, Cooldown: time.Minute, PerMobileHour: 5, PerMobileDay: 10,
		PerIPHour: 100, PerIPDay: 500, DailyBudget: 10000, FailsPerMobileDay: 20,
	}
}

func secretOf(fill byte) []byte { return []byte(strings.Repeat(string(fill), 32)) }

// fakeClock moves when told.
type fakeClock struct{ ms atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.ms.Store(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).UnixMilli())
	return c
}

func (c *fakeClock) Now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *fakeClock) time() model.Time        { return model.Time(c.ms.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// phone is the sender: it remembers.
type phone struct {
	mu       sync.Mutex
	received []model.Message
	made     int
	fail     error                     // the answer of the provider
	during   func(ctx context.Context) // what happens while the provider is asked
}

// Send remembers the message.
func (p *phone) Send(ctx context.Context, message model.Message) error {
	if p.during != nil {
		p.during(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, message)
	return p.fail
}

// newCode is a code that was not made before.
func (p *phone) newCode(length int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made++
	return fmt.Sprintf("%0*d", length, p.made)
}

func (p *phone) messages() []model.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]model.Message(nil), p.received...)
}

// last is the newest code that came.
func (p *phone) last() model.Secret {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.received) == 0 {
		return ""
	}
	return p.received[len(p.received)-1].Code
}

// wrong is a code that never was one.
const wrong = model.Secret("999999")

// ask asks for a code for the app.
func (w *world) ask(mobile string, change ...func(r *service.SendRequest)) (service.SendResult, error) {
	r := service.SendRequest{Mobile: mobile, Purpose: model.PurposeLogin, Caller: service.Caller{IP: "192.0.2.1", RequestID: "r"}}
	for _, c := range change {
		c(&r)
	}
	return w.codes.Send(w.t.Context(), r)
}

// code asks for a code that must come, and gives it.
func (w *world) code(mobile string, change ...func(r *service.SendRequest)) model.Secret {
	w.t.Helper()
	if _, err := w.ask(mobile, change...); err != nil {
		w.t.Fatalf("send a code: %v", err)
	}
	return w.phone.last()
}

func forCompany(t int32) func(r *service.SendRequest) {
	return func(r *service.SendRequest) { r.CompanyType = t }
}

func forPurpose(p model.Purpose) func(r *service.SendRequest) {
	return func(r *service.SendRequest) { r.Purpose = p }
}

func fromIP(ip string) func(r *service.SendRequest) {
	return func(r *service.SendRequest) { r.Caller.IP = ip }
}

// try logs in with a code; changes say how.
func (w *world) try(mobile string, code model.Secret, change ...func(r *service.LoginRequest)) (service.LoginResult, error) {
	r := service.LoginRequest{Mobile: mobile, ValidateNo: code, Source: "store", Caller: service.Caller{IP: "192.0.2.1", RequestID: "r"}}
	for _, c := range change {
		c(&r)
	}
	return w.login.Do(w.t.Context(), r)
}

func on(product int32) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.ProductType = product }
}

func inCompany(t int32) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.CompanyType = t }
}

func withDevice(number, name string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.DeviceNumber, r.Caller.Device = number, name }
}

func replacing(session string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.ReplaceSession = session }
}

// client is what a device keeps after a login.
type client struct {
	service.LoginResult
	access model.Secret
	claims model.Claims
}

// logIn asks for a code and logs in with it, which must succeed.
func (w *world) logIn(mobile string, change ...func(r *service.LoginRequest)) client {
	w.t.Helper()
	r := service.LoginRequest{}
	for _, c := range change {
		c(&r)
	}
	result, err := w.try(mobile, w.code(mobile, forCompany(r.CompanyType)), change...)
	if err != nil {
		w.t.Fatalf("log in: %v", err)
	}
	return client{LoginResult: result, access: result.Access.Value, claims: w.claims(result.Access.Value)}
}

// claims are those of a token that must verify.
func (w *world) claims(access model.Secret) model.Claims {
	w.t.Helper()
	claims, err := w.sessions.Tokens.Verify(string(access))
	if err != nil {
		w.t.Fatalf("verify: %v", err)
	}
	return claims
}

// row is the session as the database has it.
func (w *world) row(c client) model.Session {
	w.t.Helper()
	session, err := repository.Sessions{DB: w.db}.ByID(w.t.Context(), c.claims.SessionID)
	if err != nil {
		w.t.Fatal(err)
	}
	return session
}

func (w *world) check(c client, device string) (service.CheckResult, error) {
	return w.sessions.Check(w.t.Context(), c.claims, device, service.Caller{IP: "192.0.2.1"})
}

func (w *world) refresh(access, refresh model.Secret) (service.IssuedToken, error) {
	return w.sessions.Refresh(w.t.Context(), access, refresh, service.Caller{IP: "192.0.2.1"})
}

// sql runs a statement of the test's own.
func (w *world) sql(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pools()["write"].ExecContext(w.t.Context(), statement, args...); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// count is the single number that a query gives.
func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.Pools()["write"].QueryRowContext(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// texts are the values of a query's one column.
func (w *world) texts(query string, args ...any) (all []string) {
	w.t.Helper()
	rows, err := w.db.Pools()["write"].QueryContext(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// wantEvents compares the kinds of all events, in the order in which they came.
func (w *world) wantEvents(kinds ...model.Kind) {
	w.t.Helper()
	var want []string
	for _, kind := range kinds {
		want = append(want, string(kind))
	}
	if diff := cmp.Diff(want, w.texts("SELECT kind FROM events ORDER BY id")); diff != "" {
		w.t.Errorf("the log differs:\n%s", diff)
	}
}

// failEvents makes the log refuse events of a kind until the returned function
// is called.
func (w *world) failEvents(kind model.Kind) (restore func()) {
	w.t.Helper()
	if w.db.Driver() == repository.SQLite {
		w.sql("CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.kind = '" + string(kind) + "' BEGIN SELECT RAISE(ABORT, 'refused'); END")
	} else {
		w.sql("CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW IF NEW.kind = '" + string(kind) +
			"' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF")
	}
	var once sync.Once
	restore = func() { once.Do(func() { w.sqlAfter("DROP TRIGGER refuse") }) }
	w.t.Cleanup(restore)
	return restore
}

// sqlAfter is sql for cleanups, when the context of the test is over.
func (w *world) sqlAfter(statement string) {
	if _, err := w.db.Pools()["write"].ExecContext(context.WithoutCancel(w.t.Context()), statement); err != nil {
		w.t.Errorf("%s: %v", statement, err)
	}
}

// wantFailure compares with a row of the table; nil is success.
func wantFailure(t testing.TB, err error, want *model.Failure) {
	t.Helper()
	switch {
	case want == nil && err != nil:
		t.Errorf("error %v, want none", err)
	case want != nil && (err == nil || model.AsFailure(err).Code != want.Code):
		t.Errorf("error %v, want %v", err, want)
	}
}

// wantWait is wantFailure for a limit, with its whole seconds.
func wantWait(t testing.TB, err error, want *model.Failure, seconds int64) {
	t.Helper()
	wantFailure(t, err, want)
	if err == nil {
		return
	}
	if got := model.AsFailure(err).RetryAfter(); got != seconds {
		t.Errorf("Retry-After is %d, want %d", got, seconds)
	}
}

// race runs act n times at once and returns the errors.
func race(n int, act func(i int) error) []error {
	errs := make([]error, n)
	var start, end sync.WaitGroup
	start.Add(1)
	for i := range n {
		end.Go(func() {
			start.Wait()
			errs[i] = act(i)
		})
	}
	start.Done()
	end.Wait()
	return errs
}

// wantWinners checks how many succeeded, and that all others lost in the one
// way. That the machine was too slow for a sending's own deadline is no finding.
func wantWinners(t testing.TB, errs []error, want int, lost *model.Failure) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost) && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("a loser got %v, want %v", err, lost)
		}
	}
	if won != want {
		t.Errorf("%d of %d succeeded, want %d", won, len(errs), want)
	}
}
