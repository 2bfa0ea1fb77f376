package repository_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// limitedDSN is the DSN of a new account with at most n connections to the database.
func limitedDSN(t *testing.T, dsn string, n int) string {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	must(t, err)
	server, err := sql.Open("mysql", os.Getenv(dbtest.ServerVariable))
	must(t, err)
	account := strings.ToLower("u_" + rand.Text())
	run := func(statement string) {
		_, err := server.ExecContext(context.Background(), statement)
		must(t, err)
	}
	run(fmt.Sprintf("CREATE USER %s IDENTIFIED BY '%s' WITH MAX_USER_CONNECTIONS %d", account, config.Passwd, n))
	run("GRANT ALL ON " + config.DBName + ".* TO " + account)
	t.Cleanup(func() {
		run("DROP USER " + account)
		must(t, server.Close())
	})
	config.User = account
	return config.FormatDSN()
}

// onMySQL runs a test on MySQL alone; SQLite refuses no connections.
func onMySQL(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if slices.Contains(dbtest.Drivers(t), repository.MySQL) {
		t.Run(repository.MySQL, test)
	}
}

// TestRefusedConnections: a server that refuses connections is asked again until the
// context ends, and connections that become free are used meanwhile.
func TestRefusedConnections(t *testing.T) {
	onMySQL(t, func(t *testing.T) {
		const limit, callers = 3, 12
		dsn := limitedDSN(t, dbtest.Prepared(t, repository.MySQL), limit)
		db := openAt(t, repository.MySQL, dsn)
		background := func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
		request := func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, model.StorageTime)
		}
		for kind, lifetime := range map[string]func(ctx context.Context) (context.Context, context.CancelFunc){
			"requests": request, "in the background": background,
		} {
			var all sync.WaitGroup
			for n := range callers {
				all.Go(func() {
					ctx, cancel := lifetime(t.Context())
					defer cancel()
					gate := holdGate(db, fmt.Sprint(kind, n))
					for what, act := range map[string]func(context.Context) error{
						"a transaction": func(ctx context.Context) error { return db.Within(ctx, gate) }, "a write": gate, "a read": db.Ping,
					} {
						if err := act(ctx); err != nil {
							t.Errorf("%s, %s: %v", kind, what, err)
						}
					}
				})
			}
			all.Wait()
		}

		held, free := make(chan struct{}), make(chan struct{})
		var holders sync.WaitGroup
		for range limit {
			holders.Go(func() {
				must(t, db.Within(t.Context(), func(ctx context.Context) error {
					held <- struct{}{}
					<-free
					return nil
				}))
			})
			<-held
		}
		methods := calls(db)
		methods["Migrated"] = func(ctx context.Context) error {
			_, err := db.Migrated(ctx)
			return err
		}
		for method, call := range methods {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(model.StorageTime/36, cancel)
			if err := call(ctx); code(err) != 50300 || ctx.Err() == nil {
				t.Errorf("%s without a connection: %v before its context ended", method, err)
			}
		}
		close(free)
		holders.Wait()
		must(t, db.Ping(t.Context()))
	})
}

// TestMaxConns: migrating, writing, reading and reporting together never exceed MaxConns.
func TestMaxConns(t *testing.T) {
	onMySQL(t, func(t *testing.T) {
		const least = 4
		dsn := limitedDSN(t, dbtest.DSN(t, repository.MySQL), least)
		db, err := repository.Open(t.Context(), repository.Options{Driver: repository.MySQL, DSN: dsn, MaxConns: least})
		must(t, err)
		t.Cleanup(func() { must(t, db.Close()) })
		_, err = db.Migrate(t.Context())
		must(t, err)
		sum := 0
		for _, pool := range db.Pools() {
			sum += pool.Stats().MaxOpenConnections
		}
		if sum != least {
			t.Errorf("%d connections", sum)
		}
		var all sync.WaitGroup
		for n := range 4 * least {
			all.Go(func() {
				ctx := t.Context()
				must(t, db.Within(ctx, holdGate(db, fmt.Sprint(n))))
				must(t, db.Ping(ctx))
				_, err := repository.Events{DB: db}.Count(ctx, model.EventSpan{From: t0, To: t0, Bucket: 1_000_000})
				must(t, err)
			})
		}
		all.Wait()
	})
}
