package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// machine is where the figures belong to.
type machine struct {
	cores          int
	processor      string
	memory, kernel string
	before         string // load average
}

func describeMachine() machine {
	m := machine{cores: runtime.NumCPU(), before: loadAverage(), processor: "unknown", memory: "unknown"}
	m.kernel, _, _ = strings.Cut(readLine("/proc/sys/kernel/osrelease"), "-")
	if model := procLine("/proc/cpuinfo", "model name"); model != "" {
		m.processor = model
	}
	var kilobytes float64
	if _, err := fmt.Sscanf(procLine("/proc/meminfo", "MemTotal"), "%f kB", &kilobytes); err == nil {
		m.memory = fmt.Sprintf("%.0f GB", kilobytes/1e6)
	}
	return m
}

func readLine(path string) string {
	text, _ := os.ReadFile(path) //nolint:gosec // of /proc; what is not there is not told
	return strings.TrimSpace(string(text))
}

func procLine(path, name string) string {
	for line := range strings.Lines(readLine(path)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// loadAverage is that of the last minute: figures of a busy machine are no figures.
func loadAverage() string {
	minute, _, _ := strings.Cut(readLine("/proc/loadavg"), " ")
	return minute
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if half := len(sorted) / 2; len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[len(sorted)/2]
}
