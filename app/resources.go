package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"menshen/config"
	"menshen/repository"
	"menshen/service"
	"menshen/service/cache"
	"menshen/service/code"
	"menshen/service/random"
	"menshen/service/token"
	"menshen/service/vault"
	"menshen/telemetry"
)

// Deployment is an open deployment: the database that its instances and commands share,
// with what this process needs to use it.
type Deployment struct {
	DB     *repository.DB
	Vault  *vault.Vault
	Clock  *Clock
	Events service.EventRecorder // transactions and the event log
}

// Resources are what an instance keeps over every reload. They depend only on cold keys of
// the configuration, except token.key_activation, code.daily_budget, guard, sms.conversion, the
// work at vendors and retention, which apply sets.
type Resources struct {
	Deployment
	Keys     *token.KeyRing
	Cache    *service.SessionCache
	Hub      *service.Hub
	Endings  *service.Endings
	Feed     *service.Feed
	Follower *service.Follower
	Receipts *code.Receipts
	Inbox    *service.Inbox
	Metrics  *telemetry.Metrics
	Tracing  *telemetry.Tracing // nil: off

	presence service.Presence
	janitor  *service.Janitor
	counter  *service.SessionCounter
	budget   *code.Budget
	bursts   *code.Bursts
	converts *code.Conversions
	follows  *code.FollowUps
	alarms   telemetry.AlarmReporter
	seals    atomic.Pointer[vault.SealStatus]
	sessions atomic.Pointer[service.Sessions] // of the configuration in force
}

// ErrNotMigrated means that the schema is older than the program. A newer one is accepted.
var ErrNotMigrated = errors.New("the schema is older than this program: start the service, or run menshen migrate")

// Open opens the resources of an instance, and creates what a first start needs. log
// returns the current logger.
func (a *App) Open(ctx context.Context, log func() *zap.Logger) (*Resources, error) {
	cfg := a.Config
	if err := makeDataDir(cfg); err != nil {
		return nil, err
	}
	closeFiles(cfg, log())
	secrets, err := openSecrets(cfg)
	if err != nil {
		return nil, err
	}
	keys, err := a.OpenKeys(log)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return nil, err
	}
	tracing, err := telemetry.OpenTracing(ctx, cfg.Tracing, a.Version, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d := a.newDeployment(db, tracing.Tx(db))
	res, err := a.openOver(ctx, d, keys, secrets, log)
	if err != nil {
		tracing.Close(ctx)
		return nil, errors.Join(err, db.Close())
	}
	res.Tracing = tracing
	return res, nil
}

func (a *App) openOver(ctx context.Context, d Deployment, keys *token.KeyRing, secrets [][]byte, log func() *zap.Logger) (*Resources, error) {
	_, err := d.DB.Migrate(ctx)
	if err != nil {
		return nil, err
	}
	if d.Vault, err = vault.Open(ctx, repository.Vault{DB: d.DB}, secrets...); err != nil {
		return nil, err
	}
	if err = d.Clock.measure(ctx); err != nil {
		return nil, err
	}
	newest, err := repository.Events{DB: d.DB}.Newest(ctx)
	if err != nil {
		return nil, err
	}
	d.Clock.Saw(newest)
	res := a.NewResources(d, keys, log)
	res.registerGauges(a.Config.DataDir)
	return res, res.Follower.Poll(ctx)
}

// NewResources makes what an instance keeps in memory. log returns the current logger.
func (a *App) NewResources(d Deployment, keys *token.KeyRing, log func() *zap.Logger) *Resources {
	r := &Resources{
		Deployment: d, Keys: keys, Cache: service.NewSessionCache(a.Now), Hub: service.NewHub(), Inbox: service.NewInbox(), Metrics: telemetry.NewMetrics(a.Version),
	}
	r.Events.OnEvent = r.Metrics.Event
	r.seals.Store(&vault.SealStatus{})
	r.newBackground(a, log)
	return r
}

// Join opens an existing deployment and creates nothing. If the schema is older
// than the program, the error is ErrNotMigrated.
func (a *App) Join(ctx context.Context) (Deployment, error) {
	cfg := a.Config
	if cfg.Database.Driver == config.DriverSQLite {
		if _, err := os.Stat(repository.SQLiteFile(cfg.DatabaseDSN())); err != nil {
			return Deployment{}, fmt.Errorf("database: %w", err)
		}
	}
	secrets, err := readSecrets(cfg)
	if err != nil {
		return Deployment{}, err
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return Deployment{}, err
	}
	d := a.newDeployment(db, db)
	if err := d.join(ctx, secrets); err != nil {
		return Deployment{}, errors.Join(err, db.Close())
	}
	return d, nil
}

// newDeployment returns a deployment without its vault. tx is db, or db with traces.
func (a *App) newDeployment(db *repository.DB, tx service.Tx) Deployment {
	return Deployment{DB: db, Clock: NewClock(db, a.Now, a.steady), Events: service.EventRecorder{Tx: tx, Log: repository.Events{DB: db}}}
}

// checkSchema returns ErrNotMigrated if the schema is older than this program.
func (d Deployment) checkSchema(ctx context.Context) error {
	migrated, err := d.DB.Migrated(ctx)
	if err == nil && !migrated {
		err = ErrNotMigrated
	}
	return err
}

func (d *Deployment) join(ctx context.Context, secrets [][]byte) (err error) {
	if err = d.checkSchema(ctx); err != nil {
		return err
	}
	if d.Vault, err = vault.Join(ctx, repository.Vault{DB: d.DB}, secrets...); err != nil {
		return err
	}
	return d.Clock.measure(ctx)
}

// Close closes the database. All work that uses it must have ended.
func (d Deployment) Close() error { return d.DB.Close() }

// Close closes the database, and exports the last spans before ctx ends.
func (r *Resources) Close(ctx context.Context) error {
	r.Tracing.Close(ctx)
	return r.Deployment.Close()
}

func (r *Resources) newBackground(a *App, log func() *zap.Logger) {
	db, now := r.DB, r.Clock.Now
	warn := func(what string) func(error) {
		return func(err error) { log().Warn(what, zap.Error(err)) }
	}
	r.Endings = &service.Endings{
		Tx: r.Events, Store: repository.Sessions{DB: db}, Events: r.Events, Cache: r.Cache, Hub: r.Hub, Now: now,
	}
	r.Follower = &service.Follower{
		Log: repository.Events{DB: db}, Cache: r.Cache, Hub: r.Hub, Now: now, OwnNow: a.Now, OnError: warn("follow the log"),
	}
	r.Feed = &service.Feed{Tx: db, Store: repository.Feed{DB: db}, Gates: repository.Codes{DB: db}, Hub: r.Hub, Now: now}
	r.presence = service.Presence{
		Store: repository.Instances{DB: db}, ID: random.TextID(), Version: a.Version, Now: now, OnError: warn("give a sign of life"),
	}
	r.alarms = telemetry.AlarmReporter{Metrics: r.Metrics, Log: log}
	r.budget = &code.Budget{Alarms: r.newAlarms(), Now: now, OnError: warn("count messages")}
	r.bursts = &code.Bursts{Alarms: r.newAlarms(), Now: now, OnError: warn("look for bursts of codes")}
	messages := repository.Messages{DB: db}
	r.Receipts = &code.Receipts{Tx: r.Events, Store: messages, Events: r.Events, Now: now, OnReceipt: r.Metrics.Receipt, OnError: warn("apply receipts")}
	r.converts = &code.Conversions{
		Alarms: r.newAlarms(), Store: messages, Now: now, OnCount: r.Metrics.Conversions, OnLow: r.alarms.LowConversion, OnError: warn("count conversions"),
	}
	r.follows = &code.FollowUps{
		Store: repository.FollowUps{DB: db}, Users: repository.Users{DB: db}, Vault: r.Vault, Receipts: r.Receipts, Now: now,
		OnTurn: r.Metrics.FollowUp, OnError: warn("work at a vendor about messages"),
	}
	r.counter = &service.SessionCounter{Store: repository.Sessions{DB: db}, Now: now, OwnNow: a.Now, OnCount: r.Metrics.ActiveSessions}
	r.janitor = &service.Janitor{
		Store: repository.Janitor{DB: db}, Feed: r.Feed, Now: now, Endings: r.Endings,
		OnError: warn("sweep"), OnSweep: r.Metrics.Sweep,
		Seals: &vault.Reencrypter{
			Tx: db, Users: repository.Users{DB: db}, Kept: repository.Vault{DB: db}, Vault: r.Vault, Now: now,
			OnSealStatus: func(state vault.SealStatus) {
				r.seals.Store(&state)
				logSealStatus(log(), state)
			},
		},
	}
}

func (r *Resources) newAlarms() *code.Alarms {
	return &code.Alarms{Tx: r.Events, Store: repository.Codes{DB: r.DB}, Events: r.Events, OnAlarm: r.alarms.Alarm}
}

func (r *Resources) registerGauges(dataDir string) {
	m := r.Metrics
	for name, pool := range r.DB.Pools() {
		m.Register(collectors.NewDBStatsCollector(pool, name))
	}
	m.GaugeFunc("menshen_streams", "Open event streams.", func() float64 { return float64(r.Hub.Streams()) })
	m.GaugeFunc("menshen_held_checks", "Checks that wait for an end.", func() float64 { return float64(r.Hub.Held()) })
	m.GaugeFunc("menshen_writers_waiting", "Work on the database that waits for its turn.", func() float64 { return float64(r.DB.Waiting()) })
	m.CounterFunc("menshen_db_statements_total", "Statements with parameters that were sent to the database.", nil, r.DB.Statements)
	cached := func() float64 { return float64(r.Cache.Size()) }
	m.GaugeFunc("menshen_session_cache_entries", "Sessions in the cache of this process.", cached)
	m.GaugeFunc("menshen_live_sessions", "Deprecated alias of menshen_session_cache_entries; it goes with the next release.", cached)
	m.GaugeFunc("menshen_token_cache_entries", "Verified tokens in the cache of this process.", func() float64 { return float64(r.sessions.Load().Tokens.Cache.Size()) })
	m.GaugeFunc("menshen_follower_lag_seconds", "Age of the last complete read of the event log.", func() float64 { return r.Cache.Lag().Seconds() })
	m.GaugeFunc("menshen_older_secrets_needed", "1 while something is encrypted under secret.previous, or may be.", func() float64 {
		if r.seals.Load().Needed {
			return 1
		}
		return 0
	})
	m.GaugeFunc("menshen_broken_seals", "Numbers under secret.previous that cannot be decrypted.", func() float64 {
		return float64(r.seals.Load().Broken)
	})
	m.GaugeFunc("menshen_signing_keys", "Keys in the folder.", func() float64 { return float64(r.Keys.Size()) })
	m.GaugeFunc("menshen_signing_key_age_seconds", "Age of the key that signs.", func() float64 { return r.Keys.Age().Seconds() })
	m.GaugeFunc("menshen_data_free_bytes", "Room on the disk of data_dir; NaN where the system does not tell.", func() float64 { return telemetry.FreeBytes(dataDir) })
	m.GaugeFunc("menshen_messages_day", "Messages of the last 24 hours, of all instances.", func() float64 { return float64(r.budget.Sent()) })
	m.GaugeFunc("menshen_messages_day_budget", "code.daily_budget; 0 is none.", func() float64 { return float64(r.budget.Limit()) })
	m.GaugeFunc("menshen_messages_day_open", "Part of menshen_messages_day_budget that new devices may use; 0 is none.", func() float64 { return float64(r.budget.Open()) })
	for cache, lookups := range map[string]*cache.Stats{"session": r.Cache.Stats(), "token": m.Tokens} {
		const name, help = "menshen_cache_lookups_total", "Look-ups in the caches of sessions and of verified tokens."
		m.CounterFunc(name, help, prometheus.Labels{"cache": cache, "result": "hit"}, lookups.Hits)
		m.CounterFunc(name, help, prometheus.Labels{"cache": cache, "result": "miss"}, lookups.Misses)
	}
}

func logSealStatus(log *zap.Logger, state vault.SealStatus) {
	if state.Broken > 0 {
		log.Warn("numbers under secret.previous cannot be decrypted", zap.Int("numbers", state.Broken))
	}
	if state.Needed {
		log.Info("secret.previous is needed: numbers are encrypted under it, or codes may be")
		return
	}
	log.Info("secret.previous is not needed any more: every number is encrypted under secret.key")
}
