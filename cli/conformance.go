package cli

import (
	"context"
	"errors"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/conformance"
)

// errNotConformant is what conformance returns when a trace has failed.
var errNotConformant = errors.New("conformance: the client failed a trace")

// conformanceCommand needs no configuration and no database: each trace has a service of
// its own.
func conformanceCommand(p app.Process) *urfave.Command {
	own := 1 // flags behind the client's program are the client's
	return &urfave.Command{
		Name: "conformance", Usage: "play to a client what breaks clients, and judge it by what it sends", ArgsUsage: "[-run NAME,NAME] [-parallel N] [-json] PROGRAM [ARGUMENT ...]",
		Description: "The program is the client under test: it is told one command a line. docs/conformance.md has the protocol.",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "run", Usage: "the traces to play, separated by commas, such as expired,push-*; without it all"},
			&urfave.IntFlag{Name: "parallel", Value: 2 * runtime.NumCPU(), Usage: "traces that are played at once"},
			&urfave.BoolFlag{Name: "json", Usage: "print one object"},
			&urfave.BoolFlag{Name: "list", Usage: "print the traces and play none"},
		},
		StopOnNthArg: &own,
		Action:       func(ctx context.Context, cmd *urfave.Command) error { return playTraces(ctx, cmd, p) },
	}
}

func playTraces(ctx context.Context, cmd *urfave.Command, p app.Process) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away ends the run in order
	names := strings.FieldsFunc(cmd.String("run"), func(r rune) bool { return r == ',' })
	traces, err := conformance.Select(names)
	if err != nil {
		return badUsage(cmd, err.Error())
	}
	client := cmd.Args().Slice()
	switch {
	case cmd.Bool("list") && len(client) == 0:
		return conformance.WriteTable(p.Out, traces)
	case cmd.Bool("list"):
		return badUsage(cmd, "-list plays no trace to a client")
	case cmd.Int("parallel") < 1:
		return badUsage(cmd, "-parallel must be at least 1")
	case len(client) == 0:
		return badUsage(cmd, "the client's program is missing")
	}
	if _, err := exec.LookPath(client[0]); err != nil {
		return badUsage(cmd, err.Error())
	}
	var summary conformance.Summary
	options := conformance.Options{Process: p, Client: client, Parallel: cmd.Int("parallel")}
	err = conformance.Run(ctx, options, traces, func(v conformance.Verdict) error {
		summary.Add(v)
		if cmd.Bool("json") {
			return nil
		}
		return v.Write(p.Out)
	})
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = summary.WriteJSON(p.Out)
	} else {
		err = summary.Write(p.Out)
	}
	if err == nil && summary.Failed > 0 {
		err = errNotConformant
	}
	return err
}
