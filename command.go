package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"menshen/config"
	"menshen/repository"
	"menshen/service"
)

// action is a command with its arguments, ready to be run.
type action func(ctx context.Context, j job) error

// command is one thing that the program can be asked to do.
type command struct {
	words string // what asks for it
	takes string // its arguments, for the usage text
	parse func(args []string) (action, error)
}

// commands are all of them; without words the program serves.
func commands() []command {
	return []command{
		{"check-config", "", plain(checkConfig)},
		{"migrate", "", plain(migrate)},
		{"keys rotate", "", plain(rotateKeys)},
		{"keys revoke", "KID", parseRevoke},
		{"secrets rotate", "", plain(rotateSecret)},
		{"secrets status", "", plain(secretStatus)},
		{"user find", "NUMBER | -id ID", parseFind},
		{"user ban", "ID -reason R [-until T]", parseBan},
		{"user unban", "ID", parseUnban},
		{"user kick", "ID -reason R [-product N] [-session S]", parseKick},
		{"audit", "[-user ID] [-kind K] [-actor A] [-from T] [-to T] [-n N]", parseAudit},
		{"healthcheck", "", plain(healthcheck)},
		{"version", "", plain(nil)},
	}
}

// usage lists the commands.
func usage() string {
	text := "usage: menshen [-config file] [command]; without a command it serves\n"
	for _, c := range commands() {
		text += strings.TrimRight("  "+c.words+" "+c.takes, " ") + "\n"
	}
	return text
}

// parseCommand judges the arguments before anything is read or opened: what is
// asked for wrongly is errUsage, and flag.ErrHelp a call for help.
func parseCommand(args []string) (action, error) {
	if len(args) == 0 {
		return serve, nil
	}
	for _, c := range commands() {
		words := strings.Fields(c.words)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return c.parse(args[len(words):])
		}
	}
	return nil, errUsage
}

// plain is for commands without arguments.
func plain(act action) func(args []string) (action, error) {
	return func(args []string) (action, error) {
		if len(args) > 0 {
			return nil, errUsage
		}
		return act, nil
	}
}

// checkConfig applies every rule of a start and prints what is in force, with
// secrets masked. It touches no database.
func checkConfig(_ context.Context, j job) error {
	for _, warning := range j.warnings {
		_, _ = fmt.Fprintln(j.err, "warning:", warning)
	}
	if err := rehearse(j.cfg); err != nil {
		return err
	}
	_, err := fmt.Fprint(j.out, j.cfg.Masked())
	return err
}

func migrate(ctx context.Context, j job) error {
	if err := makeDataDir(j.cfg); err != nil {
		return err
	}
	db, err := repository.Open(ctx, j.cfg.Database.Driver, j.cfg.DatabasePath())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	applied, err := db.Migrate(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.out, "applied %d migrations\n", len(applied))
	return err
}

func rotateKeys(_ context.Context, j job) error {
	return j.changeKeys(func(ring *service.KeyRing) (service.KeyChange, error) { return ring.Rotate() })
}

func parseRevoke(args []string) (action, error) {
	if len(args) != 1 {
		return nil, errUsage
	}
	return func(_ context.Context, j job) error {
		return j.changeKeys(func(ring *service.KeyRing) (service.KeyChange, error) { return ring.Revoke(args[0]) })
	}, nil
}

func (j job) changeKeys(change func(*service.KeyRing) (service.KeyChange, error)) error {
	options := keyOptions(j.cfg)
	options.Generate, options.AllowEmpty = false, true
	ring, err := service.OpenKeys(options)
	if err != nil {
		return err
	}
	changed, err := change(ring)
	for _, kid := range changed.Added {
		_, _ = fmt.Fprintln(j.out, "added", kid)
	}
	for _, kid := range changed.Removed {
		_, _ = fmt.Fprintln(j.out, "removed", kid)
	}
	return err
}

// keyOptions is the key ring of a configuration. Production makes no key by
// itself: an operator does, with "keys rotate".
func keyOptions(cfg *config.Config) service.KeyOptions {
	longest := cfg.Token.RefreshTTL
	for _, product := range cfg.Products {
		longest = max(longest, product.RefreshTTL)
	}
	return service.KeyOptions{
		Dir: cfg.KeyDir(), Algorithm: cfg.Token.Algorithm, Activation: cfg.Token.KeyActivation,
		RefreshTTL: longest, Generate: !cfg.Production(), Now: time.Now,
	}
}
