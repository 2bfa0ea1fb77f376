package service_test

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"menshen/app"
	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/token"
	"menshen/service/vault"
)

// The numbers and products of most tests.
const (
	alice = "13800138000"
	bob   = "13900139000"

	mobileApp = int32(0) // alone in its group
	pc        = int32(1) // alone in its group
	tv        = int32(2) // at most two sessions
	box       = int32(3) // of the group of tv
	pos       = int32(4) // at most two sessions, refuses more
)

// deployment is what the instances of one service share: the database, the clock,
// the secrets, the signing keys, the phone that receives every code.
type deployment struct {
	t       testing.TB
	app     *app.App
	db      *repository.DB
	clock   *service.FakeClock
	phone   *inbox
	keys    *token.KeyRing
	holds   []byte // fills of the secrets, the current one first
	catalog model.Catalog
	newCode func(length int) string
	commits func()        // called after each transaction; may be nil
	numbers *atomic.Int64 // numbers that were given out
}

// instance is one process of a deployment: all services, wired by package app, over
// a real database. Only the clock, the provider and the making of codes are the
// test's.
type instance struct {
	*deployment
	vault     *vault.Vault
	codes     *code.Sender
	admission *code.Admission
	quotas    *code.Quotas
	delivery  *code.Delivery
	verifier  *code.Verifier
	login     *service.Login
	sessions  *service.Sessions
	users     *service.Users
	admin     *service.Admin
	tokens    *token.Issuer
	follower  *service.Follower
	feed      *service.Feed
	receipts  *code.Receipts
}

// setup is what tests configure.
type setup struct {
	settings []string // environment, without the prefix, in addition to unlimited
	catalog  model.Catalog
	code     model.Secret // of every message; if empty, each message has a code of its own
}

// together and wantFailure are those of the tests inside the package.
var together, wantFailure = service.Together, service.WantFailure

// unlimited are the settings of every deployment: no limit but the attempts of a code.
var unlimited = []string{
	"ENV=dev", "LOG_FORMAT=json", "TOKEN_ALGORITHM=EdDSA", "LIMITS_ENABLED=false", "GUARD_PERCENT=0", "CODE_COOLDOWN=0s",
	"CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_DAILY_BUDGET=0",
	"CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0", "CODE_HOURLY_SHARE=100", "CODE_RESERVE=0", "CODE_FAILS_PER_MOBILE_DAY=0",
}

// standard is the setup of most tests. Its times are the shipped ones: access 15
// minutes, idle 336 hours, refresh 720 hours, grace 30 seconds.
var standard = setup{catalog: model.Catalog{
	Companies: []model.Company{{Type: 0}, {Type: 1}, {Type: 7, Closed: true}},
	Products: []model.Product{
		{Type: mobileApp, Group: "app", MaxSessions: 1},
		{Type: pc, Group: "pc", MaxSessions: 1},
		{Type: tv, Group: "home", MaxSessions: 2},
		{Type: box, Group: "home", MaxSessions: 2},
		{Type: pos, Group: "pos", MaxSessions: 2, Reject: true},
	},
}}

// fixedCode is the code of every message of the setup shortLived.
const fixedCode = model.Secret("123456")

// The times of the setup shortLived.
const (
	tokenTTL     = 15 * time.Minute // as shipped
	shortIdle    = 10 * time.Minute
	shortRefresh = 25 * time.Minute
	reuseGrace   = 30 * time.Second

	tokenSkew  = 30 * time.Second // by which service/token accepts a token of the future
	lastSecond = 253402300799     // the last one of RFC 3339, and of a token
)

// shortLived is the setup of tests over several instances: sessions that end soon,
// and one code for all messages, so that logins may be concurrent.
var shortLived = setup{
	settings: []string{
		"TOKEN_IDLE_TTL=" + shortIdle.String(), "TOKEN_REFRESH_TTL=" + shortRefresh.String(), "CODE_MAX_ATTEMPTS=100",
	},
	catalog: model.Catalog{
		Companies: []model.Company{{Type: 0}, {Type: 1}},
		Products: []model.Product{
			{Type: 0, Group: "app", MaxSessions: 1}, {Type: 1, Group: "app", MaxSessions: 1},
			{Type: 2, Group: "pad", MaxSessions: 3, AccessTTL: 4 * time.Minute, RefreshTTL: 12 * time.Minute},
			{Type: 3, Group: "pc", MaxSessions: 1, Reject: true}, {Type: 4, Group: "tv", MaxSessions: 3, Reject: true},
		},
	},
	code: fixedCode,
}

// newDeployment makes a deployment over an empty database.
func newDeployment(t testing.TB, db *repository.DB, s setup) *deployment {
	t.Helper()
	defaults, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{
		t: t, db: db, clock: service.NewFakeClock(), phone: &inbox{}, holds: []byte{'k'}, numbers: &atomic.Int64{},
	}
	d.catalog = model.Catalog{Companies: slices.Clone(s.catalog.Companies), Products: slices.Clone(s.catalog.Products)}
	d.newCode = d.phone.newCode
	if s.code != "" {
		d.newCode = func(int) string { return string(s.code) }
	}
	environ := []string{"MENSHEN_DATA_DIR=" + t.TempDir()}
	for _, setting := range append(unlimited, s.settings...) {
		environ = append(environ, "MENSHEN_"+setting)
	}
	d.app, err = app.New(app.Process{
		Environ: environ, Out: io.Discard, Err: io.Discard, Now: d.clock.Now, Version: "test", Defaults: defaults,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.keys, err = d.app.OpenKeys(zap.NewNop); err != nil {
		t.Fatal(err)
	}
	return d
}

// start starts an instance, with nothing in its memory. Its own clock is off by skew,
// which must not matter, because the clock of the database counts.
func (d *deployment) start(skew time.Duration) *instance {
	d.t.Helper()
	a := *d.app
	a.Now = func() time.Time { return d.clock.Now().Add(skew) }
	res := a.NewResources(app.Deployment{
		DB: d.db, Vault: d.mustOpenVault(d.holds...), Clock: app.NewClock(d.db, d.clock.Now, d.clock.Now),
		Events: service.EventRecorder{Tx: d, Log: repository.Events{DB: d.db}},
	}, d.keys, zap.NewNop)
	services, err := a.NewServices(a.Config, res, app.Limiters{}, zap.NewNop())
	if err != nil {
		d.t.Fatal(err)
	}
	in := &instance{
		deployment: d, vault: res.Vault, codes: services.Codes, admission: services.Codes.Admission, delivery: services.Codes.Delivery,
		quotas: services.Codes.Admission.Quotas, verifier: services.Login.Codes, login: services.Login, sessions: services.Sessions,
		users: services.Users, admin: services.Admin, tokens: services.Sessions.Tokens, follower: res.Follower, feed: res.Feed, receipts: res.Receipts,
	}
	in.codes.NewCode = d.newCode
	in.delivery.Routes = anyRegion(code.Provider{Name: "phone", Gateway: d.phone})
	in.serve(func(*model.Catalog) {})
	return in
}

// another starts another instance of the deployment.
func (d *deployment) another() *instance { return d.start(0) }

// restart replaces the instance by a new one, which has an empty memory.
func (in *instance) restart() {
	in.t.Helper()
	*in = *in.start(0)
}

// serve changes what the deployment serves, at this instance and those that start
// later.
func (in *instance) serve(change func(c *model.Catalog)) {
	change(&in.catalog)
	in.codes.Catalog, in.login.Catalog, in.sessions.Catalog, in.admin.Catalog = in.catalog, in.catalog, in.catalog, in.catalog
}

// defaults applies the limits of the contract.
func (in *instance) defaults() {
	in.quotas.Limits = code.Limits{
		MaxAttempts: 5, Cooldown: time.Minute, PerMobileHour: 5, PerMobileDay: 10,
		PerIPHour: 100, PerIPDay: 500, PerBlockHour: 500, PerBlockDay: 2000,
		DailyBudget: 10000, HourlyShare: 25, Reserve: 30, FailsPerMobileDay: 20,
	}
}

// Within runs the transactions of all instances.
func (d *deployment) Within(ctx context.Context, act func(ctx context.Context) error) error {
	err := d.db.Within(ctx, act)
	if d.commits != nil {
		d.commits()
	}
	return err
}

// scene is one story of an instance whose database is empty.
type scene struct {
	name string
	run  func(t *testing.T, in *instance)
}

// runScenes runs each scene on every kind of database.
func runScenes(t *testing.T, scenes ...scene) {
	t.Helper()
	eachDB(t, func(t *testing.T, db *repository.DB) {
		for _, s := range scenes {
			t.Run(s.name, func(t *testing.T) { s.run(t, newInstance(t, db)) })
		}
	})
}

// eachDB is dbtest.Each with an SQLite that does not wait for the disk, since no
// test is about a loss of power.
func eachDB(t *testing.T, test func(t *testing.T, db *repository.DB)) {
	t.Helper()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) { test(t, dbtest.OpenFast(t, driver)) })
	}
}

// eachDeployment runs a test on a deployment of the setup shortLived, on every kind of
// database.
func eachDeployment(t *testing.T, test func(t *testing.T, d *deployment)) {
	t.Helper()
	eachDB(t, func(t *testing.T, db *repository.DB) { test(t, newDeployment(t, db, shortLived)) })
}

// tables are those that a scene may leave rows in.
var tables = []string{"users", "slots", "sessions", "codes", "gates", "events", "folds", "messages", "receipts", "puzzles", "followups"}

// newInstance starts the only instance of a deployment. It empties the database first.
func newInstance(t *testing.T, db *repository.DB) *instance {
	t.Helper()
	d := newDeployment(t, db, standard)
	for _, table := range tables {
		d.sql("DELETE FROM " + table)
	}
	return d.start(0)
}

func secretOf(fill byte) []byte { return []byte(strings.Repeat(string(fill), 32)) }

// anyRegion is one route for all numbers.
func anyRegion(providers ...code.Provider) []code.Route {
	return []code.Route{{Regions: []string{code.AnyRegion}, Providers: providers}}
}
