package bench

import (
	"os"
	"testing"
	"time"
)

// The starts that are measured; the figures are medians.
const (
	starts   = 5
	idleTime = 5 * time.Second
)

// BenchmarkStart measures the process as it ships, on SQLite: the first start on
// an empty folder until /readyz is 200, a start on the same folder, a stop by
// SIGTERM, the resident memory of an idle process, the size of the binary. The
// first start makes the keys, the secrets and the schema. It runs once.
func BenchmarkStart(b *testing.B) {
	if testing.Short() {
		b.Skip("-short")
	}
	path, err := program()
	if err != nil {
		b.Fatal(err)
	}
	logLoad(b, "before")
	var first, warm, stop figures
	for range starts {
		d := newDeployment(b)
		p := d.start(b)
		first = append(first, p.ready)
		stop = append(stop, p.stop(b))
		p = d.start(b)
		warm = append(warm, p.ready)
		stop = append(stop, p.stop(b))
	}
	idle := newDeployment(b).start(b)
	time.Sleep(idleTime)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(first.median()), "first-ms")
	b.ReportMetric(ms(first.at(1)), "first-ms-max")
	b.ReportMetric(ms(warm.median()), "warm-ms")
	b.ReportMetric(ms(stop.median()), "stop-ms")
	b.ReportMetric(idle.memory(b, "VmRSS")/1000, "idle-MB")
	b.ReportMetric(idle.memory(b, "VmHWM")/1000, "idle-peak-MB")
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
}
