package cli

import (
	"context"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

func checkConfigCommand(p app.Process) *urfave.Command {
	return plain(p, "check-config", "apply every rule of a start and print the configuration; touches no database", func(_ context.Context, a *app.App) error {
		for _, warning := range a.Warnings {
			_, _ = fmt.Fprintln(a.Err, "warning:", warning)
		}
		if lax := a.Config.Lax; len(lax) > 0 {
			_, _ = fmt.Fprintf(a.Err, "warning: %s is not production: these keys are laxer than production allows: %s\n", a.Config.Env, strings.Join(lax, ", "))
		}
		if err := a.Check(); err != nil {
			return err
		}
		if _, err := fmt.Fprint(a.Out, a.Config.Masked()); err != nil {
			return err
		}
		return a.WriteTexts(a.Out)
	})
}
