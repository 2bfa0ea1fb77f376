package cli

import (
	"context"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/model"
)

func auditCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "audit", Usage: "print the newest events, newest first", ArgsUsage: "[-user ID] [-kind K] [-actor A] [-from T] [-to T] [-n N]",
		Flags: []urfave.Flag{
			&urfave.Int64Flag{Name: "user", Usage: "events of this user alone"},
			&urfave.StringFlag{Name: "kind", Usage: "events of this kind alone"},
			&urfave.StringFlag{Name: "actor", Usage: "events of this actor alone"},
			timeFlag("from", "the first moment"), timeFlag("to", "the moment after the last"),
			&urfave.IntFlag{Name: "n", Value: 50, Usage: "how many at most"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			filter, limit, err := auditFilter(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error { return a.list(ctx, filter, limit) })
		},
	}
}

func auditFilter(cmd *urfave.Command) (filter model.EventFilter, limit int, err error) {
	filter = model.EventFilter{UserID: cmd.Int64("user"), Kind: model.Kind(cmd.String("kind")), Actor: cmd.String("actor")}
	limit = cmd.Int("n")
	if _, err = arguments(cmd, 0); err != nil {
		return filter, 0, err
	}
	if limit < 1 || filter.UserID < 0 {
		return filter, 0, badUsage(cmd, "-n and -user are more than 0")
	}
	if filter.From, err = timeOf(cmd, "from"); err != nil {
		return filter, 0, err
	}
	filter.To, err = timeOf(cmd, "to")
	return filter, limit, err
}

func (a adminCLI) list(ctx context.Context, filter model.EventFilter, limit int) error {
	cursor := ""
	for {
		events, next, err := a.audit.List(ctx, a.by, filter, cursor)
		if err != nil {
			return err
		}
		for _, e := range events[:min(limit, len(events))] {
			if err := a.out.Encode(controller.ViewEvent(e)); err != nil {
				return err
			}
		}
		if limit -= len(events); limit <= 0 || next == "" {
			return nil
		}
		cursor = next
	}
}
