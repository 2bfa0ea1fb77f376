package main

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"menshen/middleware"
	"menshen/service"
)

// metrics are those of requests and, beside them, of the rules and of what goes
// on in the background. docs/operations.md has a row for each.
type metrics struct {
	*middleware.Metrics
	refreshes *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	sweeps    *prometheus.CounterVec
	reloads   *prometheus.CounterVec
	active    *prometheus.GaugeVec
	products  map[int32]bool // that were ever seen in active
	applied   prometheus.Gauge
	appliedAt prometheus.Gauge
	tokens    *service.Looks // into the caches of tokens, one after the other
}

// Values of the label outcome.
const (
	outcomeRight   = "right"
	outcomeWrong   = "wrong"
	outcomeDone    = "done"
	outcomeFailed  = "failed"
	outcomeApplied = "applied"
	outcomeRefused = "refused"
)

// noProvider is the label of attempts on a number without a live code.
const noProvider = "none"

// metricsOf shows the resources; what requests do counts itself. Counters begin
// at 0, so that the first of a kind is an increase.
func metricsOf(r *resources) *metrics {
	base := middleware.NewMetrics()
	m := &metrics{
		Metrics:   base,
		refreshes: base.Counter("menshen_refreshes_total", "Refreshes that were judged, by what came of them.", "outcome"),
		attempts:  base.Counter("menshen_code_attempts_total", "Codes that were tried, by the provider that had sent the live one.", "provider", "outcome"),
		sweeps:    base.Counter("menshen_janitor_sweeps_total", "Sweeps of what has outlived its use.", "outcome"),
		reloads:   base.Counter("menshen_config_reloads_total", "Configurations that were read while running.", "outcome"),
		products:  map[int32]bool{},
		tokens:    &service.Looks{},
	}
	for _, outcome := range service.RefreshOutcomes() {
		m.refreshes.WithLabelValues(outcome)
	}
	for counter, outcomes := range map[*prometheus.CounterVec][]string{
		m.sweeps: {outcomeDone, outcomeFailed}, m.reloads: {outcomeApplied, outcomeRefused},
	} {
		for _, outcome := range outcomes {
			counter.WithLabelValues(outcome)
		}
	}
	m.attempts.WithLabelValues(noProvider, outcomeWrong)
	m.gauges()
	m.show(r)
	return m
}

// gauges adds those that are set when something happens.
func (m *metrics) gauges() {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.Register(g)
		return g
	}
	m.applied = gauge("menshen_config_last_reload_successful", "1 while the configuration in force is the one that was read last, else 0.")
	m.appliedAt = gauge("menshen_config_last_reload_success_timestamp_seconds", "When the configuration in force was applied.")
	m.active = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "menshen_active_sessions", Help: "Live sessions of the whole deployment by product, counted every 30 s, less often where that takes long; none while the database is away.",
	}, []string{"product"})
	m.Register(m.active)
}

// show adds those that are read from the resources when they are asked for.
func (m *metrics) show(r *resources) {
	for name, pool := range r.db.Pools() {
		m.Register(collectors.NewDBStatsCollector(pool, name))
	}
	m.Gauge("menshen_streams", "Open event streams.", func() float64 { return float64(r.hub.Streams()) })
	m.Gauge("menshen_held_checks", "Checks that wait for an end.", func() float64 { return float64(r.hub.Held()) })
	m.Gauge("menshen_writers_waiting", "Writers that wait for their turn.", func() float64 { return float64(r.db.Waiting()) })
	m.Gauge("menshen_live_sessions", "Sessions in the cache.", func() float64 { return float64(r.live.Size()) })
	m.Gauge("menshen_follower_lag_seconds", "Age of the last complete read of the log.", func() float64 { return r.live.Lag().Seconds() })
	m.Gauge("menshen_older_secrets_needed", "1 while something is sealed under secret.previous, or may be.", func() float64 {
		if state := r.seals.Load(); state != nil && state.Needed {
			return 1
		}
		return 0
	})
	m.Gauge("menshen_broken_seals", "Numbers under secret.previous that do not open.", func() float64 {
		if state := r.seals.Load(); state != nil {
			return float64(state.Broken)
		}
		return 0
	})
	m.Gauge("menshen_signing_keys", "Keys in the folder.", func() float64 { return float64(r.keys.Size()) })
	m.Gauge("menshen_signing_key_age_seconds", "Age of the key that signs.", func() float64 { return r.keys.Age().Seconds() })
	m.Gauge("menshen_data_free_bytes", "Room on the disk of data_dir; NaN where the system does not tell.", func() float64 { return freeBytes(r.dataDir) })
	for cache, looks := range map[string]*service.Looks{"session": r.live.Looks(), "token": m.tokens} {
		const name, help = "menshen_cache_lookups_total", "Look-ups in the caches of live sessions and of verified tokens."
		m.Total(name, help, prometheus.Labels{"cache": cache, "result": "hit"}, looks.Hits)
		m.Total(name, help, prometheus.Labels{"cache": cache, "result": "miss"}, looks.Misses)
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "menshen_build_info", Help: "1, by the version of the program and of Go.",
	}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.Register(build)
}

// provides begins the counters of a provider that is configured.
func (m *metrics) provides(provider string) {
	for _, outcome := range service.Outcomes() {
		m.Messages(provider, string(outcome))
	}
	for _, outcome := range []string{outcomeRight, outcomeWrong} {
		m.attempts.WithLabelValues(provider, outcome)
	}
}

func (m *metrics) refreshed(outcome string) { m.refreshes.WithLabelValues(outcome).Inc() }

func (m *metrics) compared(provider string, right bool) {
	outcome := outcomeWrong
	if right {
		outcome = outcomeRight
	}
	if provider == "" {
		provider = noProvider
	}
	m.attempts.WithLabelValues(provider, outcome).Inc()
}

func (m *metrics) swept(err error) {
	outcome := outcomeDone
	if err != nil {
		outcome = outcomeFailed
	}
	m.sweeps.WithLabelValues(outcome).Inc()
}

// count shows a census. A product without sessions shows 0 once it has been seen.
// It is not for concurrent use.
func (m *metrics) count(active map[int32]int64) {
	if active == nil {
		m.active.Reset()
		return
	}
	for product := range active {
		m.products[product] = true
	}
	for product := range m.products {
		m.active.WithLabelValues(strconv.Itoa(int(product))).Set(float64(active[product]))
	}
}

// inForce shows the configuration that is applied now.
func (m *metrics) inForce(now time.Time) {
	m.applied.Set(1)
	m.appliedAt.Set(float64(now.Unix()))
}

// reloaded counts a configuration that was read while running.
func (m *metrics) reloaded(applied bool) {
	if applied {
		m.reloads.WithLabelValues(outcomeApplied).Inc()
		return
	}
	m.reloads.WithLabelValues(outcomeRefused).Inc()
	m.applied.Set(0)
}
