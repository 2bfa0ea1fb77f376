package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"menshen/config"
	"menshen/internal/private"
	"menshen/model"
	"menshen/repository"
	"menshen/service/token"
	"menshen/service/vault"
	"menshen/telemetry"
)

// Bounds of doctor's checks.
const (
	doctorTime   = 10 * time.Second // of one check
	clockLimit   = 5 * time.Second  // between this machine and the database
	dateLimit    = time.Minute      // between this machine and a vendor; their signatures allow 5 minutes
	certLimit    = 14 * 24 * time.Hour
	freeRoom     = 256 << 20 // bytes on the disk of data_dir
	unwatchedFmt = "could not look: %s"
)

// Names of checks that are made in several places.
const (
	databaseCheck = "database"
	clockCheck    = "database clock"
)

// examination collects what doctor finds.
type examination struct {
	*App
	checks []model.Check
}

func (e *examination) ok(name, detail string, values ...any) {
	e.checks = append(e.checks, model.Check{Name: name, OK: true, Detail: fmt.Sprintf(detail, values...)})
}

func (e *examination) fail(name, detail string, values ...any) {
	e.checks = append(e.checks, model.Check{Name: name, Detail: fmt.Sprintf(detail, values...)})
}

// unknown is a check that could not look.
func (e *examination) unknown(name, reason string) { e.ok(name, unwatchedFmt, reason) }

// Doctor looks at what a start needs and cannot judge by the configuration alone. It
// changes nothing, and sends nothing but requests for the heads of vendors' front pages.
func (a *App) Doctor(ctx context.Context) []model.Check { return a.examine(ctx, nil) }

// examine is Doctor with the database of a running instance, or without one.
func (a *App) examine(ctx context.Context, db *repository.DB) []model.Check {
	e := &examination{App: a}
	if len(a.Warnings) > 0 {
		e.ok("configuration", "%s, with warnings: %s", a.configFile(), strings.Join(a.Warnings, "; "))
	} else {
		e.ok("configuration", "%s", a.configFile())
	}
	if db == nil {
		e.database(ctx)
	} else {
		e.schema(ctx, db)
		e.databaseClock(ctx, db)
	}
	e.vendors(ctx)
	e.keyFolder()
	e.modes()
	e.room()
	e.proxies()
	return e.checks
}

// database looks at the database, its schema, the secret that it was made with, and its
// clock.
func (e *examination) database(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	cfg := e.Config
	if cfg.Database.Driver == config.DriverSQLite {
		file := repository.SQLiteFile(cfg.DatabaseDSN())
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			e.unknown(databaseCheck, file+" is not there yet; the first start makes it")
			e.unknown(clockCheck, "there is no database yet")
			return
		}
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		e.fail(databaseCheck, "%s", err)
		e.unknown(clockCheck, "there is no connection")
		return
	}
	defer func() { _ = db.Close() }()
	e.schema(ctx, db)
	e.databaseClock(ctx, db)
}

func (e *examination) schema(ctx context.Context, db *repository.DB) {
	const name = databaseCheck
	d := e.newDeployment(db, db)
	secrets, missing := readSecrets(e.Config)
	if missing != nil {
		secrets = [][]byte{make([]byte, secretSize)} // opens no vault, and tells whether there is one
	}
	err := d.join(ctx, secrets)
	switch {
	case errors.Is(err, vault.ErrUnused):
		e.ok(name, "%s answers; no instance was started on it yet", db.Driver())
	case errors.Is(err, vault.ErrSecretMismatch) && missing != nil:
		e.fail(name, "%s", missing)
	case errors.Is(err, ErrNotMigrated):
		e.ok(name, "%s answers; its schema is older than this program, and the next start migrates it", db.Driver())
	case err != nil:
		e.fail(name, "%s", err)
	default:
		e.ok(name, "%s answers; its schema and secret.key are this program's", db.Driver())
	}
}

func (e *examination) databaseClock(ctx context.Context, db *repository.DB) {
	const name = clockCheck
	if db.Driver() == repository.SQLite {
		e.ok(name, "SQLite goes by this machine's clock")
		return
	}
	before := e.Now()
	theirs, err := db.Clock(ctx)
	if err != nil {
		e.unknown(name, err.Error())
		return
	}
	after := e.Now()
	e.compareClocks(name, "the database's", theirs.Sub(before.Add(after.Sub(before)/2)), clockLimit)
}

// compareClocks judges by how much another clock is ahead.
func (e *examination) compareClocks(name, whose string, ahead, limit time.Duration) {
	if ahead.Abs() > limit {
		e.fail(name, "%s clock is %s ahead of this machine's: let both follow NTP", whose, ahead.Round(time.Millisecond))
		return
	}
	e.ok(name, "%s clock and this machine's agree within %s", whose, limit)
}

func (e *examination) keyFolder() {
	const name = "key folder"
	options := e.keyOptions()
	options.Generate = false
	ring, err := token.OpenKeys(options)
	entries, _ := os.ReadDir(options.Dir)
	switch {
	case err == nil && ring.Algorithm() != e.Config.Token.Algorithm:
		e.fail(name, "no active key is of token.algorithm %s: menshen keys rotate makes one", e.Config.Token.Algorithm)
	case err == nil:
		e.ok(name, "%s: %d keys, the one that signs is %s old", options.Dir, ring.Size(), ring.Age().Round(time.Minute))
	case len(entries) == 0 && !e.Config.Production():
		e.unknown(name, options.Dir+" is empty; the first start makes a key")
	default:
		e.fail(name, "%s", err)
	}
}

// modes looks for files of the program that other users may open. The next start closes
// folders, and the configuration may hold no secret.
func (e *examination) modes() {
	const name = "file modes"
	var open, noted []string
	looked := false
	for _, path := range []string{e.Config.DataDir, e.Config.KeyDir()} {
		wide, err := private.Open(path)
		looked = looked || err == nil
		for _, found := range wide {
			if found == path {
				noted = append(noted, found)
			} else {
				open = append(open, found)
			}
		}
	}
	if file := e.configFile(); file != "none" {
		wide, _ := private.Open(file)
		noted = append(noted, wide...)
	}
	switch {
	case len(open) > 0:
		e.fail(name, "open to other users: %s. Files should have mode 0600, folders 0700", strings.Join(open, ", "))
	case len(noted) > 0:
		e.ok(name, "the files are closed to other users; these are open: %s. Close them if they hold secrets", strings.Join(noted, ", "))
	case !looked:
		e.unknown(name, e.Config.DataDir+" is not there yet")
	default:
		e.ok(name, "closed to other users")
	}
}

func (e *examination) room() {
	const name = "disk"
	folder := e.Config.DataDir
	if _, err := os.Stat(folder); err != nil {
		folder = filepath.Dir(filepath.Clean(folder))
	}
	switch free := telemetry.FreeBytes(folder); {
	case math.IsNaN(free):
		e.unknown(name, "the system does not tell")
	case free < freeRoom:
		e.fail(name, "%.0f MiB are free at %s; keep %d", free/(1<<20), folder, freeRoom>>20)
	default:
		e.ok(name, "%.1f GiB are free at %s", free/(1<<30), folder)
	}
}

func (e *examination) proxies() {
	const name = "proxies"
	if trusted := e.Config.Server.TrustedProxies; len(trusted) > 0 {
		e.ok(name, "X-Forwarded-For is believed from %s", strings.Join(trusted, ", "))
		return
	}
	e.ok(name, "server.trusted_proxies is empty: right only where clients connect to this program themselves; behind a proxy all share its limits")
}
