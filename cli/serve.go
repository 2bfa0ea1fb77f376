package cli

import (
	"context"
	"os/signal"
	"syscall"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

func serveCommand(p app.Process) *urfave.Command {
	const usage = "serve until SIGTERM; SIGHUP reads the configuration again"
	return &urfave.Command{Name: "serve", Usage: usage, Action: func(ctx context.Context, cmd *urfave.Command) error {
		if _, err := arguments(cmd, 0); err != nil {
			return err
		}
		return serve(ctx, cmd, p)
	}}
}

// serve ignores SIGPIPE until the process ends: the service goes on without a reader of
// its log. Other commands, whose output may be cut by a pipe to head, end by it.
func serve(ctx context.Context, cmd *urfave.Command, p app.Process) error {
	signal.Ignore(syscall.SIGPIPE)
	return run(ctx, cmd, p, func(ctx context.Context, a *app.App) error { return a.Serve(ctx) })
}
