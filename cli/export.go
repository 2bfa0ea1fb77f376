package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/controller"
)

func exportCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "export", Usage: "print all accounts with their whole numbers, as JSON lines that import reads", ArgsUsage: "[-o FILE]",
		Flags: []urfave.Flag{&urfave.StringFlag{Name: "o", Usage: "write to this file, which other users cannot read"}},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			if _, err := arguments(cmd, 0); err != nil {
				return err
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				path := cmd.String("o")
				if path == "" {
					return a.export(ctx, p.Out)
				}
				file, err := createPrivate(path)
				if err != nil {
					return err
				}
				return errors.Join(a.export(ctx, file), file.Close())
			})
		},
	}
}

func (a adminCLI) export(ctx context.Context, out io.Writer) error {
	buffer := bufio.NewWriter(out)
	lines := json.NewEncoder(buffer)
	lines.SetEscapeHTML(false)
	unreadable, err := a.admin.Dump(ctx, a.by, controller.DumpTo(lines))
	if err == nil && unreadable > 0 {
		err = fmt.Errorf("%d accounts are left out: their numbers cannot be decrypted", unreadable)
	}
	return errors.Join(err, buffer.Flush())
}
