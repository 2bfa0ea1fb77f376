package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/config"
	"menshen/middleware"
	"menshen/repository"
	"menshen/service"
)

// resources outlive every reload: they follow the cold keys of the configuration.
type resources struct {
	db      *repository.DB
	dataDir string
	vault   *service.Vault
	keys    *service.KeyRing
	clock   *clock

	live     *service.Live
	hub      *service.Hub
	feed     *service.Feed
	follower *service.Follower
	janitor  *service.Janitor
	census   *service.Census
	metrics  *metrics
	tracing  *tracing         // nil: off
	log      service.Observed // of events; whoever writes it shows in the metrics
	seals    atomic.Pointer[service.SealState]
	lookout  *lookout
	budget   *service.Budget
}

func openResources(ctx context.Context, j job, log func() *zap.Logger) (*resources, error) {
	cfg := j.cfg
	if err := makeDataDir(cfg); err != nil {
		return nil, err
	}
	secrets, err := masterSecrets(cfg)
	if err != nil {
		return nil, err
	}
	options := keyOptions(cfg)
	options.Report = func(err error) { log().Warn("re-read signing keys", zap.Error(err)) }
	options.Now = j.now
	keys, err := service.OpenKeys(options)
	if err != nil {
		return nil, fmt.Errorf("token.key_dir: %w", err)
	}
	db, err := repository.Open(ctx, cfg.Database.Driver, cfg.DatabasePath())
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	res := &resources{db: db, dataDir: cfg.DataDir, keys: keys, clock: &clock{db: db, own: j.now}, live: service.NewLive(j.now), hub: service.NewHub()}
	res.metrics = metricsOf(res)
	if res.tracing, err = openTracing(ctx, cfg.Tracing, log); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	res.log = service.Observed{Tx: res.tracing.tx(db), Log: repository.Events{DB: db}, See: res.metrics.Event}
	res.follower = &service.Follower{
		Log: repository.Events{DB: db}, Live: res.live, Hub: res.hub, Now: res.clock.Now, Process: j.now,
		Report: func(err error) { log().Warn("follow the log", zap.Error(err)) },
	}
	res.feed = &service.Feed{
		Tx: db, Store: repository.Feed{DB: db}, Gates: repository.Codes{DB: db}, Hub: res.hub, Now: res.clock.Now,
	}
	res.janitor = &service.Janitor{
		Store: repository.Janitor{DB: db}, Feed: res.feed, Now: res.clock.Now,
		Sessions: &service.Sessions{
			Tx: res.log, Store: repository.Sessions{DB: db}, Events: res.log, Live: res.live, Hub: res.hub, Now: res.clock.Now,
		},
		Report: func(err error) { log().Warn("sweep", zap.Error(err)) }, Swept: res.metrics.swept,
	}
	res.lookout = newLookout(res.metrics.Metrics, log)
	res.watchBudget(log)
	res.census = &service.Census{Active: repository.Sessions{DB: db}, Now: res.clock.Now, Process: j.now, See: res.metrics.count}
	if err := res.prepare(ctx, secrets); err != nil {
		res.tracing.close(ctx)
		return nil, errors.Join(err, db.Close())
	}
	res.janitor.Seals = &service.Resealer{
		Tx: db, Users: repository.Users{DB: db}, Kept: repository.Vault{DB: db}, Vault: res.vault, Now: res.clock.Now,
		Tell: func(state service.SealState) {
			res.seals.Store(&state)
			tellSeals(log(), state)
		},
	}
	return res, nil
}

func (r *resources) prepare(ctx context.Context, secrets [][]byte) (err error) {
	if _, err = r.db.Migrate(ctx); err != nil {
		return err
	}
	if r.vault, err = service.OpenVault(ctx, repository.Vault{DB: r.db}, secrets...); err != nil {
		return err
	}
	if err = r.clock.measure(ctx); err != nil {
		return err
	}
	return r.follower.Poll(ctx)
}

func makeDataDir(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

// clock is the database's time, so that instances whose own clocks differ agree
// about grace, codes and bans.
type clock struct {
	db     *repository.DB
	own    func() time.Time // this machine's
	offset atomic.Int64     // nanoseconds that the database is ahead
}

// clockEvery is how often the offset is measured; clockNoise is how far a
// measurement may differ before it is taken for more than the way there.
const (
	clockEvery = time.Second
	clockNoise = 25 * time.Millisecond
)

// Now is the time that all rules go by.
func (c *clock) Now() time.Time { return c.own().Add(time.Duration(c.offset.Load())) }

func (c *clock) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*clockEvery)
	defer cancel()
	before := c.own()
	theirs, err := c.db.Clock(ctx)
	if err != nil {
		return err
	}
	way := c.own().Sub(before)
	offset := theirs.Sub(before.Add(way / 2))
	if (offset - time.Duration(c.offset.Load())).Abs() > clockNoise+way {
		c.offset.Store(int64(offset))
	}
	return nil
}

// run measures until ctx ends. A database that is away leaves the offset as it was.
func (c *clock) run(ctx context.Context) {
	if c.db.Driver() == repository.SQLite {
		return // this process's own clock
	}
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = c.measure(ctx)
		}
	}
}

// newLogger writes to out at the configured level and format, uncoloured. Several
// goroutines write to out at a time.
func newLogger(cfg config.Log, out io.Writer) *zap.Logger {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		level = zapcore.InfoLevel // the configuration was checked
	}
	form := middleware.LogForm()
	encoder := zapcore.NewConsoleEncoder(form)
	if cfg.Format == "json" {
		encoder = zapcore.NewJSONEncoder(form)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(out), level))
}
