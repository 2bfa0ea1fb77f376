package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is all that a run found.
type report struct {
	plan     plan
	machine  machine
	database string
	began    time.Time
	took     time.Duration
	after    string // load average

	seeded *deployment // with liveSessions sessions
	duels  []*duel
	steps  []*step
	tables []*table
	acts   []*acts
	filled *filled
	micro  map[string]float64
}

// The measured section of the document stands between these; the rest is by hand.
const (
	sectionBegin = "<!-- measured by make bench: begin -->"
	sectionEnd   = "<!-- measured by make bench: end -->"
	latencyPlot  = "latency.svg"
	sessionsPlot = "sessions.svg"
)

// failures are requests that were answered wrongly: figures with such are none.
func (r *report) failures() error {
	var all error
	look := func(what string, t *tally) {
		if t.failures > 0 {
			all = errors.Join(all, fmt.Errorf("%s: %d of %d failed, the first: %w", what, t.failures, t.requests+t.failures, t.failure))
		}
	}
	for _, d := range r.duels {
		look(fmt.Sprintf("check with %d clients", d.clients), &d.menshen)
		look("bare Gin", &d.bare)
		look("plain Gin", &d.plain)
	}
	for _, s := range r.steps {
		look(fmt.Sprintf("check at %.0f/s", s.rate), &s.menshen)
		look(fmt.Sprintf("bare Gin at %.0f/s", s.rate), &s.bare)
	}
	for _, t := range r.tables {
		look(fmt.Sprintf("cold check of %d", t.sessions), &t.cold)
		look(fmt.Sprintf("warm check of %d", t.sessions), &t.warm)
	}
	for _, a := range r.acts {
		for _, act := range a.tallies() {
			look(act.name+" on "+a.driver, act.tally)
		}
	}
	return all
}

// markdown is the measured section.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "* **Machine**: %d cores of %s, %s of memory, Linux %s; %s.\n  Servers, database and clients run on it.\n",
		r.machine.cores, r.machine.processor, r.machine.memory, r.machine.kernel, runtime.Version())
	fmt.Fprintf(&b, "* **Date**: %s, %.0f minutes; load average %s before, %s after.\n",
		r.began.Format(time.DateOnly), r.took.Minutes(), r.machine.before, r.after)
	fmt.Fprintf(&b, "%s\n", inLines("* **Database**: "+r.database+".", "  "))
	fmt.Fprintf(&b, "* **Rounds**: %d of each server, interleaved; requests/s are those of the median round, latencies and\n  costs those of all rounds.\n\n", r.plan.rounds)
	r.writeDuels(&b)
	r.writeSteps(&b)
	r.writeTables(&b)
	r.writeActs(&b)
	r.writeCosts(&b)
	r.writeSizes(&b)
	return b.String()
}

const tallyHead = "| | requests/s | ratio | p50 | p99 | p99.9 | server CPU | database CPU | failed |\n|---|---|---|---|---|---|---|---|---|\n"

// row is one contestant; ratio says what it is compared with.
func (t *tally) row(name, ratio string) string {
	return fmt.Sprintf("| %s | %.0f | %s | %.2f ms | %.2f ms | %.2f ms | %s | %s | %d |\n", name, t.rate(), ratio,
		t.percentile(50), t.percentile(99), t.percentile(99.9), micros(t.serverTime()), micros(t.databaseTime()), t.failures)
}

func micros(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000)
}

func (r *report) writeDuels(b *strings.Builder) {
	fmt.Fprintf(b, "### The check against bare Gin\n\n%d tokens of %d active sessions, used in turn, closed loop. The bare server has the same\ntime-outs and sends the same bytes; plain Gin has none and sends the body alone.\n\n", tokensInPlay, liveSessions)
	b.WriteString(tallyHead)
	for _, d := range r.duels {
		b.WriteString(d.bare.row(fmt.Sprintf("bare Gin, %d clients", d.clients), "1"))
		b.WriteString(d.plain.row(fmt.Sprintf("plain Gin, %d clients", d.clients), fmt.Sprintf("%.2f (menshen/plain **%.2f**)",
			d.plain.rate()/d.bare.rate(), d.menshen.rate()/d.plain.rate())))
		b.WriteString(d.menshen.row(fmt.Sprintf("menshen, %d clients", d.clients), fmt.Sprintf("**%.2f** (CPU %.2f)",
			d.menshen.rate()/d.bare.rate(), float64(d.menshen.serverTime())/float64(d.bare.serverTime()))))
	}
	b.WriteString("\nGoal: at least 0.85 of the requests/s, at most 1.2 times the server's CPU time.\n\n")
}

func (r *report) writeSteps(b *strings.Builder) {
	fmt.Fprintf(b, "### Latency at a fixed rate\n\n%d connections, open loop: latency is measured from the moment at which the request was due.\n\n", openClients)
	b.WriteString("| requests/s | menshen p50 | p99 | p99.9 | bare Gin p50 | p99 | p99.9 |\n|---|---|---|---|---|---|---|\n")
	for _, s := range r.steps {
		fmt.Fprintf(b, "| %.0f | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.2f ms |\n", s.rate,
			s.menshen.percentile(50), s.menshen.percentile(99), s.menshen.percentile(99.9),
			s.bare.percentile(50), s.bare.percentile(99), s.bare.percentile(99.9))
	}
	fmt.Fprintf(b, "\n![Latency against rate](%s)\n\n", latencyPlot)
}

func (r *report) writeTables(b *strings.Builder) {
	fmt.Fprintf(b, "### The check over tables of sessions\n\n%d sessions spread over the table, %d clients. Cold: the first check of each session since the start\n"+
		"(one signature, one read by the primary key). Warm: all later checks.\n\n", tableTokens, writers)
	b.WriteString("| sessions | warm, requests/s | p99 | server CPU | cold, requests/s | p99 | server CPU | database CPU |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range r.tables {
		fmt.Fprintf(b, "| %d | %.0f | %.2f ms | %s | %.0f | %.2f ms | %s | %s |\n", t.sessions,
			t.warm.rate(), t.warm.percentile(99), micros(t.warm.serverTime()),
			t.cold.rate(), t.cold.percentile(99), micros(t.cold.serverTime()), micros(t.cold.databaseTime()))
	}
	fmt.Fprintf(b, "\nGoal: flat within 10 %% warm, 25 %% cold.\n\n![Cost against sessions](%s)\n\n", sessionsPlot)
}

func (r *report) writeActs(b *strings.Builder) {
	fmt.Fprintf(b, "### Codes, logins, refreshes\n\n%d clients. Codes are sent to a provider on the loopback; each login registers a user with one of\nthem. The ratio is to logins.\n\n", writers)
	b.WriteString(tallyHead)
	for _, a := range r.acts {
		for _, act := range a.tallies() {
			b.WriteString(act.tally.row(act.name+", "+a.driver, fmt.Sprintf("%.2f", act.tally.rate()/a.login.rate())))
		}
	}
	told := "Goals: codes at least 0.7 of logins; no login fails; on MariaDB, p99 of a login at most 60 ms and of a refresh at most 30 ms. " +
		"Connections accepted by the provider:"
	for _, a := range r.acts {
		told += fmt.Sprintf(" %d for %d codes (%s).", a.connections, a.code.requests, a.driver)
	}
	fmt.Fprintf(b, "\n%s\n\n", inLines(told, ""))
}

// inLines breaks text into lines of at most 105 characters, the second and later ones behind indent.
func inLines(text, indent string) string {
	words := strings.Fields(text)
	all, length := words[0], len(words[0])
	for _, word := range words[1:] {
		separator := " "
		if length+1+len(word) > 105 {
			separator, length = "\n"+indent, len(indent)-1
		}
		all += separator + word
		length += 1 + len(word)
	}
	return all
}

func (r *report) writeSizes(b *strings.Builder) {
	if r.filled == nil && r.micro == nil {
		return
	}
	b.WriteString("### Memory, starts, sizes\n\n| | goal | |\n|---|---|---|\n")
	row := func(what, goal, unit, form string) {
		if value, ok := r.micro[unit]; ok {
			fmt.Fprintf(b, "| %s | %s | "+form+" |\n", what, goal, value)
		}
	}
	row("first start until `/readyz` is 200", "≤ 200 ms", "first-ms", "%.0f ms")
	row("warm start", "≤ 100 ms", "warm-ms", "%.0f ms")
	row("stop, idle", "≤ 300 ms", "stop-ms", "%.0f ms")
	row("resident memory, idle", "≤ 30 MB", "idle-MB", "%.1f MB")
	row("static stripped binary", "≤ 48 MB", "binary-MB", "%.1f MB")
	row("heap per cached session, with a million", "≤ 300 B", "B/session", "%.0f B")
	row("resident memory with a million cached sessions", "≤ 350 MB", "million-MB", "%.0f MB")
	if f := r.filled; f != nil {
		fmt.Fprintf(b, "| resident memory after one check of each of %d sessions, over the network | | %.1f MB (before: %.1f MB) |\n",
			f.sessions, float64(f.after)/1e6, float64(f.before)/1e6)
	}
	b.WriteString("\n")
}

// writeDocument puts the section between its marks and the plots beside it.
func (r *report) writeDocument(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // of the command line
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), sectionBegin)
	_, after, ended := strings.Cut(rest, sectionEnd)
	if !found || !ended {
		return fmt.Errorf("%s lacks %q or %q", path, sectionBegin, sectionEnd)
	}
	for name, p := range map[string]plot{latencyPlot: r.latencies(), sessionsPlot: r.sessionCosts()} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(p.svg()), 0o644); err != nil { //nolint:gosec // a document
			return err
		}
	}
	text = []byte(before + sectionBegin + "\n\n" + r.markdown() + sectionEnd + after)
	return os.WriteFile(path, text, 0o644) //nolint:gosec // a document
}

func (r *report) latencies() plot {
	p := plot{title: "Latency of the check at a fixed rate", x: "requests/s", y: "ms", logY: true, lines: []line{
		{name: "menshen, p50"}, {name: "menshen, p99"}, {name: "bare Gin, p50"}, {name: "bare Gin, p99"},
	}}
	for _, s := range r.steps {
		for i, value := range []float64{s.menshen.percentile(50), s.menshen.percentile(99), s.bare.percentile(50), s.bare.percentile(99)} {
			p.lines[i].points = append(p.lines[i].points, [2]float64{s.rate, max(value, 0.001)})
		}
	}
	return p
}

func (r *report) sessionCosts() plot {
	p := plot{title: "Cost of the check against sessions in the table", x: "sessions", y: "server CPU, µs", logX: true, lines: []line{
		{name: "cold"}, {name: "warm"},
	}}
	for _, t := range r.tables {
		for i, cost := range []time.Duration{t.cold.serverTime(), t.warm.serverTime()} {
			p.lines[i].points = append(p.lines[i].points, [2]float64{float64(t.sessions), float64(cost.Microseconds())})
		}
	}
	return p
}
