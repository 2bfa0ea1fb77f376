package bench

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// figures are durations of one kind.
type figures []time.Duration

// at returns the figure below which the share lies, by the nearest rank.
func (f figures) at(share float64) time.Duration {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (f figures) median() time.Duration { return f.at(0.5) }

// report reports the figures in milliseconds under units that begin with prefix.
func (f figures) report(b *testing.B, prefix string) {
	b.Helper()
	b.ReportMetric(ms(f.median()), prefix+"ms-p50")
	b.ReportMetric(ms(f.at(0.99)), prefix+"ms-p99")
	b.ReportMetric(ms(f.at(1)), prefix+"ms-max")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// each calls act for 0…n-1, workers of them at a time, and returns how long each
// took. The first error ends the benchmark, after all have returned.
func each(b *testing.B, n, workers int, act func(i int) error) figures {
	b.Helper()
	took := make(figures, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range min(n, workers) {
		all.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				began := time.Now()
				if err := act(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return took
}
