package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// startScenario takes from the benchmarks what a process without requests costs:
// starts, stop, sizes, and the memory of a million cached sessions.
func startScenario(ctx context.Context, _ *stage, r *report) error {
	if !r.plan.starts {
		return nil
	}
	test := exec.CommandContext(ctx, "go", "test", "-tags=nomsgpack,timetzdata", "-run", "^$", "-bench", "^Benchmark(Start|SessionCache)$", "-benchtime", "1x", "menshen/bench")
	out, err := test.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", test.Args, err, out)
	}
	r.micro = parseBenchmarks(string(out))
	return nil
}

// parseBenchmarks finds the figures of benchmarks by their unit: lines of a name,
// a count, and pairs of value and unit.
func parseBenchmarks(text string) map[string]float64 {
	found := map[string]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				found[fields[i+1]] = value
			}
		}
	}
	return found
}
