package telemetry

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestActiveSessions: a product stays, at 0, once its last session is gone, and
// nothing is shown while the sessions cannot be counted.
func TestActiveSessions(t *testing.T) {
	m := NewMetrics("test")
	shown := func() string {
		registry := prometheus.NewRegistry()
		registry.MustRegister(m.active)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				text += fmt.Sprintf("%s=%g ", metric.GetLabel()[0].GetValue(), metric.GetGauge().GetValue())
			}
		}
		return text
	}
	for _, step := range []struct {
		active map[int32]int64
		want   string
	}{
		{map[int32]int64{0: 5, -3: 2}, "-3=2 0=5 "}, {map[int32]int64{0: 1}, "-3=0 0=1 "}, {nil, ""}, {map[int32]int64{}, "-3=0 0=0 "},
	} {
		m.ActiveSessions(step.active)
		if got := shown(); got != step.want {
			t.Errorf("after %v it shows %q, want %q", step.active, got, step.want)
		}
	}
}
