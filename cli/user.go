package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/model"
	"menshen/service"
)

func userCommand(p app.Process) *urfave.Command {
	return group("user", "look at accounts and act on them, as the admin API does",
		findCommand(p), listCommand(p), createUserCommand(p), patchUserCommand(p), banCommand(p), unbanCommand(p), kickCommand(p), unlockUserCommand(p),
		sendCodeCommand(p), renumberCommand(p), locksCommand(p), deleteCommand(p), exportUserCommand(p))
}

func banCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "ban", Usage: "end a user's sessions and refuse logins, for ever or until a time", ArgsUsage: "ID -reason R [-until T]",
		Flags: []urfave.Flag{reasonFlag(), timeFlag("until", "the end of the ban")},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, reason, err := userAndReason(cmd)
			if err != nil {
				return err
			}
			until, err := timeOf(cmd, "until")
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				ended, err := a.admin.Ban(ctx, a.by, id, reason, until)
				return a.printEnded(id, ended, err)
			})
		},
	}
}

func unbanCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "unban", Usage: "lift a ban", ArgsUsage: "ID",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, err := userID(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				return a.printEnded(id, 0, a.admin.Unban(ctx, a.by, id, ""))
			})
		},
	}
}

func kickCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "kick", Usage: "end a user's sessions: all, those of a product, or one", ArgsUsage: "ID -reason R [-product N] [-session S]",
		Flags: []urfave.Flag{
			reasonFlag(),
			&urfave.Int32Flag{Name: "product", Usage: "end the sessions of this product type alone"},
			&urfave.StringFlag{Name: "session", Usage: "end the session with this id alone"},
		},
		Action: actOnUser(p, func(ctx context.Context, cmd *urfave.Command, a adminCLI, id int64, reason string) error {
			target := service.KickTarget{SessionID: cmd.String("session")}
			if cmd.IsSet("product") {
				product := cmd.Int32("product")
				target.ProductType = &product
			}
			ended, err := a.admin.Kick(ctx, a.by, id, target, reason)
			return a.printEnded(id, ended, err)
		}),
	}
}

func deleteCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "delete", Usage: "end a user's sessions and erase the personal data, for ever", ArgsUsage: "ID -reason R",
		Flags: []urfave.Flag{reasonFlag()},
		Action: actOnUser(p, func(ctx context.Context, _ *urfave.Command, a adminCLI, id int64, reason string) error {
			ended, err := a.admin.Delete(ctx, a.by, id, reason)
			return a.printEnded(id, ended, err)
		}),
	}
}

func exportUserCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "export", Usage: "print all that is kept about a user, with the whole number", ArgsUsage: "ID",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, err := userID(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				export, err := a.admin.Export(ctx, a.by, id)
				if err != nil {
					return fmt.Errorf("user %d: %w", id, err)
				}
				return a.out.Encode(controller.ViewExport(export, a.admin.Now()))
			})
		},
	}
}

func userID(cmd *urfave.Command) (int64, error) {
	args, err := arguments(cmd, 1)
	if err != nil {
		return 0, err
	}
	if len(args) == 0 {
		return 0, badUsage(cmd, "the user's id is missing; find it by \"user find NUMBER\"")
	}
	id, err := service.ParseID(args[0])
	if err != nil {
		return 0, badUsage(cmd, "the user's id is a whole number; find it by \"user find NUMBER\"")
	}
	return id, nil
}

func reasonFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "reason", Usage: "why; it goes into the audit"}
}

// actOnUser returns what a command does that acts on a user for a reason.
func actOnUser(p app.Process, act func(ctx context.Context, cmd *urfave.Command, a adminCLI, id int64, reason string) error) urfave.ActionFunc {
	return func(ctx context.Context, cmd *urfave.Command) error {
		id, reason, err := userAndReason(cmd)
		if err != nil {
			return err
		}
		return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error { return act(ctx, cmd, a, id, reason) })
	}
}

func userAndReason(cmd *urfave.Command) (id int64, reason string, err error) {
	if id, err = userID(cmd); err != nil {
		return 0, "", err
	}
	reason, err = reasonOf(cmd)
	return id, reason, err
}

func reasonOf(cmd *urfave.Command) (reason string, err error) {
	reason = cmd.String("reason")
	switch service.CheckReason(reason) {
	case model.ReasonRequired:
		err = badUsage(cmd, "-reason is missing: the audit must say why")
	case model.ReasonLength:
		err = badUsage(cmd, "-reason is longer than "+strconv.Itoa(service.MaxReason)+" characters")
	case model.ReasonCharset:
		err = badUsage(cmd, "-reason has characters that are no text")
	}
	return reason, err
}

func (a adminCLI) printEnded(id int64, ended int, err error) error {
	if err != nil {
		return fmt.Errorf("user %d: %w", id, err)
	}
	return a.out.Encode(struct {
		Ended int `json:"ended"`
	}{ended})
}

func timeFlag(name, usage string) urfave.Flag {
	return &urfave.StringFlag{Name: name, Usage: usage + ", such as 2027-01-01T00:00:00Z"}
}

// timeOf is the value of a timeFlag, 0 if it is not given. Times up to 1970 are
// refused, as in the admin API.
func timeOf(cmd *urfave.Command, name string) (model.Time, error) {
	if !cmd.IsSet(name) {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, cmd.String(name))
	if err != nil || t.Unix() <= 0 {
		return 0, badUsage(cmd, "flag -"+name+" is a time like 2027-01-01T00:00:00Z, after 1970")
	}
	return model.TimeOf(t), nil
}
