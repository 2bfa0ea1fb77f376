package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The deployment of the calculation, and what menshen does about a device: its
// session is read again 50 to 60 s after the last read, its token lives 15 minutes
// (token.access_ttl), and an instance remembers 200,000 verified tokens.
const (
	devices        = 10_000_000
	pollEvery      = 10 * time.Second
	rereadEvery    = 55 * time.Second
	refreshEvery   = 15 * time.Minute
	tokensInMemory = 200_000
	used           = 0.6 // of the processors, so that peaks find room
)

// writeCosts tells what a million of each act takes.
func (r *report) writeCosts(b *strings.Builder) {
	b.WriteString("### Cost of a million\n\n| | server CPU | database CPU | statements | log of the database | written to disk |\n|---|---|---|---|---|---|\n")
	row := func(name string, t *tally) {
		fmt.Fprintf(b, "| %s | %.0f s | %.0f s | %.2f M | %.2f GB | %.2f GB |\n", name, 1e6*t.serverTime().Seconds(), 1e6*t.databaseTime().Seconds(),
			t.each(float64(t.usage.statements)), t.each(float64(t.usage.logged))/1e3, t.each(float64(t.usage.written))/1e3)
	}
	row("checks, warm", &r.duels[0].menshen)
	if t := r.tableOf(liveSessions); t != nil {
		row("checks, cold", &t.cold)
	}
	for _, a := range r.acts {
		for _, act := range a.tallies() {
			row(plural(act.name)+", "+a.driver, act.tally)
		}
	}
	b.WriteString("\n*Written to disk* is what the process with the data wrote; with SQLite that is menshen, its access log\nincluded.\n\n")
	r.writeCalculation(b)
}

func plural(act string) string {
	if strings.HasSuffix(act, "h") {
		return act + "es"
	}
	return act + "s"
}

// writeCalculation is what many devices would need, from the figures above.
func (r *report) writeCalculation(b *strings.Builder) {
	t, last := r.tableOf(liveSessions), r.acts[len(r.acts)-1]
	if t == nil {
		return
	}
	warm, refresh := &r.duels[0].menshen, &last.refresh
	checks, rereads, refreshes := devices/pollEvery.Seconds(), devices/rereadEvery.Seconds(), devices/refreshEvery.Seconds()
	// A cold check has a signature and a read; to read again costs no more than that.
	server := checks*warm.serverTime().Seconds() + rereads*max(0, t.cold.serverTime()-warm.serverTime()).Seconds() + refreshes*refresh.serverTime().Seconds()
	database := rereads*t.cold.databaseTime().Seconds() + refreshes*refresh.databaseTime().Seconds()
	written := refreshes * refresh.each(float64(refresh.usage.written))
	fmt.Fprintf(b, "**%d M devices that check every %.0f s**, calculated from these figures: %.0f k checks/s, of which %.0f k\n"+
		"read the session again (an entry is cached for 50 to 60 s), and %.1f k refreshes/s (tokens of 15 minutes).\n\n",
		devices/1_000_000, pollEvery.Seconds(), checks/1000, rereads/1000, refreshes/1000)
	fmt.Fprintf(b, "* menshen: %.0f cores busy, **%.0f cores** at %.0f %% utilisation, in at least %d instances with each device\n  bound to one: an instance caches %d verified tokens.\n",
		server, math.Ceil(server/used), used*100, devices/tokensInMemory, tokensInMemory)
	fmt.Fprintf(b, "* Database: %.0f cores busy, **%.0f cores** at %.0f %% utilisation, %.0f MB/s written. Reads may use replicas\n  only if these show everything that was committed.\n",
		database, math.Ceil(database/used), used*100, written/1e6)
	if bytes, ok := r.micro["B/session"]; ok {
		fmt.Fprintf(b, "* Memory of cached sessions: %.1f GB over all instances.\n", devices*bytes/1e9)
	}
	b.WriteString("\n")
}
