package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what processes took, between two readings of a meter.
type usage struct {
	server, database time.Duration // of the processors
	statements       int64         // that the database ran
	logged           int64         // bytes of the database's log
	written          int64         // bytes to the disk, by the process that holds the data
}

func (u usage) minus(o usage) usage {
	return usage{u.server - o.server, u.database - o.database, u.statements - o.statements, u.logged - o.logged, u.written - o.written}
}

func (u usage) plus(o usage) usage {
	return usage{u.server + o.server, u.database + o.database, u.statements + o.statements, u.logged + o.logged, u.written + o.written}
}

// meter reads what a server and its database have used since they started.
type meter struct {
	server   int     // process id
	database int     // process id, 0 for a database inside the server
	db       *sql.DB // of the database
}

func (m meter) read(ctx context.Context) (u usage, err error) {
	if u.server, err = processorTime(m.server); err != nil {
		return u, err
	}
	if m.database == 0 {
		u.written, err = bytesWritten(m.server)
		return u, err
	}
	if u.database, err = processorTime(m.database); err != nil {
		return u, err
	}
	if u.written, err = bytesWritten(m.database); err != nil {
		return u, err
	}
	rows, err := m.db.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions', 'Innodb_os_log_written')")
	if err != nil {
		return u, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var value int64
		if err := rows.Scan(&name, &value); err != nil {
			return u, err
		}
		if name == "Questions" {
			u.statements = value
			continue
		}
		u.logged = value
	}
	return u, rows.Err()
}

// tick is the unit of /proc/PID/stat on Linux.
const tick = 10 * time.Millisecond

// processorTime is what all threads of a process used, those that ended included.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	var sum time.Duration
	for _, field := range fields[11:13] { // utime and stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// bytesWritten is what a process has caused to be sent to the disk.
func bytesWritten(pid int) (int64, error) { return procFigure(pid, "io", "write_bytes") }

// residentMemory is VmRSS, in bytes.
func residentMemory(pid int) (int64, error) {
	kilobytes, err := procFigure(pid, "status", "VmRSS")
	return kilobytes * 1024, err
}

func procFigure(pid int, file, name string) (int64, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	text, err := os.ReadFile(path) //nolint:gosec // of a process that we started
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			return strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// tally is all rounds of one contestant in one scenario.
type tally struct {
	outcome
	usage usage
	rates []float64 // requests a second of each round
}

// measured runs one round and adds it.
func (t *tally) measured(ctx context.Context, m meter, round func(context.Context) (outcome, error)) error {
	before, err := m.read(ctx)
	if err != nil {
		return err
	}
	result, err := round(ctx)
	if err != nil {
		return err
	}
	after, err := m.read(ctx)
	if err != nil {
		return err
	}
	if t.latency == nil {
		t.latency = newLatency()
	}
	t.add(result)
	t.usage = t.usage.plus(after.minus(before))
	t.rates = append(t.rates, float64(result.requests)/result.took.Seconds())
	return nil
}

// rate is the median of the rounds, in requests a second.
func (t *tally) rate() float64 { return median(t.rates) }

// each is a share of a total that one request took.
func (t *tally) each(total float64) float64 { return total / float64(max(t.requests, 1)) }

// serverTime and databaseTime are processor time of one request.
func (t *tally) serverTime() time.Duration   { return time.Duration(t.each(float64(t.usage.server))) }
func (t *tally) databaseTime() time.Duration { return time.Duration(t.each(float64(t.usage.database))) }

// percentile is a latency in milliseconds.
func (t *tally) percentile(p float64) float64 {
	return float64(t.latency.ValueAtPercentile(p)) / 1000
}
