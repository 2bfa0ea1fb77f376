package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

func migrateCommand(p app.Process) *urfave.Command {
	return plain(p, "migrate", "bring the schema to the newest version; a start does it too", func(ctx context.Context, a *app.App) error {
		applied, err := a.Migrate(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "applied %d migrations\n", applied)
		return err
	})
}
