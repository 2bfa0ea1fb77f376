package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

func versionCommand(p app.Process) *urfave.Command {
	return &urfave.Command{Name: "version", Usage: "print the version", Action: func(_ context.Context, cmd *urfave.Command) error {
		if _, err := arguments(cmd, 0); err != nil {
			return err
		}
		return printVersion(p)
	}}
}

func printVersion(p app.Process) error {
	_, err := fmt.Fprintln(p.Out, "menshen", p.Version)
	return err
}
