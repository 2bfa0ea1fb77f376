package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/model"
	"menshen/service"
)

// userAndNumber are the two arguments ID and NUMBER.
func userAndNumber(cmd *urfave.Command) (id int64, number string, err error) {
	args, err := arguments(cmd, 2)
	if err != nil {
		return 0, "", err
	}
	if len(args) < 2 {
		return 0, "", badUsage(cmd, "the user's id or the new number is missing")
	}
	if id, err = service.ParseID(args[0]); err != nil {
		return 0, "", badUsage(cmd, "the user's id is a whole number; find it by \"user find NUMBER\"")
	}
	return id, args[1], nil
}

func sendCodeCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "code", Usage: "send a code to the new number of a user who lost the old one", ArgsUsage: "ID NUMBER",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, number, err := userAndNumber(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				sent, err := a.admin.SendCode(ctx, a.by, id, number, model.LanguageZhCN)
				if err != nil {
					return fmt.Errorf("user %d: %w", id, err)
				}
				return a.out.Encode(struct {
					Expire      model.Time `json:"expire"`
					ResendAfter int64      `json:"resendAfter"`
					Ticket      string     `json:"ticket"`
				}{sent.Expire, sent.ResendAfter, string(sent.Ticket)})
			})
		},
	}
}

func renumberCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "mobile", Usage: "give a user who lost the number a new one, by the code that was sent to it", ArgsUsage: "ID NUMBER -code C -reason R [-ticket T]",
		Flags: []urfave.Flag{
			reasonFlag(),
			&urfave.StringFlag{Name: "code", Usage: "what \"user code\" sent to the new number"},
			&urfave.StringFlag{Name: "ticket", Usage: "what \"user code\" printed"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, number, err := userAndNumber(cmd)
			if err != nil {
				return err
			}
			reason, err := reasonOf(cmd)
			if err != nil {
				return err
			}
			if cmd.String("code") == "" {
				return badUsage(cmd, "-code is missing")
			}
			change := service.LostNumber{Mobile: number, Code: model.Secret(cmd.String("code")), Ticket: model.Secret(cmd.String("ticket")), Reason: reason}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				ended, err := a.admin.Renumber(ctx, a.by, id, change)
				return a.printEnded(id, ended, err)
			})
		},
	}
}

func locksCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "locks", Usage: "print what the limits of a number hold", ArgsUsage: "NUMBER",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return badUsage(cmd, "the number is missing")
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				number, locks, err := a.admin.Number(ctx, a.by, args[0])
				if err != nil {
					return err
				}
				return a.out.Encode(controller.ViewNumber(number, locks))
			})
		},
	}
}
