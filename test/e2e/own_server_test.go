package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// ownServer is a durable database server that one test may kill and misuse.
type ownServer struct {
	folder string
	port   int
	dsn    string  // of an account that may do everything
	db     *sql.DB // one connection, which is kept: it is there when no other is given
	cmd    *exec.Cmd
}

// startServer runs a server of the kind that the tests use, and returns a deployment on
// it.
func startServer(t *testing.T, settings ...string) (*ownServer, *deployment) {
	t.Helper()
	needMySQL(t)
	config, err := mysql.ParseDSN(os.Getenv(dbtest.ServerVariable))
	if err != nil {
		t.Fatal(err)
	}
	// No port that the system gives away: it must be free again after a kill.
	server := &ownServer{folder: t.TempDir(), port: 12000 + rand.IntN(8000)}
	config.Addr = fmt.Sprintf("127.0.0.1:%d", server.port)
	server.dsn = config.FormatDSN()
	server.db = server.open(t)
	server.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = server.db.Close() })
	server.start(t)
	t.Cleanup(func() { server.kill(t) })
	server.exec(t, "CREATE DATABASE own")
	d := newDeploymentOn(t, repository.SQLite, append(settings, "DATABASE_DRIVER="+repository.MySQL)...)
	d.driver, d.dsn, d.database = repository.MySQL, server.dsn+"own", server.dsn+"own"
	return server, d
}

// start runs the server and waits until it answers.
func (s *ownServer) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.folder, "start.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	script := os.Getenv("MENSHEN_TEST_SERVER")
	s.cmd = exec.Command(script, "--server", s.folder, fmt.Sprint(s.port)) //nolint:gosec // which our scripts set
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("MENSHEN_TEST_SERVER: %v", err)
	}
	eventually(t, 2*startTime, "the database server answers; see "+s.folder, func() bool { return s.db.PingContext(t.Context()) == nil })
}

// kill ends the server as a power cut does.
func (s *ownServer) kill(t *testing.T) {
	if err := s.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.cmd.Wait() // it was killed
}

func (s *ownServer) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (s *ownServer) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// TestDatabaseCrash kills the database under load: what was answered holds, an
// instance without it answers 50300, and is well soon after its return.
func TestDatabaseCrash(t *testing.T) {
	t.Parallel()
	server, d := startServer(t)
	i := d.start(t, data)
	users, s, gone := i.patientPlayers(t, players)
	var starts, well delays
	kills, answered := soak(3, 20), int64(0)
	for range kills {
		load, watch := i.play(t, users), i.watch(t, s, gone)
		most := 1 + rand.Int64N(mostAct)
		load.await(t, most)
		server.kill(t)
		begin := time.Now()
		server.start(t)
		starts = append(starts, time.Since(begin))
		well = append(well, load.endRound(t, watch, "the crash"))
		answered += load.answered.Load()
	}
	for _, p := range users {
		p.verify(t, i, len(p.history))
	}
	i.wantState(t, gone, "logged_out")
	t.Logf("%s: %d kills of the database, %d acts answered; it started after %s; the instance was well %s later", d.kind(t), kills, answered, starts, well)
}

// TestDatabaseRefuses misuses the database under load, without a restart of the
// instance: it becomes read-only, its connections are killed, none is left, and
// transactions lose against others. Every answer is true or 50300, and nothing is done
// twice or in part.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	server, d := startServer(t)
	i := d.start(t, data)
	users, s, gone := i.patientPlayers(t, players)
	kind := d.kind(t)
	readOnly := map[string]string{"MariaDB": "read_only", "MySQL": "super_read_only"}[kind]
	for round := range soak(1, 20) {
		for name, fault := range map[string]func(t *testing.T) (heal func()){
			"read-only": func(t *testing.T) func() {
				server.exec(t, "SET GLOBAL "+readOnly+" = 1")
				return func() { server.exec(t, "SET GLOBAL "+readOnly+" = 0"); server.exec(t, "SET GLOBAL read_only = 0") }
			},
			"connections killed": func(t *testing.T) func() {
				for range 5 {
					server.killConnections(t)
				}
				return func() {}
			},
			"no connection left": func(t *testing.T) func() {
				server.exec(t, "SET GLOBAL max_connections = 10")
				server.killConnections(t)
				giveBack := server.takeConnections(t)
				return func() { giveBack(); server.exec(t, "SET GLOBAL max_connections = 500") }
			},
			"deadlocks": func(t *testing.T) func() { return server.deadlock(t) },
		} {
			load, watch := i.play(t, users), i.watch(t, s, gone)
			load.await(t, 30)
			heal := fault(t)
			time.Sleep(2 * time.Second) // for as long as a fail-over leaves it so
			heal()
			load.endRound(t, watch, fmt.Sprintf("%s, round %d, %s", kind, round, name))
		}
	}
	i.wantState(t, s, "active")
	i.wantState(t, gone, "logged_out")
}

func (s *ownServer) killConnections(t *testing.T) {
	t.Helper()
	for _, id := range processes(t, s.db, `SELECT id FROM information_schema.processlist WHERE user LIKE 'u\_%'`) {
		_, err := s.db.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id))
		if err != nil && !strings.Contains(err.Error(), "1094") { // it has ended by itself
			t.Fatal(err)
		}
	}
}

// takeConnections takes all connections that the server gives, until they are given
// back.
func (s *ownServer) takeConnections(t *testing.T) (giveBack func()) {
	t.Helper()
	db := s.open(t)
	var taken []*sql.Conn
	for range 20 {
		if conn, err := db.Conn(t.Context()); err == nil {
			taken = append(taken, conn)
		}
	}
	return func() {
		for _, conn := range taken {
			_ = conn.Close()
		}
		_ = db.Close()
	}
}

// deadlock locks the rows of all users in one order and in the other, until it is
// stopped. It holds more locks than the instance's transactions: those are the victims.
func (s *ownServer) deadlock(t *testing.T) (stop func()) {
	t.Helper()
	before := s.deadlocks(t)
	db, over := s.open(t), make(chan struct{})
	var all sync.WaitGroup
	for _, tables := range [][]string{{"codes", "users", "slots", "sessions"}, {"sessions", "slots", "users", "codes"}} {
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, table := range tables {
					if _, err := tx.ExecContext(t.Context(), "SELECT * FROM own."+table+" FOR UPDATE"); err != nil {
						break // lost a deadlock itself
					}
				}
				_ = tx.Rollback()
			}
		})
	}
	return func() {
		close(over)
		all.Wait()
		_ = db.Close()
		n := s.deadlocks(t)
		t.Logf("%d deadlocks", n-before)
		if n == before {
			t.Error("no transaction lost against another")
		}
	}
}

func (s *ownServer) deadlocks(t *testing.T) (n int) {
	t.Helper()
	query := "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
	if err := s.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
