package cli

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
	"menshen/model"
	"menshen/service"
)

// accountFlags are the members of an account that operators give.
func accountFlags(more ...urfave.Flag) []urfave.Flag {
	return append(more,
		&urfave.StringFlag{Name: "nick", Usage: "the nickname, 1 to 32 characters"},
		&urfave.StringFlag{Name: "real", Usage: "the real name"},
		&urfave.StringFlag{Name: "avatar", Usage: "https address of the avatar"},
		&urfave.StringFlag{Name: "external", Usage: "the id in the company's own system"},
		&urfave.StringFlag{Name: "metadata", Usage: "a JSON object of the company's own, in a patch an RFC 7396 merge patch"},
	)
}

// accountMembers are the values of accountFlags; nil: not given.
func accountMembers(cmd *urfave.Command) (details service.Changes, externalID *string, metadata []byte, err error) {
	for _, member := range []struct {
		flag  string
		check func(string) string
		to    **string
	}{
		{"nick", model.CheckNickName, &details.NickName}, {"real", model.CheckRealName, &details.RealName},
		{"avatar", service.CheckAvatarURL, &details.AvatarURL}, {"external", service.CheckExternalID, &externalID},
	} {
		if !cmd.IsSet(member.flag) {
			continue
		}
		text := cmd.String(member.flag)
		if problem := member.check(text); problem != "" && (member.flag != "external" || text != "") {
			return details, nil, nil, badUsage(cmd, "-"+member.flag+" is not valid: "+problem)
		}
		*member.to = &text
	}
	if cmd.IsSet("metadata") {
		metadata = []byte(cmd.String("metadata"))
		if value := jsontext.Value(metadata); !value.IsValid() || value.Kind() != '{' {
			return details, nil, nil, badUsage(cmd, "-metadata is not a JSON object")
		}
	}
	return details, externalID, metadata, nil
}

func createUserCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "create", Usage: "create the account of a number, whether or not registration is open", ArgsUsage: "NUMBER -company N [-source S] [-nick N] [-real R] [-avatar U] [-external E] [-metadata M]",
		Flags: accountFlags(
			&urfave.Int32Flag{Name: "company", Usage: "the company type"},
			&urfave.StringFlag{Name: "source", Usage: "the registration source"},
		),
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return badUsage(cmd, "the number is missing")
			}
			if !cmd.IsSet("company") {
				return badUsage(cmd, "-company is missing")
			}
			account := service.NewAccount{CompanyType: cmd.Int32("company"), Mobile: args[0], Source: cmd.String("source")}
			if problem := service.CheckSource(account.Source); problem != "" {
				return badUsage(cmd, "-source is not valid: "+problem)
			}
			if account.Details, account.ExternalID, account.Metadata, err = accountMembers(cmd); err != nil {
				return err
			}
			if account.ExternalID != nil && *account.ExternalID == "" {
				return badUsage(cmd, "-external is empty")
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				person, err := a.admin.Create(ctx, a.by, account)
				return a.printPerson(person, err)
			})
		},
	}
}

func patchUserCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "patch", Usage: "change members of a user", ArgsUsage: "ID [-nick N] [-real R] [-avatar U] [-external E] [-metadata M]",
		Description: "An empty -external clears the id.",
		Flags:       accountFlags(),
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			id, err := userID(cmd)
			if err != nil {
				return err
			}
			var edit service.AccountEdit
			if edit.Details, edit.ExternalID, edit.Metadata, err = accountMembers(cmd); err != nil {
				return err
			}
			if edit.Details == (service.Changes{}) && edit.ExternalID == nil && edit.Metadata == nil {
				return badUsage(cmd, "there is nothing to change")
			}
			if edit.ExternalID != nil && *edit.ExternalID == "" {
				edit.ExternalID, edit.ClearExternalID = nil, true
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				person, err := a.admin.Edit(ctx, a.by, id, edit)
				if err != nil {
					err = fmt.Errorf("user %d: %w", id, err)
				}
				return a.printPerson(person, err)
			})
		},
	}
}

func (a adminCLI) printPerson(person service.Person, err error) error {
	if err != nil {
		return err
	}
	return a.out.Encode(controller.ViewPerson(person, a.admin.Now()))
}

func unlockUserCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "unlock", Usage: "lift the limits of a user's number, as \"unlock NUMBER\" does", ArgsUsage: "ID -reason R",
		Flags: []urfave.Flag{reasonFlag()},
		Action: actOnUser(p, func(ctx context.Context, _ *urfave.Command, a adminCLI, id int64, reason string) error {
			cleared, err := a.admin.Unlock(ctx, a.by, id, reason)
			if err != nil {
				return fmt.Errorf("user %d: %w", id, err)
			}
			return a.printCleared(cleared)
		}),
	}
}

// printCleared prints how many limits held something.
func (a adminCLI) printCleared(cleared int) error {
	return a.out.Encode(struct {
		Cleared int `json:"cleared"`
	}{cleared})
}
