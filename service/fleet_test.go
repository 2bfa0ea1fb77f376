package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// fleet is what the instances of one deployment share: the database and its
// clock, the secret and the keys.
type fleet struct {
	db      *repository.DB
	clock   *keyClock // the database's
	vault   *Vault
	keys    *KeyRing
	catalog Catalog
	commits func() // told after each transaction; nil: nobody
	numbers *atomic.Int64
}

// fleetCode is the code that every message of a fleet holds.
const fleetCode = "123456"

// The times of a fleet. The products of newFleet's catalog are 0 and 1 in the
// group "app", which has one place, 2 in "pad" with three, 3 in "pc" with one
// and the policy "reject", and 4 in "tv" with three and "reject".
const (
	fleetAccess  = 15 * time.Minute
	fleetIdle    = 10 * time.Minute
	fleetRefresh = 25 * time.Minute
	fleetGrace   = 30 * time.Second
)

// newFleet is a deployment over an empty database.
func newFleet(t testing.TB, db *repository.DB) *fleet {
	t.Helper()
	clock := newKeyClock()
	vault, err := OpenVault(t.Context(), repository.Vault{DB: db}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	opts := keyTestOptions(t, clock)
	opts.Algorithm = AlgEdDSA
	f := &fleet{db: db, clock: clock, vault: vault, keys: mustOpenKeys(t, opts), numbers: &atomic.Int64{}}
	f.catalog = Catalog{
		Companies: []Company{{Type: 0}, {Type: 1}},
		Products: []Product{
			{Type: 0, Group: "app", MaxSessions: 1}, {Type: 1, Group: "app", MaxSessions: 1},
			{Type: 2, Group: "pad", MaxSessions: 3, AccessTTL: 4 * time.Minute, RefreshTTL: 12 * time.Minute},
			{Type: 3, Group: "pc", MaxSessions: 1, Reject: true}, {Type: 4, Group: "tv", MaxSessions: 3, Reject: true},
		},
	}
	return f
}

// eachFleet runs a test on a fleet over every kind of database.
func eachFleet(t *testing.T, test func(t *testing.T, f *fleet)) {
	t.Helper()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) { test(t, newFleet(t, dbtest.OpenFast(t, driver))) })
	}
}

// Within is the Tx of the fleet's instances.
func (f *fleet) Within(ctx context.Context, act func(ctx context.Context) error) error {
	err := f.db.Within(ctx, act)
	if f.commits != nil {
		f.commits()
	}
	return err
}

// instance is one process of a fleet.
type instance struct {
	login     *Login
	sessions  *Sessions
	operators *Operators
	codes     *Codes
	tokens    *Tokens
	follower  *Follower
	feed      *Feed
}

// silent is a provider that takes every message.
type silent struct{}

func (silent) Send(context.Context, model.Message) error { return nil }

// start is a new process: its memory is empty. Its own clock is off by skew,
// which matters to nobody, because the database's clock counts.
func (f *fleet) start(skew time.Duration) *instance {
	now, process := f.clock.Now, func() time.Time { return f.clock.Now().Add(skew) }
	numbers := Numbers{DefaultRegion: "CN", Regions: []string{"CN"}}
	users, events, live, hub := repository.Users{DB: f.db}, repository.Events{DB: f.db}, NewLive(process), NewHub()
	i := &instance{
		tokens: &Tokens{Keys: f.keys, Issuer: "menshen", Audience: []string{"menshen"}, Now: now, Seen: NewTokenCache()},
		codes: &Codes{
			Tx: f, Store: repository.Codes{DB: f.db}, Events: events, Providers: []Provider{{Name: "silent", Sender: silent{}}}, Vault: f.vault, Numbers: numbers, Catalog: f.catalog,
			Rules: CodeRules{Length: 6, TTL: 5 * time.Minute, MaxAttempts: 1000}, Now: now, NewCode: func(int) string { return fleetCode },
		},
		follower: &Follower{Log: events, Live: live, Hub: hub, Now: now, Process: process},
		feed:     &Feed{Tx: f, Store: repository.Feed{DB: f.db}, Gates: repository.Codes{DB: f.db}, Hub: hub, Now: now},
	}
	i.sessions = &Sessions{
		Tx: f, Store: repository.Sessions{DB: f.db}, Events: events, Tokens: i.tokens, Catalog: f.catalog, Live: live, Hub: hub,
		AccessTTL: fleetAccess, RefreshTTL: fleetRefresh, IdleTTL: fleetIdle, ReuseGrace: fleetGrace, Now: now,
	}
	i.login = &Login{Codes: i.codes, Users: users, Sessions: i.sessions, Vault: f.vault, Numbers: numbers, Catalog: f.catalog, Now: now}
	i.operators = &Operators{Users: users, Sessions: i.sessions, Vault: f.vault, Numbers: numbers, Catalog: f.catalog, Now: now}
	return i
}

// number is a mobile number that nobody has used.
func (f *fleet) number() string { return fmt.Sprintf("139%08d", f.numbers.Add(1)) }

// phone is a login: whose, where, and what came of it.
type phone struct {
	user    int64
	session string
	access  model.Secret
	refresh model.Secret
	claims  model.Claims
}

// send asks for a code for a login.
func (i *instance) send(t testing.TB, number string) {
	t.Helper()
	if _, err := i.codes.Send(t.Context(), SendRequest{Mobile: number, Purpose: model.PurposeLogin}); err != nil {
		t.Fatal(err)
	}
}

// enter is a login with the code that was sent.
func (i *instance) enter(ctx context.Context, number string, product int32, device string) (phone, error) {
	result, err := i.login.Do(ctx, LoginRequest{
		ProductType: product, Mobile: number, ValidateNo: fleetCode, DeviceNumber: device, Caller: Caller{IP: "192.0.2.1", Device: "phone " + device},
	})
	if err != nil {
		return phone{}, err
	}
	claims, err := i.tokens.Verify(string(result.Access.Value))
	return phone{result.User.User.ID, claims.SessionID, result.Access.Value, result.Refresh.Value, claims}, err
}

// arrive logs in by a new code.
func (i *instance) arrive(t testing.TB, number string, product int32, device string) phone {
	t.Helper()
	i.send(t, number)
	p, err := i.enter(t.Context(), number, product, device)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// poll lets the instance read the log.
func (i *instance) poll(t testing.TB) {
	t.Helper()
	if err := i.follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// state is what a check says of the phone.
func (i *instance) state(t testing.TB, p phone, device string) LoginState {
	t.Helper()
	result, err := i.sessions.Check(t.Context(), p.claims, device, Caller{})
	if err != nil {
		t.Fatal(err)
	}
	if yes := result.State == StateActive || result.State == StateBound; yes != result.IsLogin {
		t.Errorf("isLogin is %v and the state %q", result.IsLogin, result.State)
	}
	return result.State
}

// wantState checks what a check says of the phone.
func (i *instance) wantState(t testing.TB, p phone, device string, want LoginState) {
	t.Helper()
	if got := i.state(t, p, device); got != want {
		t.Errorf("the state is %q, want %q", got, want)
	}
}

// mustExec changes the database behind everybody's back.
func (f *fleet) mustExec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := f.db.Pools()["write"].ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// count is the number that a query gives.
func (f *fleet) count(t testing.TB, query string, args ...any) (n int64) {
	t.Helper()
	if err := f.db.Pools()["write"].QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// line is a line of the log of events.
type line struct{ Kind, Session, Actor, Device, Detail string }

// lines are the user's lines, oldest first, of the kinds that are wanted.
func (f *fleet) lines(t testing.TB, user int64, kinds ...model.Kind) (lines []line) {
	t.Helper()
	rows, err := f.db.Pools()["write"].QueryContext(t.Context(), "SELECT kind, session_id, actor, device, detail FROM events WHERE user_id = ? ORDER BY id", user)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.Kind, &l.Session, &l.Actor, &l.Device, &l.Detail); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(kinds, model.Kind(l.Kind)) {
			lines = append(lines, l)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return lines
}

// together runs act n times at once and waits for all.
func together(n int, act func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range n {
		done.Go(func() {
			ready.Wait()
			act(i)
		})
	}
	ready.Done()
	done.Wait()
}

// wantFailure compares with a row of the table; nil is success.
func wantFailure(t testing.TB, err error, want *model.Failure) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
