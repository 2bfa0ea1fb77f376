package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/repository"
)

func secretsCommand(p app.Process) *urfave.Command {
	return group("secrets", "change secret.key",
		plain(p, "rotate", "make a new secret.key and say what to do with it", rotateSecret),
		plain(p, "status", "report whether the older secrets can go; changes nothing", secretStatus),
	)
}

const rotationSteps = `A new secret, which is kept nowhere yet:

    %s

Nobody is logged out if all instances take each step before the next:
1. Add it to secret.previous; leave secret.key. Restart. (With a single instance skip this.)
2. Make it secret.key, and put the one that was there into secret.previous. Restart.
3. When "menshen secrets status" says that the old one is not needed, take it out. Restart.
Keep the old one as long as you keep a database backup made before step 3.
`

const fileSteps = `%s has a new secret in its first line and the old one behind it.

1. Restart. Nobody is logged out.
2. When "menshen secrets status" says that the old one is not needed, delete its line. Restart.
Keep the old one as long as you keep a database backup made before step 2.
`

func rotateSecret(_ context.Context, a *app.App) error {
	secret, path, err := a.RotateSecret()
	switch {
	case err != nil:
		return err
	case path == "":
		_, err = fmt.Fprintf(a.Out, rotationSteps, secret)
	default:
		_, err = fmt.Fprintf(a.Out, fileSteps, path)
	}
	return err
}

func secretStatus(ctx context.Context, a *app.App) error {
	d, err := a.Join(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	counts, unknown, err := d.Vault.Seals(ctx, repository.Vault{DB: d.DB}, repository.Users{DB: d.DB})
	if err != nil {
		return err
	}
	var text strings.Builder
	older := unknown
	for i, c := range counts {
		name, also := "secret.key", ""
		if i > 0 {
			name = "older"
			older += c.Numbers
		}
		if c.Lookup {
			also = ", and the look-up key"
		}
		_, _ = fmt.Fprintf(&text, "%-10s  %s  seals %d numbers%s\n", name, c.Secret, c.Numbers, also)
	}
	if unknown > 0 {
		_, _ = fmt.Fprintf(&text, "%d numbers are encrypted under secrets that are not given here, and cannot be decrypted.\n", unknown)
	}
	switch {
	case len(counts) == 1 && older == 0:
		text.WriteString("There is no older secret.\n")
	case !counts[0].Lookup:
		text.WriteString("The older secrets are needed: no instance was started with this secret.key yet.\n")
	case older > 0:
		text.WriteString("The older secrets are needed: running instances encrypt these numbers again.\n")
	default:
		text.WriteString("The older secrets are not needed once every instance has run with this secret.key for 10 minutes.\n")
	}
	_, err = io.WriteString(a.Out, text.String())
	return err
}
