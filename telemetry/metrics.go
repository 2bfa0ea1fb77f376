// Package telemetry is everything that operators see: the log, metrics and traces.
package telemetry

import (
	"cmp"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"menshen/model"
	"menshen/service"
	"menshen/service/cache"
	"menshen/service/code"
)

// Metrics are all metrics of the program; docs/operations.md has a row for each.
// Counters with fixed labels begin at 0, so that the first increment is visible to
// rate().
type Metrics struct {
	Requests *Requests
	Tokens   *cache.Stats // look-ups in the caches of verified tokens

	registry   *prometheus.Registry
	events     *prometheus.CounterVec
	messages   *prometheus.CounterVec
	receipts   *prometheus.CounterVec
	followUps  *prometheus.CounterVec
	cost       *prometheus.CounterVec
	conversion *prometheus.GaugeVec
	attempts   *prometheus.CounterVec
	refreshes  *prometheus.CounterVec
	sweeps     *prometheus.CounterVec
	alarms     *prometheus.CounterVec
	challenges *prometheus.CounterVec
	reloads    *prometheus.CounterVec
	applied    prometheus.Gauge
	appliedAt  prometheus.Gauge
	active     *prometheus.GaugeVec
	products   map[int32]bool     // that active has ever counted
	converted  map[[2]string]bool // providers and regions that conversion has
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

// noProvider is the provider label of attempts on a number without a valid code.
const noProvider = "none"

// NewMetrics returns the metrics of a program of this version.
func NewMetrics(version string) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	auto := promauto.With(registry)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.GaugeOpts { return prometheus.GaugeOpts{Name: name, Help: help} }
	m := &Metrics{
		Requests: newRequests(registry), Tokens: &cache.Stats{}, registry: registry, products: map[int32]bool{},
		events: counters("menshen_events_total", "Events that this process wrote into the event log, by kind.", "kind"),
		messages: counters("menshen_sms_total",
			"Codes by provider and by its answer: sent, refused, throttled, unknown. Provider test: test numbers, nothing is sent.", "provider", "outcome"),
		receipts: counters("menshen_sms_receipts_total", "Receipts of vendors that said something new: delivered, undelivered.", "provider", "state"),
		followUps: counters("menshen_sms_followups_total",
			"Turns of the work at a vendor about messages that were sent, by task (receipts that are fetched, redemptions that are reported): done or failed.",
			"provider", "task", "outcome"),
		cost: counters("menshen_sms_cost", "What the messages cost that vendors accepted, by sms.prices.", "provider", "region"),
		conversion: auto.NewGaugeVec(gauge("menshen_sms_conversion",
			"Redeemed of accepted messages to known numbers in sms.conversion.window, of the whole deployment."), []string{"provider", "region"}),
		attempts:   counters("menshen_code_attempts_total", "Codes that were tried, by the provider that had sent the valid one.", "provider", "outcome"),
		refreshes:  counters("menshen_refreshes_total", "Refreshes that were judged, by what came of them.", "outcome"),
		sweeps:     counters("menshen_janitor_sweeps_total", "Sweeps of what has outlived its use.", "outcome"),
		alarms:     counters("menshen_alarms_total", "Alarms that this instance raised, by what they are about: prefix, block, budget or conversion.", "what"),
		challenges: counters("menshen_challenges_total", "Challenges before sending, by outcome: demanded, passed, failed or fault.", "outcome"),
		reloads:    counters("menshen_config_reloads_total", "Configurations that were read while running.", "outcome"),
		applied: auto.NewGauge(gauge("menshen_config_last_reload_successful",
			"1 while the configuration in force is the one that was read last, else 0.")),
		appliedAt: auto.NewGauge(gauge("menshen_config_last_reload_success_timestamp_seconds", "When the configuration in force was applied.")),
		active: auto.NewGaugeVec(gauge("menshen_active_sessions",
			"Active sessions of the whole deployment by product, counted every 30 s, less often where that takes long; none while the database is away."), []string{"product"}),
	}
	build := auto.NewGaugeVec(gauge("menshen_build_info", "1, by the version of the program and of Go."), []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.initCounters()
	return m
}

func (m *Metrics) initCounters() {
	for _, kind := range model.Kinds() {
		m.events.WithLabelValues(string(kind))
	}
	for counter, values := range map[*prometheus.CounterVec][]string{
		m.refreshes: service.RefreshOutcomes(),
		m.sweeps:    {outcomeDone, outcomeFailed},
		m.reloads:   {outcomeApplied, outcomeRefused},
		m.alarms:    {code.AlarmPrefix, code.AlarmBlock, code.AlarmBudget, code.AlarmConversion},
		m.challenges: {
			string(code.ChallengeDemanded), string(code.ChallengePassed), string(code.ChallengeFailed), string(code.ChallengeFault),
		},
	} {
		for _, value := range values {
			counter.WithLabelValues(value)
		}
	}
	m.attempts.WithLabelValues(noProvider, outcomeWrong)
}

// InitProvider creates the provider's counters at 0.
func (m *Metrics) InitProvider(provider string) {
	for _, outcome := range code.Outcomes() {
		m.messages.WithLabelValues(provider, string(outcome))
	}
	for _, state := range []model.MessageState{model.MessageDelivered, model.MessageUndelivered} {
		m.receipts.WithLabelValues(provider, string(state))
	}
	for _, outcome := range []string{outcomeRight, outcomeWrong} {
		m.attempts.WithLabelValues(provider, outcome)
	}
}

// Register adds a collector.
func (m *Metrics) Register(c prometheus.Collector) { m.registry.MustRegister(c) }

// GaugeFunc adds a gauge whose value is read at each scrape.
func (m *Metrics) GaugeFunc(name, help string, value func() float64) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// CounterFunc adds a counter whose value is read at each scrape.
func (m *Metrics) CounterFunc(name, help string, labels prometheus.Labels, value func() uint64) {
	m.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(value()) }))
}

// Handler returns the handler of GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Event counts a committed event.
func (m *Metrics) Event(e model.Event) { m.events.WithLabelValues(string(e.Kind)).Inc() }

// Message counts the outcome of handing a message to a provider.
func (m *Metrics) Message(provider string, outcome code.Outcome) {
	m.messages.WithLabelValues(provider, string(outcome)).Inc()
}

// FollowUp counts a turn of a task at a vendor.
func (m *Metrics) FollowUp(provider, task string, err error) {
	m.followUps.WithLabelValues(provider, task, choose(err == nil, outcomeDone, outcomeFailed)).Inc()
}

// Receipt counts a receipt that said something new.
func (m *Metrics) Receipt(provider string, state model.MessageState) {
	m.receipts.WithLabelValues(provider, string(state)).Inc()
}

// Cost adds the cost of a message that a provider accepted.
func (m *Metrics) Cost(provider, region string, cost float64) {
	m.cost.WithLabelValues(provider, region).Add(cost)
}

// Conversions replaces the ratios of redeemed messages. It is not safe for concurrent use.
func (m *Metrics) Conversions(counts []model.Conversion) {
	before := m.converted
	m.converted = make(map[[2]string]bool, len(counts))
	for _, c := range counts {
		m.converted[[2]string{c.Provider, c.Region}] = true
		m.conversion.WithLabelValues(c.Provider, c.Region).Set(c.Ratio())
	}
	for labels := range before {
		if !m.converted[labels] {
			m.conversion.DeleteLabelValues(labels[0], labels[1])
		}
	}
}

// Attempt counts an attempt on a code. provider sent the valid code, "" if there was
// none.
func (m *Metrics) Attempt(provider string, right bool) {
	m.attempts.WithLabelValues(cmp.Or(provider, noProvider), choose(right, outcomeRight, outcomeWrong)).Inc()
}

// Refresh counts the outcome of a refresh.
func (m *Metrics) Refresh(outcome string) { m.refreshes.WithLabelValues(outcome).Inc() }

// Sweep counts a sweep of the janitor. It failed if err is not nil.
func (m *Metrics) Sweep(err error) {
	m.sweeps.WithLabelValues(choose(err == nil, outcomeDone, outcomeFailed)).Inc()
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// ActiveSessions sets the number of active sessions by product, none if active is nil.
// A product once counted shows 0. It is not safe for concurrent use.
func (m *Metrics) ActiveSessions(active map[int32]int64) {
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

// ConfigApplied records that a configuration came into force at the time now.
func (m *Metrics) ConfigApplied(now time.Time) {
	m.applied.Set(1)
	m.appliedAt.Set(float64(now.Unix()))
}

// Reload counts a reload of the configuration.
func (m *Metrics) Reload(applied bool) {
	m.reloads.WithLabelValues(choose(applied, outcomeApplied, outcomeRefused)).Inc()
	if !applied {
		m.applied.Set(0)
	}
}
