package scenario

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"menshen/app"
	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/test/leak"
)

// TestMain also proves that no goroutine of a stopped program remains, except that
// of GORM's statement cache, which cannot be closed.
func TestMain(m *testing.M) {
	os.Exit(leak.Run(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")))
}

// TestScenarios runs every operation of a client against the whole program on each
// kind of database. The scenarios share one program, and each uses its own
// numbers. Limits, restarts and other configurations have separate tests.
func TestScenarios(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver,
				"CODE_LENGTH=10", // so that no code ever looks like a part of something else
				"CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0",
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
				test func(*testing.T, *deployment)
			}{
				{"walk", testWalkThrough},
				{"codes", testCodes},
				{"numbers", testNumbers},
				{"login", testLogin},
				{"policies", testPolicies},
				{"check", testCheck},
				{"check binds", testBinding},
				{"check ended", testEndedCheck},
				{"refresh", testRefresh},
				{"refresh table", testRefreshTable},
				{"logout", testLogout},
				{"old tokens", testOldTokens},
				{"sessions", testSessions},
				{"user", testUser},
				{"bodies", testBodies},
				{"fields", testFields},
				{"routes", testRoutes},
				{"headers", testHeaders},
				{"origins", testOrigins},
				{"keys", testKeys},
				{"documents", testDocuments},
				{"documented examples", testExamples},
				{"provider", testProvider},
				{"storage away", testStorageOutage}, // the last one with requests
			} {
				t.Run(area.name, func(t *testing.T) { area.test(t, d) })
			}
			d.stop(t)
			t.Run("leaks", func(t *testing.T) { searchStorage(t, d) })
		})
	}
}

// top is the module's folder. The tests do not change into it: go test would then not
// see which files a test has read, and give an old result for new documents.
const top = "../.."

// Bounds of the contract (§10).
const (
	headerTime  = 5 * time.Second  // a request's header is complete
	requestTime = 10 * time.Second // its body too
	patience    = 30 * time.Second // with a slow machine: what is promised is measured by "make soak"
	secretSize  = 32               // bytes of secret.key
	version     = "dev"
)

// program is one run of the program.
type program struct {
	app.Process
	args []string
}

// run runs a program to its end and returns its exit code.
func run(ctx context.Context, p program) int { return cli.Run(ctx, p.args, p.Process) }

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
	skew     atomic.Int64 // nanoseconds by which this machine's clock is off

	always200     bool
	public, admin string     // base URLs
	end           func() int // ends the program and gives its exit code
}

// newDeployment prepares a program: development, webhook provider, debug log in
// JSON, no request limits. Settings override these.
func newDeployment(t *testing.T, driver string, settings ...string) *deployment {
	t.Helper()
	dbtest.Need(t, driver)
	return newDeploymentOn(t, driver, dbtest.Prepared(t, driver), settings...)
}

// newDeploymentOn is newDeployment on a given database.
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

// program returns the deployment as run takes it. Of two settings the last counts.
func (d *deployment) program(args ...string) program {
	if d.file != "" {
		args = append([]string{"-config", d.file}, args...)
	}
	began := time.Now()
	p := program{args: args, Process: app.Process{
		Out: d.log, Err: d.log, Now: func() time.Time { return time.Now().Add(time.Duration(d.skew.Load())) }, Elapsed: func() time.Duration { return time.Since(began) }, Version: version, Defaults: defaults(),
	}}
	for _, setting := range d.settings {
		p.Environ = append(p.Environ, "MENSHEN_"+setting)
	}
	return p
}

// start runs the program and waits until it serves.
func (d *deployment) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	addresses, exit := make(chan [2]string, 1), make(chan int, 1)
	p := d.program()
	p.OnServing = func(public, admin string) { addresses <- [2]string{public, admin} }
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
	if code := d.end(); code != cli.ExitOK {
		t.Errorf("the program ended with %d: %.2000s", code, d.log.text())
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("the program took %s to stop", took)
	}
	d.end = nil
}

// command runs one command of the program to its end.
func (d *deployment) command(t *testing.T, args ...string) (exit int, out, err string) {
	t.Helper()
	p := d.program(args...)
	var stdout, stderr strings.Builder
	p.Out, p.Err = &stdout, &stderr
	exit = run(t.Context(), p)
	return exit, stdout.String(), stderr.String()
}

// defaults is the configuration as shipped.
var defaults = sync.OnceValue(func() []byte {
	text, err := os.ReadFile(filepath.Join(top, "config.yaml"))
	if err != nil {
		panic(err)
	}
	return text
})

// number returns an unused mobile number.
func (d *deployment) number() string {
	number := fmt.Sprintf("139%08d", 10000000+d.numbers.Add(1))
	d.secrets.add(kindNumber, number)
	return number
}

// exec changes the database directly, for what only time or an operator could do.
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

// eventually polls done until it returns true and fails the test after within.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for begin := time.Now(); !done(); <-ticker.C {
		if time.Since(begin) > max(within, patience) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// secretOf returns a secret.key that depends on the name alone.
func secretOf(name string) string {
	key := make([]byte, 32)
	copy(key, name)
	return base64.StdEncoding.EncodeToString(key)
}
