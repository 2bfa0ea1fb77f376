package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
)

// ratio is a figure that depends little on the machine, because both of its
// sides are of one run.
type ratio struct {
	Value  float64 `json:"value"`
	Better string  `json:"better"` // higher or lower
}

const (
	higher = "higher"
	lower  = "lower"
	// tolerance is how far a ratio may be worse than the committed one.
	tolerance = 0.15
)

// ratios returns all ratios of a run by name. The cost of writes is expressed in
// checks of the bare server: their processor time divided by its.
func (r *report) ratios() map[string]ratio {
	found := map[string]ratio{}
	for _, d := range r.duels {
		name := fmt.Sprintf("check, %d clients, against bare Gin: ", d.clients)
		found[name+"requests/s"] = ratio{d.menshen.rate() / d.bare.rate(), higher}
		found[name+"processor time"] = ratio{float64(d.menshen.serverTime()) / float64(d.bare.serverTime()), lower}
	}
	// Both sizes are in the quick run too.
	small, large := r.tableOf(1_000), r.tableOf(liveSessions)
	if small != nil && large != nil {
		found["check over 100,000 sessions, warm, against 1,000: requests/s"] = ratio{large.warm.rate() / small.warm.rate(), higher}
		found["check over 100,000 sessions, cold, against 1,000: requests/s"] = ratio{large.cold.rate() / small.cold.rate(), higher}
	}
	bare := float64(r.duels[0].bare.serverTime())
	for _, a := range r.acts {
		found["codes against logins, "+a.driver+": acts/s"] = ratio{a.code.rate() / a.login.rate(), higher}
		for _, act := range a.tallies() {
			found[act.name+", "+a.driver+", against a bare request: processor time"] = ratio{float64(act.tally.serverTime()) / bare, lower}
		}
	}
	return found
}

func (r *report) tableOf(size int) *table {
	for _, t := range r.tables {
		if t.sessions == size {
			return t
		}
	}
	return nil
}

// namedTally is one act of acts.
type namedTally struct {
	name  string
	tally *tally
}

func (a *acts) tallies() []namedTally {
	return []namedTally{{"code", &a.code}, {"login", &a.login}, {"refresh", &a.refresh}}
}

// keep writes what the flags ask for, or compares with what was kept.
func (r *report) keep(document, ratios string, check bool) error {
	if failures := r.failures(); failures != nil {
		return failures
	}
	if document != "" {
		if err := r.writeDocument(document); err != nil {
			return err
		}
	}
	switch {
	case ratios == "":
		return nil
	case check:
		return r.compare(ratios)
	}
	text, err := json.MarshalIndent(rounded(r.ratios()), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(ratios, append(text, '\n'), 0o644) //nolint:gosec // a document
}

func rounded(found map[string]ratio) map[string]ratio {
	for name, one := range found {
		one.Value = math.Round(one.Value*1000) / 1000
		found[name] = one
	}
	return found
}

// The verdicts of a comparison.
var (
	errWorse    = errors.New("a ratio is more than 15 % worse than the committed one")
	errNotTaken = errors.New("a committed ratio was not measured")
)

// compare prints each ratio beside the committed one. Those of MySQL may be missing, for its
// server is optional; any other that is not measured fails, as one that is worse does.
func (r *report) compare(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // of the command line
	if err != nil {
		return err
	}
	kept := map[string]ratio{}
	if err := json.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found, verdict := r.ratios(), error(nil)
	fmt.Println("\n| ratio | committed | now | |\n|---|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		now, measured := found[name]
		said := "ok"
		switch {
		case !measured:
			said = "not measured"
			if !strings.Contains(name, ", mysql") {
				verdict = errNotTaken
			}
		case worse(kept[name], now):
			said, verdict = "**worse**", errWorse
		}
		fmt.Printf("| %s | %.3f | %.3f | %s |\n", name, kept[name].Value, now.Value, said)
	}
	return verdict
}

func worse(kept, now ratio) bool {
	if kept.Better == lower {
		return now.Value > kept.Value*(1+tolerance)
	}
	return now.Value < kept.Value*(1-tolerance)
}
