package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/service"
)

// Bounds of a connection (ASVS 4.2.5, 15.2.2).
const (
	headerTime     = 5 * time.Second
	requestTime    = 10 * time.Second
	responseTime   = 15 * time.Second
	idleTime       = 60 * time.Second
	maxHeaderBytes = 12 << 10 // net/http reads 4 KiB more: 16 KiB
	drainTime      = 8500 * time.Millisecond
	watchEvery     = 500 * time.Millisecond
)

// server is the running program: two listeners over a handler that a reload swaps.
type server struct {
	job
	out      *lineOutput // shared by the log and the log provider
	res      *resources
	cfg      atomic.Pointer[config.Config]
	log      atomic.Pointer[zap.Logger]
	public   swap
	admin    swap
	stopping atomic.Bool
	migrated atomic.Bool
}

// swap is a handler that may be exchanged while it serves.
type swap struct{ handler atomic.Pointer[http.Handler] }

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.handler.Load()).ServeHTTP(w, r)
}

// serve runs until ctx ends, then answers what it has accepted and stops.
func serve(ctx context.Context, j job) error {
	s := &server{job: j, out: &lineOutput{w: j.out}}
	hangUp := make(chan os.Signal, 1) // from the first moment: it would end the process
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	defer s.out.flush()
	s.log.Store(newLogger(j.cfg.Log, s.out))
	defer stdlog.SetOutput(stdlog.Writer())
	stdlog.SetOutput(strangers{s.log.Load})
	for _, warning := range j.warnings {
		s.log.Load().Warn(warning)
	}
	var err error
	if s.res, err = openResources(ctx, j, s.log.Load); err != nil {
		return err
	}
	defer s.closeResources(ctx)
	if err := s.apply(j.cfg); err != nil {
		return err
	}
	return s.listen(ctx, hangUp)
}

func (s *server) listen(ctx context.Context, hangUp <-chan os.Signal) error {
	var listeners net.ListenConfig
	public, err := listeners.Listen(ctx, "tcp", s.job.cfg.Server.Addr)
	if err != nil {
		return fmt.Errorf("server.addr: %w", err)
	}
	admin, err := listeners.Listen(ctx, "tcp", s.job.cfg.Server.AdminAddr)
	if err != nil {
		_ = public.Close()
		return fmt.Errorf("server.admin_addr: %w", err)
	}
	servers := map[*http.Server]net.Listener{
		newHTTPServer(&s.public, s.log.Load): public,
		newHTTPServer(&s.admin, s.log.Load):  admin,
	}
	background, stop := context.WithCancel(ctx)
	var owned sync.WaitGroup
	failed := make(chan error, len(servers))
	for server, listener := range servers {
		owned.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	owned.Go(func() { s.res.keys.Run(background, service.KeyReloadEvery) })
	owned.Go(func() { s.res.clock.run(background) })
	owned.Go(func() { s.res.follower.Run(background, service.FollowEvery) })
	owned.Go(func() { s.res.census.Run(background, service.CensusEvery) })
	owned.Go(func() { s.res.janitor.Run(background, service.JanitorEvery) })
	owned.Go(func() { s.res.budget.Run(background, service.BudgetEvery) })
	owned.Go(func() { s.source.watcher.Run(background, watchEvery, func() { s.reload(s.source.watcher.Settled()) }) })
	owned.Go(func() { s.reloadOn(background, hangUp) })
	s.log.Load().Info("serving", zap.String("version", version), zap.String("env", s.job.cfg.Env),
		zap.String("addr", public.Addr().String()), zap.String("adminAddr", admin.Addr().String()),
		zap.String("database", s.res.db.Driver()))
	debug.FreeOSMemory() // what migrations and the configuration took is not needed again
	if s.started != nil {
		s.started(public.Addr().String(), admin.Addr().String())
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	s.stopping.Store(true)
	s.res.hub.Stop()
	s.drain(ctx, servers)
	stop()
	owned.Wait()
	s.log.Load().Info("stopped")
	return err
}

// drain answers what was accepted, and waits for the streams, whose connections
// the servers have given away. Whoever has not even sent a whole request by
// the end of drainTime is cut off: no client makes a failure of a stop.
func (s *server) drain(ctx context.Context, servers map[*http.Server]net.Listener) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var all sync.WaitGroup
	for server := range servers {
		all.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				s.log.Load().Warn("connections cut off", zap.Error(err))
				_ = server.Close()
			}
		})
	}
	all.Wait()
	if err := s.res.hub.Wait(ctx); err != nil {
		s.log.Load().Warn("streams cut off", zap.Error(err))
	}
	s.res.tracing.close(ctx)
}

// closeResources comes last, for the work in the background uses them.
func (s *server) closeResources(ctx context.Context) {
	s.res.tracing.close(ctx) // when it never came to serve
	_ = s.res.db.Close()
}

func newHTTPServer(handler http.Handler, log func() *zap.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ErrorLog: stdlog.New(complaints{log}, "", 0),
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: responseTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is answered like every unknown route
	}
}

// strangers stands in for the standard library's own log, where net/http's client
// quotes bytes that a provider sent unasked: what we sent to it, it may be.
type strangers struct{ log func() *zap.Logger }

func (s strangers) Write(line []byte) (int, error) {
	s.log().Warn("a library said something that is not shown, for it may quote secrets", zap.Int("bytes", len(line)))
	return len(line), nil
}

// complaints brings what net/http says of connections to the log of the moment.
type complaints struct{ log func() *zap.Logger }

func (c complaints) Write(line []byte) (int, error) {
	c.log().Warn("http", zap.ByteString("said", bytes.TrimSpace(line)))
	return len(line), nil
}

// apply builds handlers from a configuration over the same resources and swaps
// them in: requests under way end with what they began with.
func (s *server) apply(cfg *config.Config) error {
	log := newLogger(cfg.Log, s.out)
	w := wiring{log: log, later: newLogger(cfg.Log, s.out.later()), out: s.out, ready: s.ready}
	if cfg.Log.Format == "json" {
		w.lines = s.out.later()
	}
	public, admin, err := build(cfg, s.res, w)
	if err != nil {
		return err
	}
	s.res.keys.SetActivation(cfg.Token.KeyActivation)
	s.res.budget.SetMost(cfg.Code.DailyBudget)
	s.res.metrics.inForce(s.now())
	s.cfg.Store(cfg)
	s.log.Store(log)
	s.public.handler.Store(&public)
	s.admin.handler.Store(&admin)
	return nil
}

// reload reads the configuration again, its file from text if that is given.
// What is invalid, or changes a key that is fixed at the start, is refused as a
// whole and the old one stays. It is for the watcher alone, one at a time.
func (s *server) reload(text []byte) {
	s.res.metrics.reloaded(s.tryReload(text))
}

// tryReload reports whether the configuration that was read is in force.
func (s *server) tryReload(text []byte) bool {
	log := s.log.Load()
	options := s.source.options
	options.FileText = text
	cfg, warnings, err := config.Load(options)
	if err != nil {
		log.Error("configuration refused, the old one stays", zap.Error(err))
		return false
	}
	for _, warning := range warnings {
		log.Warn(warning)
	}
	old := s.cfg.Load()
	if cold := config.ColdChanges(old, cfg); len(cold) > 0 {
		log.Error("configuration refused, the old one stays: these keys need a restart", zap.Strings("keys", cold))
		return false
	}
	if err := s.apply(cfg); err != nil {
		log.Error("configuration refused, the old one stays", zap.Error(err))
		return false
	}
	changed := config.Changes(old, cfg)
	s.log.Load().Info("configuration applied", zap.Strings("keys", changed))
	s.noteReload(changed)
	return true
}

// noteReload writes the change into the audit; that it could not be written
// does not undo it.
func (s *server) noteReload(changed []string) {
	ctx, cancel := context.WithTimeout(context.Background(), headerTime)
	defer cancel()
	audit := service.Audit{Log: s.res.log, Now: s.res.clock.Now}
	if err := audit.NoteConfig(ctx, changed); err != nil {
		s.log.Load().Error("audit of the configuration", zap.Error(err))
	}
}

// reloadOn has the file read again, whether it changed or not. It is to
// settle first, like any change: a signal may come while it is written.
func (s *server) reloadOn(ctx context.Context, hangUp <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
			s.source.watcher.Ask()
		}
	}
}

var (
	errStopping    = errors.New("stopping")
	errNotMigrated = errors.New("the schema is not this program's")
)

// ready reports whether requests can be answered.
func (s *server) ready(ctx context.Context) error {
	if s.stopping.Load() {
		return errStopping
	}
	if s.migrated.Load() {
		return s.res.db.Ping(ctx)
	}
	migrated, err := s.res.db.Migrated(ctx)
	if err == nil && !migrated {
		err = errNotMigrated
	}
	s.migrated.Store(err == nil)
	return err
}
