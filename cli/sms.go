package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/model"
)

func smsCommand(p app.Process) *urfave.Command {
	return group("sms", "try the vendors of messages", &urfave.Command{
		Name: "test", Usage: "have a vendor send the code 123456, which opens nothing, apart from all limits; says what to mend",
		ArgsUsage: "-to NUMBER [-provider P] [-company C] [-product T] [-purpose X] [-language L]",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "to", Usage: "the number, in any spelling"},
			&urfave.StringFlag{Name: "provider", Usage: "the vendor; default: the first one of the number's route"},
			&urfave.Int64Flag{Name: "company", Usage: "the company's type; default: the first one"},
			&urfave.Int64Flag{Name: "product", Usage: "the product's type; default: the first one"},
			&urfave.StringFlag{Name: "purpose", Usage: "login, change or delete", Value: string(model.PurposeLogin)},
			&urfave.StringFlag{Name: "language", Usage: "zh-CN or en; default: server.locale"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			if _, err := arguments(cmd, 0); err != nil {
				return err
			}
			t := app.TestMessage{To: cmd.String("to"), Provider: cmd.String("provider"), Purpose: cmd.String("purpose"), Language: cmd.String("language")}
			if t.To == "" {
				return badUsage(cmd, "-to is missing")
			}
			for name, value := range map[string]**int32{"company": &t.Company, "product": &t.Product} {
				if n := cmd.Int64(name); cmd.IsSet(name) {
					if n < math.MinInt32 || n > math.MaxInt32 {
						return badUsage(cmd, "-"+name+" is no type")
					}
					*value = new(int32(n))
				}
			}
			return run(ctx, cmd, p, func(ctx context.Context, a *app.App) error { return sendTest(ctx, cmd, a, t) })
		},
	})
}

// errNotAccepted is what the command returns if the vendor did not take the message.
var errNotAccepted = errors.New("sms test: the message was not accepted")

func sendTest(ctx context.Context, cmd *urfave.Command, a *app.App, t app.TestMessage) error {
	outcome, err := a.SendTest(ctx, t)
	if errors.Is(err, model.ErrMalformed) {
		problems, _ := json.Marshal(model.AsFailure(err).Data())
		return badUsage(cmd, fmt.Sprintf("%s %s", err, problems))
	}
	if err != nil {
		return err
	}
	if err := outcome.Write(a.Out); err != nil {
		return err
	}
	if outcome.Err != nil {
		return errNotAccepted
	}
	return nil
}
