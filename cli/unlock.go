package cli

import (
	"context"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

func unlockCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "unlock", Usage: "forget a number's failures and messages, and end its device credentials", ArgsUsage: "NUMBER -reason R",
		Flags: []urfave.Flag{reasonFlag()},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return badUsage(cmd, "the number is missing")
			}
			reason, err := reasonOf(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				cleared, err := a.admin.UnlockNumber(ctx, a.by, args[0], reason)
				if err != nil {
					return err
				}
				return a.printCleared(cleared)
			})
		},
	}
}
