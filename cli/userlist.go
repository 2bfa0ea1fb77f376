package cli

import (
	"context"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/service"
)

func findCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "find", Usage: "print a user with the active sessions, by number or id", ArgsUsage: "NUMBER | -id ID | -external E",
		Flags: []urfave.Flag{
			&urfave.Int64Flag{Name: "id", Usage: "the user's id"},
			&urfave.StringFlag{Name: "external", Usage: "the id in the company's own system"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			q := service.UserQuery{Mobile: strings.Join(args, ""), ID: cmd.Int64("id"), ExternalID: cmd.String("external"), Limit: service.MaxUserPage}
			if q.Mobile == "" && q.ID <= 0 && q.ExternalID == "" {
				return badUsage(cmd, "a number or an id is missing")
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error { return a.find(ctx, q) })
		},
	}
}

func (a adminCLI) find(ctx context.Context, q service.UserQuery) error {
	found, _, err := a.admin.List(ctx, a.by, q)
	if err != nil {
		return err
	}
	for _, profile := range found {
		person, err := a.admin.Person(ctx, profile.User)
		if err != nil {
			return err
		}
		if err := a.printPerson(person, nil); err != nil {
			return err
		}
	}
	return nil
}

func listCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: "print the newest users, newest first", ArgsUsage: "[-company N] [-source S] [-banned] [-from T] [-to T] [-n N]",
		Flags: []urfave.Flag{
			&urfave.Int32Flag{Name: "company", Usage: "users of this company type alone"},
			&urfave.StringFlag{Name: "source", Usage: "users with this registration source alone"},
			&urfave.BoolFlag{Name: "banned", Usage: "banned users alone; -banned=false: the others"},
			timeFlag("from", "the first moment of the registration"), timeFlag("to", "the moment after the last"),
			&urfave.IntFlag{Name: "n", Value: service.UserPage, Usage: "how many at most"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			q, err := userQuery(cmd)
			if err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error { return a.listUsers(ctx, q) })
		},
	}
}

// userQuery is the query of the flags. Its limit is for all pages together.
func userQuery(cmd *urfave.Command) (q service.UserQuery, err error) {
	q = service.UserQuery{Source: cmd.String("source"), Limit: cmd.Int("n")}
	if _, err = arguments(cmd, 0); err != nil {
		return q, err
	}
	if q.Limit < 1 {
		return q, badUsage(cmd, "-n is more than 0")
	}
	if cmd.IsSet("company") {
		q.CompanyType = new(cmd.Int32("company"))
	}
	if cmd.IsSet("banned") {
		q.Banned = new(cmd.Bool("banned"))
	}
	if q.From, err = timeOf(cmd, "from"); err != nil {
		return q, err
	}
	q.To, err = timeOf(cmd, "to")
	return q, err
}

func (a adminCLI) listUsers(ctx context.Context, q service.UserQuery) error {
	for left := q.Limit; left > 0; {
		q.Limit = min(left, service.MaxUserPage)
		users, next, err := a.admin.List(ctx, a.by, q)
		if err != nil {
			return err
		}
		for _, user := range users {
			if err := a.out.Encode(controller.ViewListedUser(user, a.admin.Now())); err != nil {
				return err
			}
		}
		if left, q.Cursor = left-len(users), next; next == "" {
			return nil
		}
	}
	return nil
}
