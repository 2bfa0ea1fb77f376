package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestBackupUnderLoad: a backup that is taken as docs/operations.md says, while users
// act, holds every act as a whole or not at all. Restored elsewhere it serves: tokens
// newer than the database are adopted, sessions ended before the backup stay ended.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		kept, ended := i.login(t, "", "device-kept"), i.login(t, "", "device-ended")
		i.kick(t, ended)
		var users []*player
		for n := range players {
			users = append(users, &player{name: n, mobile: d.number(), chance: rand.New(rand.NewPCG(1, uint64(n)))})
		}
		for round := range soak(2, 20) {
			stop := make(chan struct{})
			var acts atomic.Int64
			var all sync.WaitGroup
			for _, p := range users {
				all.Go(func() {
					for p.act(t, i) {
						acts.Add(1)
						select {
						case <-stop:
							return
						default:
						}
					}
				})
			}
			wait := func(more int64) {
				from := acts.Load()
				eventually(t, callTime, "the users act", func() bool { return acts.Load() >= from+more || t.Failed() })
			}
			wait(20)
			copied := d.backUp(t)
			wait(5) // acts that the backup does not have
			close(stop)
			all.Wait()
			for range 3 {
				i.refreshSession(t, kept)
				i.wantState(t, kept, "active")
			}
			elsewhere := d.restored(t, copied)
			elsewhere.wantInvariants(t)
			there := elsewhere.start(t, fmt.Sprint("restored-", round))
			there.wantState(t, ended, "kicked")
			there.wantState(t, kept, "active")
			adopted := *kept
			there.refreshSession(t, &adopted)
			there.wantState(t, &adopted, "active")
			if before, after := claimsOf(t, kept.access).Gen, claimsOf(t, adopted.access).Gen; after != before+1 {
				t.Errorf("generation %d is adopted as %d", before, after)
			}
			there.login(t, "", "device-new")
			there.stop(t)
			elsewhere.wantInvariants(t)
			t.Logf("%s: backup of round %d beside %d acts", driver, round, acts.Load())
		}
	})
}

// backUp copies the deployment's database as docs/operations.md says, and returns the
// name of the file.
func (d *deployment) backUp(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup")
	if d.driver == repository.SQLite {
		db := d.sql(t)
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(t.Context(), "VACUUM INTO ?", file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(config.Addr)
	program := "mysqldump"
	if d.kind(t) == "MariaDB" {
		program = "mariadb-dump"
	}
	dump := exec.Command(program, "--no-defaults", "--protocol=tcp", "--host="+host, "--port="+port, "--user="+config.User,
		"--single-transaction", "--no-tablespaces", "--result-file="+file, config.DBName)
	dump.Env = append(os.Environ(), "MYSQL_PWD="+config.Passwd)
	if said, err := dump.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, said)
	}
	return file
}

// restored is the deployment on a database that is the copy: same secrets, same keys.
func (d *deployment) restored(t *testing.T, file string) *deployment {
	t.Helper()
	r := &deployment{
		driver: d.driver, folder: d.folder, settings: d.settings, messages: d.messages, client: d.client, accounts: map[string]string{},
	}
	r.numbers.Store(d.numbers.Load() + 1_000_000)
	if d.driver == repository.SQLite {
		r.database = "file:" + file + "?_pragma=busy_timeout(10000)"
		r.settings = append(r.settings[:len(r.settings):len(r.settings)], "DATABASE_DSN="+file)
		return r
	}
	r.dsn = dbtest.DSN(t, d.driver)
	r.database = r.dsn
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexByte(text, '\n'); bytes.HasPrefix(text, []byte("/*M!999999")) { // a command of MariaDB's own client
		text = text[i+1:]
	}
	db, err := sql.Open("mysql", r.dsn+"?multiStatements=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatalf("restore: %v", err)
	}
	return r
}
