package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"menshen/app"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/token"
	"menshen/telemetry"
)

// harness is the service in this process, wired by package app, without limits on
// codes and logins. Only the provider of messages is the benchmark's own.
type harness struct {
	db       *repository.DB
	dsn      string
	login    *service.Login
	codes    *code.Sender
	sessions *service.Sessions
	tokens   *token.Issuer
	admin    *service.Admin
	handler  http.Handler

	numbers atomic.Int64
	sent    sync.Map // newest code by number in E.164
}

// Send keeps the code of a message instead of sending it.
func (h *harness) Send(_ context.Context, m model.Message) (model.Sent, error) {
	h.sent.Store(m.Mobile.E164(), m.Code)
	return model.Sent{MessageID: m.ID}, nil
}

// eachDatabase runs a benchmark on SQLite and, with a server for tests, on MySQL.
func eachDatabase(b *testing.B, run func(b *testing.B, h *harness)) {
	b.Helper()
	drivers := []string{repository.SQLite}
	if os.Getenv(dbtest.ServerVariable) != "" {
		drivers = append(drivers, repository.MySQL)
	}
	for _, driver := range drivers {
		b.Run(driver, func(b *testing.B) { run(b, newHarness(b, driver)) })
	}
}

// settings is the environment of the service: one product, no limit that a
// benchmark could reach, no pumping alarms.
func settings(b *testing.B, driver, dsn string) []string {
	b.Helper()
	return []string{
		"MENSHEN_ENV=dev", "MENSHEN_DATA_DIR=" + b.TempDir(), "MENSHEN_DATABASE_DRIVER=" + driver, "MENSHEN_DATABASE_DSN=" + dsn,
		"MENSHEN_LOG_FORMAT=json", "MENSHEN_LIMITS_ENABLED=false", "MENSHEN_GUARD_PERCENT=0", "MENSHEN_CODE_TTL=10m",
		"MENSHEN_CODE_COOLDOWN=0s", "MENSHEN_CODE_PER_MOBILE_HOUR=0", "MENSHEN_CODE_PER_MOBILE_DAY=0",
		"MENSHEN_CODE_PER_IP_HOUR=0", "MENSHEN_CODE_PER_IP_DAY=0", "MENSHEN_CODE_PER_BLOCK_HOUR=0", "MENSHEN_CODE_PER_BLOCK_DAY=0", "MENSHEN_CODE_DAILY_BUDGET=0", "MENSHEN_CODE_FAILS_PER_MOBILE_DAY=0",
		`MENSHEN_COMPANIES=[{"type":0,"name":"bench"}]`, `MENSHEN_PRODUCTS=[{"type":0,"name":"app","group":"app"}]`,
	}
}

func newHarness(b *testing.B, driver string) *harness {
	b.Helper()
	defaults, err := os.ReadFile("../config.yaml")
	if err != nil {
		b.Fatal(err)
	}
	h := &harness{dsn: dbtest.DSN(b, driver)}
	a, err := app.New(app.Process{
		Environ: settings(b, driver, h.dsn), Out: io.Discard, Err: io.Discard, Now: time.Now, Version: "bench", Defaults: defaults,
	}, "")
	if err != nil {
		b.Fatal(err)
	}
	log, accessLog := newLogs(b, a)
	res, err := a.Open(b.Context(), func() *zap.Logger { return log })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = res.Close(context.WithoutCancel(b.Context())) })
	// The limit of checks is counted, and never reached.
	limits := app.Limiters{Check: middleware.NewLimiter(1_000_000_000, time.Now)}
	services, err := a.NewServices(a.Config, res, limits, log)
	if err != nil {
		b.Fatal(err)
	}
	services.Codes.Delivery.Routes = []code.Route{{Regions: []string{code.AnyRegion}, Providers: []code.Provider{{Name: "bench", Gateway: h}}}}
	handlers, err := a.NewHandlers(a.Config, res, app.HandlerDeps{Services: services, Limits: limits, Log: log, AccessLog: accessLog, Ready: res.DB.Ping})
	if err != nil {
		b.Fatal(err)
	}
	h.db, h.login, h.codes, h.sessions = res.DB, services.Login, services.Codes, services.Sessions
	h.tokens, h.handler, h.admin = services.Sessions.Tokens, handlers.Public, services.Admin
	followLog(b, res.Follower)
	return h
}

// newLogs returns the program's log and access log, written to the null device.
func newLogs(b *testing.B, a *app.App) (*zap.Logger, *telemetry.AccessLog) {
	b.Helper()
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	out := telemetry.NewLogWriter(file)
	b.Cleanup(func() { out.Flush(); _ = file.Close() })
	return telemetry.NewLogger(a.Config.Log, out), telemetry.NewAccessLog(a.Config.Log, out)
}

// followLog reads the event log while the benchmark runs: without that, no
// session is answered from the cache.
func followLog(b *testing.B, f *service.Follower) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx, service.FollowInterval) })
	b.Cleanup(func() { stop(); running.Wait() })
}

// number returns a mobile number that was not used yet.
func (h *harness) number() string { return fmt.Sprintf("139%08d", h.numbers.Add(1)) }

// sendCode sends a code.
func (h *harness) sendCode(ctx context.Context, mobile string) error {
	_, err := h.codes.Send(ctx, code.SendRequest{Mobile: mobile, Purpose: model.PurposeLogin, Caller: model.Caller{IP: "192.0.2.1"}})
	return err
}

// logIn logs in with the newest code of the number.
func (h *harness) logIn(ctx context.Context, mobile, device string) (service.LoginResult, error) {
	code, _ := h.sent.Load("+86" + mobile)
	return h.login.Do(ctx, service.LoginRequest{
		Mobile: mobile, ValidateNo: code.(model.Secret), Source: "bench", DeviceNumber: device,
		Caller: model.Caller{IP: "192.0.2.1", Device: "bench"},
	})
}

// logInNewUser logs in with a number that was not used yet.
func (h *harness) logInNewUser(ctx context.Context, device string) (service.LoginResult, error) {
	mobile := h.number()
	if err := h.sendCode(ctx, mobile); err != nil {
		return service.LoginResult{}, err
	}
	return h.logIn(ctx, mobile, device)
}
