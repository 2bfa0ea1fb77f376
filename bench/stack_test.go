package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/router"
	"menshen/service"
)

// stack is the service in this process, wired as package main does, without
// limits on codes and logins.
type stack struct {
	db       *repository.DB
	dsn      string
	login    *service.Login
	codes    *service.Codes
	sessions *service.Sessions
	tokens   *service.Tokens
	live     *service.Live
	handler  http.Handler

	numbers atomic.Int64
	sent    sync.Map // newest code by number in E.164
}

// Send is the provider of messages.
func (s *stack) Send(_ context.Context, m model.Message) error {
	s.sent.Store(m.Mobile.E164(), m.Code)
	return nil
}

// eachDatabase runs a benchmark on SQLite and, with a server for tests, on MySQL.
func eachDatabase(b *testing.B, run func(b *testing.B, s *stack)) {
	b.Helper()
	drivers := []string{repository.SQLite}
	if os.Getenv(dbtest.ServerVariable) != "" {
		drivers = append(drivers, repository.MySQL)
	}
	for _, driver := range drivers {
		b.Run(driver, func(b *testing.B) { run(b, newStack(b, driver)) })
	}
}

func newStack(b *testing.B, driver string) *stack {
	b.Helper()
	s := &stack{dsn: dbtest.DSN(b, driver), live: service.NewLive(time.Now), tokens: newTokens(b)}
	db := s.open(b, driver)
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	vault, err := service.OpenVault(b.Context(), repository.Vault{DB: db}, secret[:])
	if err != nil {
		b.Fatal(err)
	}
	s.tokens.Seen = service.NewTokenCache()
	hub, events := service.NewHub(), repository.Events{DB: db}
	numbers := service.Numbers{DefaultRegion: "CN", Regions: []string{"CN"}}
	catalog := service.Catalog{Companies: []service.Company{{}}, Products: []service.Product{{Group: "app", MaxSessions: 1}}}
	s.codes = &service.Codes{
		Tx: db, Store: repository.Codes{DB: db}, Events: events, Providers: []service.Provider{{Name: "stack", Sender: s}}, Vault: vault, Numbers: numbers, Catalog: catalog,
		Rules: service.CodeRules{Length: 6, TTL: 10 * time.Minute, MaxAttempts: 5}, Now: time.Now, NewCode: service.RandomCode,
	}
	s.sessions = &service.Sessions{
		Tx: db, Store: repository.Sessions{DB: db}, Events: events, Catalog: catalog, Tokens: s.tokens, Live: s.live, Hub: hub,
		AccessTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour, IdleTTL: 336 * time.Hour, ReuseGrace: 30 * time.Second, Now: time.Now,
	}
	s.login = &service.Login{
		Codes: s.codes, Users: repository.Users{DB: db}, Sessions: s.sessions, Vault: vault, Numbers: numbers, Catalog: catalog, Now: time.Now,
	}
	s.handler = newHandler(b, s.sessions)
	followLog(b, &service.Follower{
		Log: events, Live: s.live, Hub: hub, Now: time.Now, Process: time.Now, Report: func(err error) { b.Log(err) },
	})
	return s
}

// open makes the schema and closes the database after the benchmark.
func (s *stack) open(b *testing.B, driver string) *repository.DB {
	b.Helper()
	var err error
	if s.db, err = repository.Open(b.Context(), driver, s.dsn); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.db.Close() })
	if _, err := s.db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s.db
}

func newTokens(b *testing.B) *service.Tokens {
	b.Helper()
	keys, err := service.OpenKeys(service.KeyOptions{
		Dir: filepath.Join(b.TempDir(), "keys"), Algorithm: service.AlgES256, RefreshTTL: 720 * time.Hour, Generate: true, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	return &service.Tokens{Keys: keys, Issuer: "menshen", Audience: []string{"menshen"}, Now: time.Now}
}

// followLog reads the log while the benchmark runs: without that no session is
// believed from memory.
func followLog(b *testing.B, f *service.Follower) {
	b.Helper()
	if err := f.Poll(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var owned sync.WaitGroup
	owned.Go(func() { f.Run(ctx, service.FollowEvery) })
	b.Cleanup(func() { stop(); owned.Wait() })
}

// newHandler is the public API, with its log written to nowhere and a limit of
// checks that is never reached.
func newHandler(b *testing.B, sessions *service.Sessions) http.Handler {
	b.Helper()
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	out := zapcore.Lock(file)
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), out, zapcore.InfoLevel))
	return router.Public{
		Session: controller.Session{Sessions: sessions, Now: time.Now},
		Verify:  sessions.Tokens.Verify, Authenticate: sessions.Authenticate,
		CheckLimit: middleware.NewLimiter(1_000_000_000, time.Now),
		Edge: router.Edge{
			Envelope: &middleware.Envelope{Locale: "zh-CN", Log: log}, Metrics: middleware.NewMetrics(), Log: log, Lines: out, Now: time.Now,
		},
	}.Handler()
}

// number is a mobile number that nobody has used yet.
func (s *stack) number() string { return fmt.Sprintf("139%08d", s.numbers.Add(1)) }

// send sends a code.
func (s *stack) send(ctx context.Context, mobile string) error {
	_, err := s.codes.Send(ctx, service.SendRequest{Mobile: mobile, Purpose: model.PurposeLogin, Caller: service.Caller{IP: "192.0.2.1"}})
	return err
}

// enter logs in with the newest code.
func (s *stack) enter(ctx context.Context, mobile, device string) (service.LoginResult, error) {
	code, _ := s.sent.Load("+86" + mobile)
	return s.login.Do(ctx, service.LoginRequest{
		Mobile: mobile, ValidateNo: code.(model.Secret), Source: "bench", DeviceNumber: device,
		Caller: service.Caller{IP: "192.0.2.1", Device: "bench"},
	})
}

// newUser logs a new user in.
func (s *stack) newUser(ctx context.Context, device string) (service.LoginResult, error) {
	mobile := s.number()
	if err := s.send(ctx, mobile); err != nil {
		return service.LoginResult{}, err
	}
	return s.enter(ctx, mobile, device)
}
