package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/test/leak"
)

// Time-outs. They are generous: exceeding one of them is a fault of the program,
// not of a slow machine.
const (
	startTime = 60 * time.Second
	callTime  = 30 * time.Second
)

var stopTime = patient(10 * time.Second) // of the contract

// folder holds the program under test for the whole run.
var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of these tests wait most of the time; an own -parallel is respected.
	parallel := flag.Lookup("test.parallel").Value
	if parallel.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = parallel.Set(strconv.Itoa(2 + runtime.GOMAXPROCS(0)))
	}
	var err error
	if folder, err = os.MkdirTemp("", "menshen-e2e."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := leak.Run(m)
	_ = os.RemoveAll(folder)
	os.Exit(exit)
}

// program is the binary as it ships, built once for the run; with
// MENSHEN_E2E_RACE set, with the race detector.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "menshen")
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", path}
	cgo := "CGO_ENABLED=0"
	if os.Getenv("MENSHEN_E2E_RACE") != "" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	build := exec.Command("go", append(args, "menshen")...)
	build.Env = append(os.Environ(), cgo)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", build.Args, err, out)
	}
	return path, nil
})

// deployment is what its instances share: a database, the secrets, the folder of
// keys, the provider of messages.
type deployment struct {
	driver   string
	dsn      string // as the instances get it
	database string // as the test opens it
	folder   string
	settings []string // environment, without the prefix
	messages *provider
	client   *http.Client
	numbers  atomic.Int64

	mu       sync.Mutex
	accounts map[string]string // MySQL's accounts, by instance
}

// data is the name of instances that are alone, or share a folder.
const data = "data"

const adminKey = "e2e-admin-key-0123456789-0123456789"

// unlimited switches off every limit that is not the test's matter.
var unlimited = []string{
	"LIMITS_ENABLED=false", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", "CODE_PER_IP_HOUR=0",
	"CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0", "CODE_DAILY_BUDGET=0",
	"CODE_HOURLY_SHARE=100", "CODE_RESERVE=0", "CODE_FAILS_PER_MOBILE_DAY=0", "CODE_MAX_ATTEMPTS=100",
}

// shipLimits puts the limits of config.yaml in force for instances that start from now on.
func (d *deployment) shipLimits() {
	d.settings = slices.DeleteFunc(d.settings, func(setting string) bool { return slices.Contains(unlimited, setting) })
}

// newDeployment prepares a deployment: development, without limits. Settings
// override these.
func newDeployment(t *testing.T, driver string, settings ...string) *deployment {
	t.Helper()
	dbtest.Need(t, driver)
	return newDeploymentOn(t, driver, settings...)
}

// newDeploymentOn is newDeployment whose database may be replaced.
func newDeploymentOn(t *testing.T, driver string, settings ...string) *deployment {
	t.Helper()
	d := &deployment{
		driver: driver, folder: t.TempDir(), messages: newProvider(t), accounts: map[string]string{},
		client: &http.Client{
			Timeout:       callTime,
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2048},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.Cleanup(d.client.CloseIdleConnections)
	d.database = "file:" + filepath.Join(d.folder, data, "menshen.db") + "?_pragma=busy_timeout(10000)"
	if driver == repository.MySQL {
		d.dsn = dbtest.DSN(t, driver)
		d.database = d.dsn
	}
	d.settings = slices.Concat([]string{
		"SERVER_ADDR=127.0.0.1:0", "SERVER_ADMIN_ADDR=127.0.0.1:0", "DATABASE_DRIVER=" + driver,
		"SECRET_KEY=" + freshSecret(), "TOKEN_KEY_DIR=" + filepath.Join(d.folder, "keys"),
		"SMS_PROVIDER=webhook", "SMS_WEBHOOK_URL=" + d.messages.server.URL + "/sms", "SMS_WEBHOOK_SECRET=whsec_" + freshSecret(),
		`ADMIN_KEYS=[{"name":"e2e","key":"` + adminKey + `"}]`, "LOG_FORMAT=json",
	}, unlimited, settings)
	return d
}

func freshSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

// number returns an unused mobile number.
func (d *deployment) number() string { return fmt.Sprintf("139%08d", 10000000+d.numbers.Add(1)) }

// environ returns the environment of the instance name. Of two settings the last
// counts.
func (d *deployment) environ(t *testing.T, name string, settings ...string) []string {
	t.Helper()
	byKey := map[string]string{}
	own := []string{"DATA_DIR=" + filepath.Join(d.folder, name), "DATABASE_DSN=" + d.dsnOf(t, name)}
	for _, setting := range slices.Concat(own, d.settings, settings) {
		key, value, _ := strings.Cut(setting, "=")
		byKey[key] = value
	}
	environ := []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for key, value := range byKey {
		environ = append(environ, "MENSHEN_"+key+"="+value)
	}
	return environ
}

// dsnOf returns the DSN of the instance name: on MySQL it has an account of its
// own, which may use its database and nothing else.
func (d *deployment) dsnOf(t *testing.T, name string) string {
	t.Helper()
	if d.driver != repository.MySQL {
		return "" // <data_dir>/menshen.db, or the test's to say
	}
	config, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accounts[name] == "" {
		account := strings.ToLower("u_" + rand.Text())
		for _, statement := range []string{"CREATE USER %s IDENTIFIED BY '" + config.Passwd + "'", "GRANT ALL ON " + config.DBName + ".* TO %s"} {
			d.exec(t, fmt.Sprintf(statement, account))
		}
		t.Cleanup(func() { d.exec(t, "DROP USER "+account) })
		d.accounts[name] = account
	}
	config.User = d.accounts[name]
	return config.FormatDSN()
}

// exec runs a statement on the database, during a test's clean-up as well.
func (d *deployment) exec(t *testing.T, statement string) {
	t.Helper()
	db := d.sql(t)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// sql opens the deployment's database.
func (d *deployment) sql(t *testing.T) *sql.DB {
	t.Helper()
	driver := "mysql"
	if d.driver == repository.SQLite {
		driver = "sqlite"
	}
	db, err := sql.Open(driver, d.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// processes runs a query for numbers that involves the server's list of processes. MySQL
// cannot make the list while it runs a statement with binary values (3854): then again.
func processes(t *testing.T, db *sql.DB, query string, args ...any) (numbers []int64) {
	t.Helper()
	read := func() error {
		numbers = nil
		rows, err := db.QueryContext(t.Context(), query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var number int64
			if err := rows.Scan(&number); err != nil {
				return err
			}
			numbers = append(numbers, number)
		}
		return rows.Err()
	}
	eventually(t, callTime, "the list of processes", func() bool {
		err := read()
		if failed := (*mysql.MySQLError)(nil); err != nil && !(errors.As(err, &failed) && failed.Number == 3854) {
			t.Fatal(err)
		}
		return err == nil
	})
	return numbers
}

// kind returns which database it is: SQLite, MariaDB or MySQL.
func (d *deployment) kind(t *testing.T) string {
	t.Helper()
	if d.driver == repository.SQLite {
		return "SQLite"
	}
	db := d.sql(t)
	defer func() { _ = db.Close() }()
	var version string
	if err := db.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(version, "MariaDB") {
		return "MariaDB"
	}
	return "MySQL"
}

// eventually polls done until it returns true and fails the test after within.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	begin, within := time.Now(), patient(within)
	for !done() {
		if time.Since(begin) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-ticker.C
	}
	return time.Since(begin)
}

// runAtOnce runs act n times in parallel and waits for all.
func runAtOnce(n int, act func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			act(i)
		})
	}
	close(start)
	all.Wait()
}

// needMySQL skips a test under -short, which uses SQLite alone; without a server
// the test fails.
func needMySQL(t *testing.T) {
	t.Helper()
	if !slices.Contains(dbtest.Drivers(t), repository.MySQL) {
		t.Skip("-short is SQLite alone")
	}
}

// eachDriver runs a test on every kind of database.
func eachDriver(t *testing.T, test func(t *testing.T, driver string)) {
	t.Helper()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			test(t, driver)
		})
	}
}
