// Command load measures menshen as it ships, over the wire: it builds the binary,
// starts it beside a bare Gin server and a database on the loopback, loads them in
// interleaved rounds and prints what a request costs. docs/performance.md keeps
// the figures, bench/ratios.json the ratios that are compared later.
//
//	load [-quick] [-rounds N] [-write F] [-ratios F [-check]] [-sessions 1000,100000] [-fill N]
//	load -profile F
//	load [-peer F -peer-database URL] [-before F]
//
// It is run through `make bench` and `make bench-check`. Without a database in
// MENSHEN_TEST_MYSQL everything runs on SQLite. All that it starts ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what a run does.
type plan struct {
	rounds   int
	round    time.Duration // of a closed loop
	sessions []int         // sizes of the table, ascending
	fill     int           // sessions that are asked for once, for the memory; 0: none
	starts   bool          // measure starts and sizes too
}

// The load of the scenarios.
const (
	rounds       = 5
	roundTime    = 2 * time.Second
	quickTime    = time.Second
	liveSessions = 100_000 // in the table of the check against bare Gin
	tokensInPlay = 2_000
	writers      = 64 // clients that send, log in and refresh
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareCommand {
		os.Exit(exitOf(serveBare(os.Args[2])))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := exitOf(run(ctx, os.Args[1:]))
	stop()
	os.Exit(code)
}

func exitOf(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "load:", err)
	return 1
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "shorter rounds, smaller tables, no starts")
	document := flags.String("write", "", "document to write the measured section into, its plots beside it")
	ratios := flags.String("ratios", "", "`file` of ratios: written, or compared with -check")
	check := flags.Bool("check", false, "compare with the ratios and fail beyond 15 %")
	interleaved := flags.Int("rounds", rounds, "rounds of each contestant; with fewer than 5 a median says little")
	sizes := flags.String("sessions", "1000,10000,100000,1000000", "sizes of the table of sessions")
	profiled := flags.String("profile", "", "measure nothing, write a profile of the processor's time to the `file`")
	peerBinary := flags.String("peer", "", "compare with the Supabase Auth of this `file` instead of all else")
	peerDatabase := flags.String("peer-database", "", "`URL` of a durable, empty PostgreSQL for it")
	before := flags.String("before", "", "compare with the menshen of this `file` instead of all else")
	fill := flags.Int("fill", 100_000, "sessions to ask for once, for the memory of the process")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *profiled != "" {
		return profile(ctx, *profiled)
	}
	p := plan{rounds: max(*interleaved, 1), round: roundTime, fill: *fill, starts: !*quick}
	if *quick {
		p.round, p.fill, *sizes = quickTime, 0, "1000,100000"
	}
	if *peerBinary != "" || *before != "" {
		return compare(ctx, p, rivals{*peerBinary, *peerDatabase, *before})
	}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-sessions: %q is no number of sessions", text)
		}
		p.sessions = append(p.sessions, n)
	}
	if *check && *ratios == "" {
		return errors.New("-check needs -ratios")
	}
	if _, err := os.Stat(*ratios); *check && err != nil {
		return fmt.Errorf("nothing to compare with, `make bench` writes it: %w", err)
	}
	found, err := measure(ctx, p)
	if err != nil {
		return err
	}
	fmt.Print(found.markdown())
	return found.keep(*document, *ratios, *check)
}

// measure runs all scenarios.
func measure(ctx context.Context, p plan) (*report, error) {
	s, err := openStage(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.makeRoom(ctx, slices.Max(p.sessions)); err != nil {
		return nil, err
	}
	r := &report{plan: p, machine: describeMachine(), began: time.Now(), database: s.databaseName}
	for _, scenario := range []struct {
		name string
		run  func(context.Context, *stage, *report) error
	}{
		{"check against bare Gin", checkScenario}, {"check over tables of sessions", sessionsScenario},
		{"codes, logins, refreshes", writeScenario}, {"memory", fillScenario}, {"starts and sizes", startScenario},
	} {
		fmt.Fprintf(os.Stderr, "%s: %s\n", time.Now().Format(time.TimeOnly), scenario.name)
		if err := scenario.run(ctx, s, r); err != nil {
			return nil, fmt.Errorf("%s: %w", scenario.name, err)
		}
	}
	r.took, r.after = time.Since(r.began), loadAverage()
	return r, nil
}
