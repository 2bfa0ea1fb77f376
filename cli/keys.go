package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/service/token"
)

func keysCommand(p app.Process) *urfave.Command {
	return group("keys", "change the keys that sign tokens",
		plain(p, "rotate", "add a signing key; it signs after token.key_activation", func(_ context.Context, a *app.App) error {
			return changeKeys(a, (*token.KeyRing).Rotate)
		}),
		&urfave.Command{
			Name: "revoke", Usage: "remove a signing key at once; its tokens are refused from then on", ArgsUsage: "KID",
			Action: func(ctx context.Context, cmd *urfave.Command) error {
				args, err := arguments(cmd, 1)
				if err == nil && len(args) == 0 {
					err = badUsage(cmd, "the key's id is missing")
				}
				if err != nil {
					return err
				}
				return run(ctx, cmd, p, func(_ context.Context, a *app.App) error {
					return changeKeys(a, func(ring *token.KeyRing) (token.KeyChange, error) { return ring.Revoke(args[0]) })
				})
			},
		},
	)
}

// keyID is the id of a key that begins with a hyphen, as the base64url of a thumbprint
// may (RFC 7638). No flag is so long.
var keyID = regexp.MustCompile(`^-[A-Za-z0-9_-]{42}$`)

// protectKeyIDs moves the ids of keys behind "--", where the library takes nothing for a
// flag. The value of -config stays where it is.
func protectKeyIDs(args []string) []string {
	if !slices.Contains(args, "revoke") {
		return args
	}
	var others, ids []string
	for i, arg := range args {
		switch {
		case arg == "--":
			return slices.Concat(others, []string{"--"}, ids, args[i+1:])
		case keyID.MatchString(arg) && (i == 0 || strings.TrimLeft(args[i-1], "-") != "config"):
			ids = append(ids, arg)
		default:
			others = append(others, arg)
		}
	}
	if ids == nil {
		return args
	}
	return slices.Concat(others, []string{"--"}, ids)
}

func changeKeys(a *app.App, change func(*token.KeyRing) (token.KeyChange, error)) error {
	ring, err := a.JoinKeys()
	if err != nil {
		return err
	}
	changed, err := change(ring)
	for _, kid := range changed.Added {
		_, _ = fmt.Fprintln(a.Out, "added", kid)
	}
	for _, kid := range changed.Removed {
		_, _ = fmt.Fprintln(a.Out, "removed", kid)
	}
	for _, problem := range changed.Unusable {
		_, _ = fmt.Fprintln(a.Err, "warning:", problem)
	}
	if len(changed.Unusable) > 0 {
		_, _ = fmt.Fprintln(a.Err, "warning: these files stay as they are, and a running instance keeps a key that it has read from one of them before")
	}
	return err
}
