package service

import (
	"fmt"
	"testing"
)

// TestMergeComparesFewParts: the work of a bucket does not grow with the square of its
// sources, which clients choose.
func TestMergeComparesFewParts(t *testing.T) {
	const sources = 10_000
	var parts []Breakdown
	for i := range 2 * sources {
		parts = append(parts, Breakdown{ProductType: 1, Source: fmt.Sprint(i * 7919 % sources), Count: int64(i)})
	}
	compared := 0
	merged := merge(parts, func(a, b Breakdown) int {
		compared++
		return compareParts(a, b)
	})
	if len(merged) != sources || compared > 40*sources {
		t.Errorf("%d parts after %d comparisons, want %d after fewer than %d", len(merged), compared, sources, 40*sources)
	}
	sum := int64(0)
	for _, part := range merged {
		sum += part.Count
	}
	if want := int64(sources) * (2*sources - 1); sum != want {
		t.Errorf("the sum is %d, want %d", sum, want)
	}
}
