package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"menshen/config"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/challenge"
)

// lookout hears of alarms and of challenges, for the log of the moment and for
// metrics. It outlives reloads, as counters do.
type lookout struct {
	log        func() *zap.Logger
	raised     *prometheus.CounterVec
	challenges *prometheus.CounterVec
}

func newLookout(m *middleware.Metrics, log func() *zap.Logger) *lookout {
	l := &lookout{
		log: log,
		raised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_alarms_total", Help: "Alarms that this instance raised, by what they are about: prefix, block or budget.",
		}, []string{"what"}),
		challenges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_challenges_total", Help: "Challenges before sending, by outcome: demanded, passed, failed or fault.",
		}, []string{"outcome"}),
	}
	for _, what := range []string{service.AlarmPrefix, service.AlarmBlock, service.AlarmBudget} {
		l.raised.WithLabelValues(what) // from 0, so that the first one is an increase
	}
	for _, outcome := range []service.ChallengeOutcome{service.ChallengeDemanded, service.ChallengePassed, service.ChallengeFailed, service.ChallengeFault} {
		l.challenges.WithLabelValues(string(outcome))
	}
	m.Register(l.raised)
	m.Register(l.challenges)
	return l
}

func (l *lookout) alarm(a service.Alarm) {
	l.raised.WithLabelValues(a.What).Inc()
	if a.What == service.AlarmBudget {
		l.log().Warn("four fifths of code.daily_budget are used", zap.Int("sent", a.Sent), zap.Int("budget", a.Budget))
		return
	}
	l.log().Warn("SMS pumping is suspected", zap.String("what", a.What), zap.String("key", a.Key), zap.Int("sent", a.Sent),
		zap.Int("redeemed", a.Redeemed), zap.Duration("window", a.Window), zap.String("action", string(a.Action)))
}

func (l *lookout) challenge(outcome service.ChallengeOutcome, err error) {
	l.challenges.WithLabelValues(string(outcome)).Inc()
	if err != nil {
		l.log().Warn("verify a challenge", zap.Error(err))
	}
}

func (r *resources) alarms() *service.Alarms {
	return &service.Alarms{
		Tx: r.log, Store: repository.Codes{DB: r.db}, Events: r.log, Told: r.lookout.alarm,
	}
}

// watchBudget shows how much of the budget is used.
func (r *resources) watchBudget(log func() *zap.Logger) {
	r.budget = &service.Budget{
		Alarms: r.alarms(), Now: r.clock.Now, Report: func(err error) { log().Warn("count messages", zap.Error(err)) },
	}
	r.metrics.Gauge("menshen_messages_day", "Messages of the last 24 hours, of all instances.", func() float64 { return float64(r.budget.Sent()) })
	r.metrics.Gauge("menshen_messages_day_budget", "code.daily_budget; 0 is none.", func() float64 { return float64(r.budget.Most()) })
}

func guardOf(cfg *config.Config, res *resources) *service.Guard {
	g := cfg.Guard
	return &service.Guard{Alarms: res.alarms(), Rules: service.GuardRules{
		Action: service.GuardAction(g.Action), Window: g.Window, Least: g.Least, Percent: g.Percent,
	}}
}

// challengeOf is the challenge before sending, nil when none is configured.
func challengeOf(cfg config.Challenge, told func(service.ChallengeOutcome, error)) (*service.Challenge, error) {
	if cfg.Provider != config.ChallengeTurnstile {
		return nil, nil
	}
	verifier, err := challenge.NewTurnstile(cfg.URL, model.Secret(cfg.Secret))
	return &service.Challenge{
		Provider: cfg.Provider, Verifier: verifier, Timeout: cfg.Timeout, FailOpen: cfg.FailOpen, Told: told,
	}, err
}
