package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"menshen/config"
	"menshen/internal/private"
	"menshen/repository"
)

// Process is what one run of the program uses of its environment. All fields except In,
// Elapsed and OnServing are required.
type Process struct {
	Environ []string
	In      io.Reader        // what commands ask questions on, if it is a terminal
	Out     io.Writer        // log, and results of commands
	Err     io.Writer        // errors of commands
	Now     func() time.Time // this machine's clock, which may be wrong
	// Elapsed returns how long the process has run, by a clock that is never set. If it is
	// nil, Now measures this too.
	Elapsed  func() time.Duration
	Version  string
	Defaults []byte // config.yaml as shipped: manual and defaults in one
	// OnServing may be nil. It receives the addresses of both listeners once they
	// accept connections, and must not block.
	OnServing func(public, admin string)
}

// App is the program with its configuration.
type App struct {
	Process
	Config   *config.Config // as New read it; a reload does not change it
	Warnings []string       // about the configuration

	began   time.Time      // as Now saw it
	options config.Options // sources of the configuration, for a reload
	watcher *config.Watcher
}

// defaultFile is read if no file is named and it exists.
const defaultFile = "config.yaml"

// New reads the configuration of a process from the named file, which must exist; if
// file is "", from ./config.yaml if it exists. The error lists all problems by key and
// holds no secret.
func New(p Process, file string) (*App, error) {
	a := &App{Process: p, began: p.Now().Round(0), options: config.Options{
		Defaults: p.Defaults, File: file, FileRequired: file != "", Environ: p.Environ, Now: p.Now(),
	}}
	if file == "" {
		a.options.File = defaultFile
	}
	if _, err := os.Stat(a.options.File); err == nil {
		a.options.FileRequired = true // if the file vanishes later, a reload must fail and not use the defaults
	}
	a.watcher = config.NewWatcher(a.options.File)
	var err error
	a.Config, a.Warnings, err = config.Load(a.options)
	return a, err
}

// steady is the clock that measures durations: it is wrong by as much as Now was at the
// start, but it is never set.
func (a *App) steady() time.Time {
	if a.Elapsed == nil {
		return a.Now()
	}
	return a.began.Add(a.Elapsed())
}

// Migrate migrates the schema, and creates the database and its folder if needed. It
// returns the number of migrations applied.
func (a *App) Migrate(ctx context.Context) (applied int, err error) {
	if err := makeDataDir(a.Config); err != nil {
		return 0, err
	}
	db, err := openDatabase(ctx, a.Config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	migrations, err := db.Migrate(ctx)
	return len(migrations), err
}

func makeDataDir(cfg *config.Config) error {
	if err := private.MakeFolder(cfg.DataDir); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

func openDatabase(ctx context.Context, cfg *config.Config) (*repository.DB, error) {
	db, err := repository.Open(ctx, repository.Options{
		Driver: cfg.Database.Driver, DSN: cfg.DatabaseDSN(), MaxConns: cfg.Database.MaxConns,
	})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return db, nil
}
