package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// contender is one of several ways to do the same.
type contender struct {
	name string
	// prepare makes what n acts need, outside of the measured time.
	prepare func(b *testing.B, n int) (act func(i int) error)
}

// actsOfRound is how many acts of a contender make a round.
const actsOfRound = 16 * parallel

// compareRounds runs the contenders in turn for b.N rounds (-benchtime 5x) and
// prints one table: medians over the rounds, and the ratio of each contender to the
// first one within the same round. What slows the machine for a while slows all.
func compareRounds(b *testing.B, all ...contender) {
	b.Helper()
	rates, p50, p99 := make([][]float64, len(all)), make([][]float64, len(all)), make([][]float64, len(all))
	ratios := make([][]float64, len(all))
	for round := range b.N {
		for k := range all {
			i := (k + round) % len(all) // each is first in turn
			act := all[i].prepare(b, actsOfRound)
			began := time.Now()
			took := each(b, actsOfRound, parallel, act)
			rates[i] = append(rates[i], actsOfRound/time.Since(began).Seconds())
			p50[i], p99[i] = append(p50[i], ms(took.median())), append(p99[i], ms(took.at(0.99)))
		}
		for i := range all {
			ratios[i] = append(ratios[i], rates[i][round]/rates[0][round])
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n| %s, c = %d, rounds: %d | acts/s | ratio | least … most | p50 ms | p99 ms |\n|---|---|---|---|---|---|\n", b.Name(), parallel, b.N)
	for i, c := range all {
		fmt.Fprintf(&table, "| %s | %.0f | %.2f | %.2f … %.2f | %.1f | %.1f |\n", c.name, median(rates[i]), median(ratios[i]),
			slices.Min(ratios[i]), slices.Max(ratios[i]), median(p50[i]), median(p99[i]))
		b.ReportMetric(median(ratios[i]), "ratio-"+strings.ReplaceAll(c.name, " ", "-"))
	}
	_, _ = os.Stdout.WriteString(table.String())
}

// median returns the middle value.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
