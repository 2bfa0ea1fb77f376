package app

import (
	"context"
	"errors"
	"fmt"
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
	"menshen/internal/loop"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/token"
	"menshen/telemetry"
)

// Bounds of a connection (ASVS 4.2.5, 15.2.2).
const (
	headerTime     = 5 * time.Second
	requestTime    = 10 * time.Second
	responseTime   = 15 * time.Second
	maxHeaderBytes = 12 << 10 // net/http reads 4 KiB more: 16 KiB
	drainTime      = 8500 * time.Millisecond
	lingerTime     = 2 * time.Second // of drainTime, for kept connections
	quietTime      = 500 * time.Millisecond
	watchInterval  = 500 * time.Millisecond
)

// server is the running program: two listeners over handlers that a reload swaps.
type server struct {
	*App
	out      *telemetry.LogWriter // shared by the log and the log provider
	res      *Resources
	cfg      atomic.Pointer[config.Config] // in force
	log      atomic.Pointer[zap.Logger]
	peers    atomic.Pointer[peerRules] // in force
	refused  refusals
	public   swappableHandler
	admin    swappableHandler
	stopping atomic.Bool
	conns    atomic.Int64 // open, without the event streams
	leaving  atomic.Int64 // requests since the stop began
	migrated atomic.Bool
	limits   atomic.Pointer[Limiters] // in force
}

// swappableHandler may be replaced while it serves. A request ends with the handler
// that it began with.
type swappableHandler struct {
	handler atomic.Pointer[http.Handler]
}

func (s *swappableHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.handler.Load()).ServeHTTP(w, r)
}

// Serve runs the program until ctx ends. Then it answers the accepted requests and
// stops, within ten seconds.
func (a *App) Serve(ctx context.Context) error {
	hangUp := make(chan os.Signal, 1) // registered first, because an unhandled SIGHUP ends the process
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	app := *a
	s := &server{App: &app, out: telemetry.NewLogWriter(a.Out)}
	s.refused.log, s.refused.now = s.log.Load, a.Now
	app.Out = s.out
	defer s.out.Flush()
	s.log.Store(telemetry.NewLogger(a.Config.Log, s.out))
	defer telemetry.RedactStandardLog(s.log.Load)()
	for _, warning := range a.Warnings {
		s.log.Load().Warn(warning)
	}
	if lax := a.Config.Lax; len(lax) > 0 {
		s.log.Load().Warn("not production: these keys are laxer than production allows", zap.String("env", a.Config.Env), zap.Strings("lax", lax))
	}
	var err error
	if s.res, err = s.Open(ctx, s.log.Load); err != nil {
		return err
	}
	defer func() { _ = s.res.Close(ctx) }() // runs last, because background work uses the database
	s.res.Metrics.CounterFunc("menshen_log_dropped_total", "Lines of the log that were not written, for want of room or of a reader.", nil, s.out.Dropped)
	s.res.Metrics.CounterFunc("menshen_connections_refused_total", "Connections closed because their address holds server.max_conns_per_ip.", nil, s.refused.count.Load)
	s.res.Metrics.GaugeFunc("menshen_connections", "Open connections of both listeners, without the event streams.", func() float64 { return float64(s.conns.Load()) })
	if err := s.apply(a.Config); err != nil {
		return err
	}
	return s.listen(ctx, hangUp)
}

func (s *server) listen(ctx context.Context, hangUp <-chan os.Signal) error {
	var listeners net.ListenConfig
	public, err := listeners.Listen(ctx, "tcp", s.Config.Server.Addr)
	if err != nil {
		return fmt.Errorf("server.addr: %w", err)
	}
	admin, err := listeners.Listen(ctx, "tcp", s.Config.Server.AdminAddr)
	if err != nil {
		_ = public.Close()
		return fmt.Errorf("server.admin_addr: %w", err)
	}
	listening := []*finishingListener{newFinishingListener(public), newFinishingListener(admin)}
	servers := s.newServers(listening[0], listening[1])
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
	s.res.run(background, &owned)
	owned.Go(func() {
		s.watcher.Run(background, watchInterval, func() { s.reload(background, s.watcher.Settled()) })
	})
	owned.Go(func() { s.reloadOn(background, hangUp) })
	owned.Go(func() { loop.Every(background, sweepCachesEvery, s.sweepCaches, nil) })
	s.log.Load().Info("serving", zap.String("version", s.Version), zap.String("env", s.Config.Env),
		zap.String("addr", public.Addr().String()), zap.String("adminAddr", admin.Addr().String()),
		zap.String("database", s.res.DB.Driver()), zap.String("config", s.configFile()))
	s.welcome(public.Addr(), admin.Addr())
	debug.FreeOSMemory() // migrations and configuration do not need their memory again
	if s.OnServing != nil {
		s.OnServing(public.Addr().String(), admin.Addr().String())
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	s.stopping.Store(true)
	for _, listener := range listening {
		listener.finish()
	}
	s.res.Hub.Stop()
	s.res.Inbox.Stop()
	s.drain(ctx, servers)
	stop()
	owned.Wait()
	s.log.Load().Info("stopped")
	return err
}

// newServers returns the server of each listener. That of the public one bounds the
// connections of a peer.
func (s *server) newServers(public, admin net.Listener) map[*http.Server]net.Listener {
	return map[*http.Server]net.Listener{
		s.newHTTPServer(&s.public): &peerListener{Listener: public, rules: &s.peers, refused: s.refused.add, held: map[string]int{}},
		s.newHTTPServer(&s.admin):  admin,
	}
}

// configFile is the file of the configuration, or "none".
func (a *App) configFile() string {
	if a.options.FileRequired {
		return a.options.File
	}
	return "none"
}

func (r *Resources) run(ctx context.Context, owned *sync.WaitGroup) {
	owned.Go(func() { r.Keys.Run(ctx, token.KeyReloadEvery) })
	owned.Go(func() { r.Clock.run(ctx) })
	owned.Go(func() { r.presence.Run(ctx) })
	owned.Go(func() { r.Follower.Run(ctx, service.FollowInterval) })
	owned.Go(func() { r.counter.Run(ctx, service.CountInterval) })
	owned.Go(func() { r.janitor.Run(ctx, service.SweepInterval) })
	owned.Go(func() { r.budget.Run(ctx, code.BudgetEvery) })
	owned.Go(func() { r.bursts.Run(ctx, code.BurstEvery) })
	owned.Go(func() { r.Receipts.Run(ctx, code.EarlyEvery) })
	owned.Go(func() { r.converts.Run(ctx, code.ConversionEvery) })
	owned.Go(func() { r.follows.Run(ctx, code.FollowUpEvery) })
}

// drain answers the accepted requests, and waits for the event streams, whose
// connections the servers no longer track.
func (s *server) drain(ctx context.Context, servers map[*http.Server]net.Listener) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, listener := range servers {
		_ = listener.Close()
	}
	s.linger(ctx)
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
	if err := s.res.Hub.Wait(ctx); err != nil {
		s.log.Load().Warn("streams cut off", zap.Error(err))
	}
	s.res.Tracing.Close(ctx)
}

// linger waits until clients have left their kept connections, which each response asks
// them to do by now, or send nothing for quietTime, but not longer than lingerTime. A kept
// connection that the server closes may have a request on its way, which would be lost.
func (s *server) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lingerTime)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	quiet, served := time.NewTimer(quietTime), s.leaving.Load()
	defer quiet.Stop()
	for s.conns.Load() > 0 {
		select {
		case <-ticker.C:
			if now := s.leaving.Load(); now != served {
				served = now
				quiet.Reset(quietTime)
			}
		case <-quiet.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.stopping.Load() {
				s.leaving.Add(1)
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.conns.Add(-1)
			}
		},
		ErrorLog:          telemetry.ServerErrorLog(s.log.Load),
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: responseTime,
		IdleTimeout: s.Config.Server.IdleTimeout, MaxHeaderBytes: maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is answered like every unknown route
	}
}

var errStopping = errors.New("stopping")

// ready reports whether requests can be answered.
func (s *server) ready(ctx context.Context) error {
	if s.stopping.Load() {
		return errStopping
	}
	if s.migrated.Load() {
		return s.res.DB.Ping(ctx)
	}
	err := s.res.checkSchema(ctx)
	s.migrated.Store(err == nil)
	return err
}
