package main

import (
	"context"
	"fmt"
	"time"

	"menshen/config"
	"menshen/repository"
	"menshen/service"
)

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

func revokeKey(_ context.Context, j job) error {
	return j.changeKeys(func(ring *service.KeyRing) (service.KeyChange, error) { return ring.Revoke(j.argument) })
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
