package service

import (
	"slices"
	"testing"
)

// TestImportBatchRunsAgain: a try that is undone leaves the lines that could not be parsed,
// whatever order the try brought its own bad lines into.
func TestImportBatchRunsAgain(t *testing.T) {
	unparsed := []BadLine{{Line: 5, Reason: "form"}, {Line: 7, Reason: "form"}}
	want := slices.Clone(unparsed)
	var b importBatch
	for range 3 {
		b.reset(unparsed)
		if !slices.Equal(b.bad, want) {
			t.Fatalf("a try begins with %v, want %v", b.bad, want)
		}
		b.bad = append(b.bad, BadLine{Line: 2, Reason: "taken"})
		slices.SortFunc(b.bad, func(a, b BadLine) int { return a.Line - b.Line })
	}
}
