package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/model"
)

// errUnwell is what doctor returns when a check failed.
var errUnwell = errors.New("doctor: not all is well")

func doctorCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Usage: "look at what the configuration cannot tell: database and clocks, names, certificates, vendors, keys, files; changes nothing",
		ArgsUsage: "[-json]",
		Flags:     []urfave.Flag{&urfave.BoolFlag{Name: "json", Usage: "print one object"}},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			if _, err := arguments(cmd, 0); err != nil {
				return err
			}
			checks := []model.Check{}
			a, err := app.New(p, cmd.String("config"))
			if err == nil {
				err = a.Check()
			}
			if err != nil {
				checks = append(checks, model.Check{Name: "configuration", Detail: err.Error()})
			} else {
				checks = a.Doctor(ctx)
			}
			return printChecks(p, checks, cmd.Bool("json"))
		},
	}
}

func printChecks(p app.Process, checks []model.Check, asJSON bool) (err error) {
	well := true
	for _, c := range checks {
		well = well && c.OK
	}
	if asJSON {
		out := json.NewEncoder(p.Out)
		out.SetEscapeHTML(false)
		err = out.Encode(struct {
			Checks []model.Check `json:"checks"`
		}{checks})
	} else {
		for _, c := range checks {
			word := "ok"
			if !c.OK {
				word = "FAIL"
			}
			_, err = fmt.Fprintf(p.Out, "%-4s  %-18s  %s\n", word, c.Name, c.Detail)
		}
	}
	if err == nil && !well {
		err = errUnwell
	}
	return err
}
