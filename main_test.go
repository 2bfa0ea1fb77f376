package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestMain also proves that nothing of a stopped program goes on, but for GORM's
// cache of statements, which nobody can close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

// TestScenarios plays everything that a client can do against the whole program
// on every kind of database. The scenarios share one program, each with numbers
// of its own; limits, restarts and other configurations have tests of theirs.
func TestScenarios(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver,
				"CODE_LENGTH=10", // so that no code ever looks like a part of something else
				"CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0",
				"CODE_DAILY_BUDGET=0", "CODE_FAILS_PER_MOBILE_DAY=0",
				`COMPANIES=[{"type":0,"name":"first"},{"type":1,"name":"second"},{"type":2,"name":"shut","registration":"closed"},{"type":-2147483648,"name":"least"}]`,
				`PRODUCTS=[{"type":0,"name":"app","group":"app"},{"type":1,"name":"pc","group":"pc"},{"type":2,"name":"wx","group":"wx"},
					{"type":3,"name":"pad","group":"pads","max_sessions":2},{"type":4,"name":"desk","group":"desk","on_conflict":"reject"},
					{"type":5,"name":"tv","group":"app","access_ttl":"90s","refresh_ttl":"2h"},{"type":2147483647,"name":"most","group":"most"}]`,
				"SERVER_CORS_ORIGINS=https://app.example.com,http://localhost:5173",
			)
			d.start(t)
			for _, area := range []struct {
				name string
				play func(*testing.T, *deployment)
			}{
				{"walk", walkThrough},
				{"codes", playCodes},
				{"numbers", playNumbers},
				{"login", playLogin},
				{"policies", playPolicies},
				{"check", playCheck},
				{"check binds", playBinding},
				{"check ended", playEndedCheck},
				{"refresh", playRefresh},
				{"refresh table", playRefreshTable},
				{"logout", playLogout},
				{"sessions", playSessions},
				{"user", playUser},
				{"bodies", playBodies},
				{"fields", playFields},
				{"routes", playRoutes},
				{"headers", playHeaders},
				{"origins", playOrigins},
				{"keys", playKeys},
				{"documents", playDocuments},
				{"documented examples", playExamples},
				{"provider", playProvider},
				{"storage away", playStorageAway}, // the last one with requests
			} {
				t.Run(area.name, func(t *testing.T) { area.play(t, d) })
			}
			d.stop(t)
			t.Run("leaks", func(t *testing.T) { searchStorage(t, d) })
		})
	}
}

// deployment is the whole program under test, in this process, with a folder, a
// database and a provider of messages of its own. It may be stopped and started
// again; its log is searched for secrets at the end.
type deployment struct {
	driver   string
	dsn      string
	folder   string   // data_dir
	file     string   // the configuration file, empty but in tests of it
	settings []string // environment, without the prefix
	messages *gateway
	secrets  *canaries
	log      *output
	client   *http.Client
	numbers  atomic.Int64
	skew     time.Duration // of this machine's clock

	always200     bool
	public, admin string     // base URLs
	end           func() int // ends the program and gives its exit code
}

// newDeployment prepares a program: development, webhook provider, debug log in
// JSON, no request limits; settings change that.
func newDeployment(t *testing.T, driver string, settings ...string) *deployment {
	t.Helper()
	return newDeploymentOn(t, driver, dbtest.Prepared(t, driver), settings...)
}

// newDeploymentOn is newDeployment on a database of the test's choice.
func newDeploymentOn(t *testing.T, driver, dsn string, settings ...string) *deployment {
	t.Helper()
	d := &deployment{
		driver: driver, dsn: dsn, folder: filepath.Join(t.TempDir(), "data"),
		secrets: newCanaries(), log: newOutput(),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	d.messages = newGateway(t, d.secrets)
	d.file = filepath.Join(filepath.Dir(d.folder), "config.yaml")
	writeFile(t, d.file, "")
	d.settings = append([]string{
		"DATA_DIR=" + d.folder, "SERVER_ADDR=127.0.0.1:0", "SERVER_ADMIN_ADDR=127.0.0.1:0",
		"DATABASE_DRIVER=" + driver, "DATABASE_DSN=" + d.dsn,
		"SMS_PROVIDER=webhook", "SMS_WEBHOOK_URL=" + d.messages.url(), "SMS_WEBHOOK_SECRET=" + gatewaySecret,
		"LIMITS_ENABLED=false", "LOG_LEVEL=debug", "LOG_FORMAT=json",
	}, settings...)
	for _, setting := range settings {
		d.always200 = d.always200 || setting == "SERVER_ALWAYS_200=true"
	}
	t.Cleanup(func() {
		d.stop(t)
		d.log.search(t, d.secrets)
	})
	return d
}

// program is the deployment as run takes it; of two settings the last counts.
func (d *deployment) program(args ...string) program {
	p := program{
		args: append([]string{"-config", d.file}, args...), out: d.log, err: d.log,
		now: func() time.Time { return time.Now().Add(d.skew) },
	}
	for _, setting := range d.settings {
		p.environ = append(p.environ, "MENSHEN_"+setting)
	}
	return p
}

// start runs the program and waits until it serves.
func (d *deployment) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	addresses, exit := make(chan [2]string, 1), make(chan int, 1)
	p := d.program()
	p.started = func(public, admin string) { addresses <- [2]string{public, admin} }
	go func() { exit <- run(ctx, p) }()
	select {
	case a := <-addresses:
		d.public, d.admin = "http://"+a[0], "http://"+a[1]
	case code := <-exit:
		cancel()
		t.Fatalf("the program ended with %d: %s", code, d.log.text())
	}
	d.end = func() int {
		d.client.CloseIdleConnections()
		cancel()
		return <-exit
	}
}

// stop ends the program as SIGTERM does.
func (d *deployment) stop(t *testing.T) {
	t.Helper()
	if d.end == nil {
		return
	}
	begin := time.Now()
	if code := d.end(); code != exitOK {
		t.Errorf("the program ended with %d: %.2000s", code, d.log.text())
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the program took %s to stop", took)
	}
	d.end = nil
}

// command runs one command of the program to its end.
func (d *deployment) command(t *testing.T, args ...string) (exit int, out, err string) {
	t.Helper()
	p := d.program(args...)
	var stdout, stderr strings.Builder
	p.out, p.err = &stdout, &stderr
	exit = run(t.Context(), p)
	return exit, stdout.String(), stderr.String()
}

// number is a mobile number that nobody has used yet.
func (d *deployment) number() string {
	number := fmt.Sprintf("139%08d", 10000000+d.numbers.Add(1))
	d.secrets.add(kindNumber, number)
	return number
}

// exec changes the database behind the program's back, for what only time or an
// operator could do.
func (d *deployment) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := d.sql(t).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// value reads one value from the database.
func (d *deployment) value(t *testing.T, query string, args ...any) string {
	t.Helper()
	var value string
	if err := d.sql(t).QueryRowContext(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func (d *deployment) sql(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "mysql", d.dsn
	if d.driver == repository.SQLite {
		driver, dsn = "sqlite", "file:"+d.dsn+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the answer is yes, for what the contract promises within
// a time and nothing announces.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for begin := time.Now(); !done(); <-ticker.C {
		if time.Since(begin) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// secretOf is a secret.key that depends on the name alone.
func secretOf(name string) string {
	key := make([]byte, 32)
	copy(key, name)
	return base64.StdEncoding.EncodeToString(key)
}
