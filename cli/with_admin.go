package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/user"
	"strconv"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/config"
	"menshen/model"
	"menshen/service"
)

// adminCLI is what the commands of operators use: the rules of the admin API over the
// deployment's database, whether instances run or not. Running instances read what a
// command did from the event log.
type adminCLI struct {
	admin *service.Admin
	audit *service.Audit
	by    service.Operator
	out   *json.Encoder // one object a line
}

// withAdmin joins the deployment of the configuration and runs act. A value that the
// rules refuse as malformed is bad usage.
func withAdmin(ctx context.Context, cmd *urfave.Command, p app.Process, act func(ctx context.Context, a adminCLI) error) error {
	return run(ctx, cmd, p, func(ctx context.Context, a *app.App) error {
		d, err := a.Join(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		admin, err := a.NewAdmin(d)
		if err != nil {
			return err
		}
		out := json.NewEncoder(a.Out)
		out.SetEscapeHTML(false)
		err = act(ctx, adminCLI{admin: admin, audit: d.NewAudit(), by: service.Operator{Name: shellUser()}, out: out})
		if errors.Is(err, model.ErrMalformed) {
			problems, _ := json.Marshal(model.AsFailure(err).Data())
			return badUsage(cmd, string(problems))
		}
		return err
	})
}

// shellUser returns the actor of commands. No admin key can have such a name.
func shellUser() string {
	name := strconv.Itoa(os.Getuid())
	if known, err := user.Current(); err == nil {
		name = known.Username
	}
	return config.ShellActor + name[:min(len(name), maxShellUser)]
}

// maxShellUser bounds the name, so that the actor fits its column.
const maxShellUser = 56
