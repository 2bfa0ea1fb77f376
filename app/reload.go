package app

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/model"
	"menshen/service"
	"menshen/service/code"
	"menshen/telemetry"
)

// apply makes services and handlers of a configuration and swaps them in.
func (s *server) apply(cfg *config.Config) error {
	log := telemetry.NewLogger(cfg.Log, s.out)
	limits := NewLimiters(cfg.Limits, s.Now)
	peers, err := newPeerRules(cfg.Server, descriptors())
	if err != nil {
		return err
	}
	services, err := s.NewServices(cfg, s.res, limits, log)
	if err != nil {
		return err
	}
	handlers, err := s.NewHandlers(cfg, s.res, HandlerDeps{
		Services: services, Limits: limits, Log: log, AccessLog: telemetry.NewAccessLog(cfg.Log, s.out), Ready: s.ready,
	})
	if err != nil {
		return err
	}
	s.peers.Store(peers)
	s.res.Keys.SetActivation(cfg.Token.KeyActivation)
	s.res.budget.SetLimits(codeLimits(cfg.Code))
	s.res.bursts.SetRules(pumpingRules(cfg.Guard))
	s.res.converts.SetRules(code.ConversionRules{Window: cfg.SMS.Conversion.Window, Margin: cfg.SMS.Conversion.Margin, Least: cfg.SMS.Conversion.Least})
	s.res.follows.SetVendors(newVendorTasks(cfg.SMS, s.Now))
	s.res.janitor.SetRetention(service.Retention{
		Sessions: cfg.Retention.Sessions, Events: cfg.Retention.Events, Messages: cfg.Retention.Messages,
	})
	s.res.Metrics.ConfigApplied(s.Now())
	s.cfg.Store(cfg)
	s.log.Store(log)
	s.res.sessions.Store(services.Sessions)
	s.limits.Store(&limits)
	s.public.handler.Store(&handlers.Public)
	s.admin.handler.Store(&handlers.Admin)
	return nil
}

// sweepCachesEvery is the time between two sweeps of the caches.
const sweepCachesEvery = 30 * time.Second

// sweepCaches removes from the caches what can answer nothing any more, so that an instance
// holds what its users need and not what its bounds allow.
func (s *server) sweepCaches(context.Context) error {
	s.res.sessions.Load().SweepCaches()
	s.limits.Load().sweep()
	return nil
}

// reload reads the configuration again. text, if not nil, is the content of its file. A
// configuration that is invalid or changes a cold key is refused as a whole. Only the
// watcher calls reload.
func (s *server) reload(ctx context.Context, text []byte) {
	s.res.Metrics.Reload(s.tryReload(ctx, text))
}

// tryReload reports whether the configuration that was read is in force.
func (s *server) tryReload(ctx context.Context, text []byte) bool {
	log := s.log.Load()
	options := s.options
	options.FileText, options.Now = text, s.Now()
	refuse := func(err error) bool {
		log.Error("configuration refused, the old one stays", zap.Error(err))
		return false
	}
	cfg, warnings, err := config.Load(options)
	if err != nil {
		return refuse(err)
	}
	old := s.cfg.Load()
	if cold := config.ColdChanges(old, cfg); len(cold) > 0 {
		log.Error("configuration refused, the old one stays: these keys need a restart", zap.Strings("keys", cold))
		return false
	}
	if err := config.CheckReload(old, cfg); err != nil {
		return refuse(err)
	}
	if err := s.apply(cfg); err != nil {
		return refuse(err)
	}
	for _, warning := range warnings {
		s.log.Load().Warn(warning)
	}
	changed := config.Changes(old, cfg)
	s.log.Load().Info("configuration applied", zap.Strings("keys", changed))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), model.StorageTime) // recorded even while the program stops
	defer cancel()
	if err := s.res.NewAudit().RecordConfigChange(ctx, changed); err != nil {
		s.log.Load().Error("audit of the configuration", zap.Error(err))
	}
	return true
}

// reloadOn requests a reload at each hangUp. The watcher does it once the file has
// settled.
func (s *server) reloadOn(ctx context.Context, hangUp <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
			s.watcher.Ask()
		}
	}
}
