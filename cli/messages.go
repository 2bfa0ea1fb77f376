package cli

import (
	"context"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/service"
)

func messagesCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "messages", Usage: "print what was sent to a number and what became of it, newest first", ArgsUsage: "NUMBER",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 || args[0] == "" {
				return badUsage(cmd, "the number is missing")
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error { return a.messages(ctx, args[0]) })
		},
	}
}

func (a adminCLI) messages(ctx context.Context, mobile string) error {
	query := service.MessageQuery{Mobile: mobile}
	for {
		messages, next, err := a.admin.Messages(ctx, a.by, query)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := a.out.Encode(controller.ViewMessage(m)); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		query.Cursor = next
	}
}
