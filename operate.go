package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/controller"
	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// desk is where an operator's command works: the rules of the admin API over the
// deployment's database, whether servers run or not. They hear of what is done
// here by the log of events.
type desk struct {
	operators *service.Operators
	audit     *service.Audit
	by        service.Operator
	out       *json.Encoder // one object a line
}

// atDesk is the action that opens a desk for act. A value that only the rules
// can judge, and refuse, is bad usage like any other.
func atDesk(act func(ctx context.Context, d desk) error) action {
	return func(ctx context.Context, j job) error {
		res, err := joinDeployment(ctx, j)
		if err != nil {
			return err
		}
		defer func() { _ = res.db.Close() }()
		s, err := servicesOf(j.cfg, res, limiters{}, wiring{log: zap.NewNop(), out: io.Discard})
		if err != nil {
			return err
		}
		out := json.NewEncoder(j.out)
		out.SetEscapeHTML(false)
		err = act(ctx, desk{operators: s.operators, audit: s.audit, by: service.Operator{Name: shellUser()}, out: out})
		if errors.Is(err, model.ErrMalformed) {
			problems, _ := json.Marshal(model.AsFailure(err).Data())
			return fmt.Errorf("%w: %s", errUsage, problems)
		}
		return err
	}
}

// joinDeployment opens the database of a deployment that is there. Unlike a
// start it makes nothing: no database, no secret, no schema.
func joinDeployment(ctx context.Context, j job) (*resources, error) {
	cfg := j.cfg
	if cfg.Database.Driver == config.DriverSQLite {
		file, _, _ := strings.Cut(strings.TrimPrefix(cfg.DatabasePath(), "file:"), "?")
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	secrets, err := heldSecrets(cfg)
	if err != nil {
		return nil, err
	}
	db, err := repository.Open(ctx, cfg.Database.Driver, cfg.DatabasePath())
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	res := &resources{db: db, clock: &clock{db: db, own: j.now}, live: service.NewLive(j.now), hub: service.NewHub()}
	res.metrics = metricsOf(res) // nobody reads them, but the rules count
	res.lookout = newLookout(res.metrics.Metrics, zap.NewNop)
	res.log = service.Observed{Tx: db, Log: repository.Events{DB: db}, See: res.metrics.Event}
	if err := res.join(ctx, secrets); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return res, nil
}

func (r *resources) join(ctx context.Context, secrets [][]byte) error {
	migrated, err := r.db.Migrated(ctx)
	if err == nil && !migrated {
		err = errNotMigrated
	}
	if err != nil {
		return err
	}
	if r.vault, err = service.JoinVault(ctx, repository.Vault{DB: r.db}, secrets...); err != nil {
		return err
	}
	return r.clock.measure(ctx)
}

// shellUser is the actor of commands: no admin key may have such a name.
func shellUser() string {
	name := strconv.Itoa(os.Getuid())
	if known, err := user.Current(); err == nil {
		name = known.Username
	}
	return config.ShellActor + name[:min(len(name), maxShellUser)]
}

// maxShellUser keeps the actor within its column.
const maxShellUser = 56

// newFlags are the flags of one command, which prints nothing by itself.
func newFlags(words string) *flag.FlagSet {
	f := flag.NewFlagSet(words, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parseFlags reads flags that may stand before and behind the other arguments,
// which it returns: at most so many.
func parseFlags(f *flag.FlagSet, args []string, most int) (rest []string, err error) {
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if err != nil {
			return nil, badUsage(f, err.Error())
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		if rest = append(rest, f.Arg(0)); len(rest) > most {
			return nil, badUsage(f, "too many arguments")
		}
		args = f.Args()[1:]
	}
}

func badUsage(f *flag.FlagSet, problem string) error {
	return fmt.Errorf("%w: %s: %s", errUsage, f.Name(), problem)
}

// parseUser reads the flags of a command about one user and the user's id.
func parseUser(f *flag.FlagSet, args []string) (int64, error) {
	rest, err := parseFlags(f, args, 1)
	if err != nil {
		return 0, err
	}
	if len(rest) == 0 {
		return 0, badUsage(f, "the user's id is missing; find it by \"user find NUMBER\"")
	}
	id, err := service.ParseID(rest[0])
	if err != nil {
		return 0, badUsage(f, "the user's id is a whole number; find it by \"user find NUMBER\"")
	}
	return id, nil
}

// reasonOf is an operator's reason, by the rule of the admin API.
func reasonOf(f *flag.FlagSet, reason string) error {
	switch {
	case reason == "":
		return badUsage(f, "-reason is missing: the audit is to say why")
	case utf8.RuneCountInString(reason) > controller.MaxReason:
		return badUsage(f, "-reason is longer than "+strconv.Itoa(controller.MaxReason)+" characters")
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return badUsage(f, "-reason has characters that are no text")
	}
	return nil
}

type endedLine struct {
	Ended int `json:"ended"`
}

// told prints how many sessions an act on a user ended.
func (d desk) told(id int64, ended int, err error) error {
	if err != nil {
		return fmt.Errorf("user %d: %w", id, err)
	}
	return d.out.Encode(endedLine{ended})
}

// parseFind is for users by number or id, each on a line with the live sessions.
func parseFind(args []string) (action, error) {
	f := newFlags("user find")
	id := f.Int64("id", 0, "")
	rest, err := parseFlags(f, args, 1)
	if err != nil {
		return nil, err
	}
	mobile := strings.Join(rest, "")
	if mobile == "" && *id <= 0 {
		return nil, badUsage(f, "a number or an id is missing")
	}
	return atDesk(func(ctx context.Context, d desk) error {
		found, err := d.operators.Find(ctx, mobile, *id)
		if err != nil {
			return err
		}
		for _, profile := range found {
			profile, sessions, err := d.operators.Show(ctx, profile.User.ID)
			if err != nil {
				return err
			}
			if err := d.out.Encode(controller.ViewUserDetail(profile, sessions, d.operators.Now())); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

func parseBan(args []string) (action, error) {
	f := newFlags("user ban")
	reason := f.String("reason", "", "")
	var until model.Time
	timeFlag(f, "until", &until)
	id, err := parseUser(f, args)
	if err == nil {
		err = reasonOf(f, *reason)
	}
	if err != nil {
		return nil, err
	}
	return atDesk(func(ctx context.Context, d desk) error {
		ended, err := d.operators.Ban(ctx, d.by, id, *reason, until)
		return d.told(id, ended, err)
	}), nil
}

func parseUnban(args []string) (action, error) {
	id, err := parseUser(newFlags("user unban"), args)
	if err != nil {
		return nil, err
	}
	return atDesk(func(ctx context.Context, d desk) error {
		return d.told(id, 0, d.operators.Unban(ctx, d.by, id))
	}), nil
}

func parseKick(args []string) (action, error) {
	f := newFlags("user kick")
	reason, session := f.String("reason", "", ""), f.String("session", "", "")
	var target service.KickTarget
	f.Func("product", "", func(text string) error {
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return errors.New("it is a whole number")
		}
		product := int32(number)
		target.ProductType = &product
		return nil
	})
	id, err := parseUser(f, args)
	if err == nil {
		err = reasonOf(f, *reason)
	}
	if err != nil {
		return nil, err
	}
	target.SessionID = *session
	return atDesk(func(ctx context.Context, d desk) error {
		ended, err := d.operators.Kick(ctx, d.by, id, target, *reason)
		return d.told(id, ended, err)
	}), nil
}

// parseAudit is for the newest lines of the log, newest first.
func parseAudit(args []string) (action, error) {
	f := newFlags("audit")
	var filter model.EventFilter
	f.Int64Var(&filter.UserID, "user", 0, "")
	f.StringVar((*string)(&filter.Kind), "kind", "", "")
	f.StringVar(&filter.Actor, "actor", "", "")
	timeFlag(f, "from", &filter.From)
	timeFlag(f, "to", &filter.To)
	n := f.Int("n", 50, "")
	if _, err := parseFlags(f, args, 0); err != nil {
		return nil, err
	}
	if *n < 1 || filter.UserID < 0 {
		return nil, badUsage(f, "-n and -user are more than 0")
	}
	return atDesk(func(ctx context.Context, d desk) error { return d.list(ctx, filter, *n) }), nil
}

// list prints up to n lines, a page at a time.
func (d desk) list(ctx context.Context, filter model.EventFilter, n int) error {
	cursor := ""
	for {
		events, next, err := d.audit.List(ctx, filter, cursor)
		if err != nil {
			return err
		}
		for _, e := range events[:min(n, len(events))] {
			if err := d.out.Encode(controller.ViewEvent(e)); err != nil {
				return err
			}
		}
		if n -= len(events); n <= 0 || next == "" {
			return nil
		}
		cursor = next
	}
}

// timeFlag adds a flag for a time, by the rule of the admin API: what stands for
// no time at all when it is left out cannot be given.
func timeFlag(f *flag.FlagSet, name string, to *model.Time) {
	f.Func(name, "", func(text string) error {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Unix() <= 0 {
			return errors.New("it is a time like 2027-01-01T00:00:00Z, after 1970")
		}
		*to = model.TimeOf(t)
		return nil
	})
}
