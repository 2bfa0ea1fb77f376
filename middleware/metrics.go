package middleware

import (
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"menshen/model"
)

// Metrics counts what the service does, for Prometheus. Requests are counted by
// the code of their envelope, so that every failure of the table shows without
// a counter of its own; the label is the route, never the path.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	known    atomic.Pointer[map[labels]series]
	events   *prometheus.CounterVec
	messages *prometheus.CounterVec
}

// NewMetrics also counts what the runtime tells of the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_requests_total", Help: "Requests by route and by the code of the answer.",
		}, []string{"method", "route", "status", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "menshen_request_duration_seconds", Help: "Time from the request's head to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"method", "route"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_events_total", Help: "Lines that this process wrote into the log of events, by kind.",
		}, []string{"kind"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_sms_total",
			Help: "Codes by provider and by its answer: sent, refused, throttled, unknown. Provider test: test numbers, nothing is sent.",
		}, []string{"provider", "outcome"}),
	}
	for _, kind := range model.Kinds() {
		m.events.WithLabelValues(string(kind)) // from 0, so that the first one is an increase
	}
	m.registry.MustRegister(m.requests, m.duration, m.events, m.messages, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Register adds a collector.
func (m *Metrics) Register(c prometheus.Collector) { m.registry.MustRegister(c) }

// Gauge adds a value that is read when it is asked for.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counter adds counters by labels; each is there once it was asked for by With….
func (m *Metrics) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(counter)
	return counter
}

// Total adds a counter whose value is read when it is asked for.
func (m *Metrics) Total(name, help string, labels prometheus.Labels, value func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(value()) }))
}

// Event counts a committed line of the log of events.
func (m *Metrics) Event(line model.Event) { m.events.WithLabelValues(string(line.Kind)).Inc() }

// Messages begins a count of messages at 0, so that the first one is an increase.
func (m *Metrics) Messages(provider, outcome string) { m.messages.WithLabelValues(provider, outcome) }

// Message counts what a provider answered to one message.
func (m *Metrics) Message(provider, outcome string) {
	m.messages.WithLabelValues(provider, outcome).Inc()
}

// Count counts every request.
func (m *Metrics) Count(now func() time.Time) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		x := exchangeOf(c)
		s := m.seriesOf(labels{knownMethod(c.Request.Method), routeOf(c), c.Writer.Status(), x.code})
		s.requests.Inc()
		s.duration.Observe(x.duration(now).Seconds())
	}
}

// labels are what requests are counted by. Methods, routes, and codes with their
// status are few and ours, so what is remembered by them is bounded.
type labels struct {
	method, route string
	status        int
	code          int32
}

// series is what a request of its labels is counted in.
type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// seriesOf finds the series without making the labels' texts each time. The map
// is read by every request and hardly ever written: a writer makes a new one, and
// of two that race one is forgotten until its labels come again.
func (m *Metrics) seriesOf(l labels) series {
	known := m.known.Load()
	if known != nil {
		if s, ok := (*known)[l]; ok {
			return s
		}
	}
	s := series{
		requests: m.requests.WithLabelValues(l.method, l.route, strconv.Itoa(l.status), strconv.Itoa(int(l.code))),
		duration: m.duration.WithLabelValues(l.method, l.route),
	}
	more := map[labels]series{l: s}
	if known != nil {
		maps.Copy(more, *known)
	}
	m.known.Store(&more)
	return s
}

// Handler is GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// routeOf is the pattern that matched.
func routeOf(c *gin.Context) string {
	if route := c.FullPath(); route != "" {
		return route
	}
	return "none"
}
