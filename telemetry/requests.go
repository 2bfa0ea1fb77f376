package telemetry

import (
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Requests counts requests by the code of their envelope.
type Requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	known    atomic.Pointer[map[RequestLabels]series]
}

// RequestLabels are the labels of a request. Their values are defined by the program,
// so the number of series is bounded.
type RequestLabels struct {
	Method string
	Route  string // the pattern that matched, never the path
	Status int
	Code   int32 // of the envelope
}

// series holds the metrics of requests with the same labels.
type series struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

func newRequests(registry *prometheus.Registry) *Requests {
	auto := promauto.With(registry)
	r := &Requests{
		total: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "menshen_requests_total", Help: "Requests by route and by the code of the response.",
		}, []string{"method", "route", "status", "code"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name: "menshen_request_duration_seconds", Help: "Time from the request's head to the end of its response.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"method", "route"}),
	}
	r.known.Store(&map[RequestLabels]series{})
	return r
}

// Observe counts one request. It is safe for concurrent use and does not block.
func (r *Requests) Observe(l RequestLabels, took time.Duration) {
	s := r.seriesOf(l)
	s.total.Inc()
	s.duration.Observe(took.Seconds())
}

// seriesOf returns the series of the labels without formatting them each time. If two
// writers race, one series is lost from the map until its labels occur again.
func (r *Requests) seriesOf(l RequestLabels) series {
	known := *r.known.Load()
	s, ok := known[l]
	if !ok {
		s = series{
			total:    r.total.WithLabelValues(l.Method, l.Route, strconv.Itoa(l.Status), strconv.Itoa(int(l.Code))),
			duration: r.duration.WithLabelValues(l.Method, l.Route),
		}
		more := maps.Clone(known)
		more[l] = s
		r.known.Store(&more)
	}
	return s
}
