package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
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
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// Bounds of what is waited for. They are generous: whoever waits longer than
// these has found a fault, not a slow machine.
const (
	startTime = 60 * time.Second
	stopTime  = 10 * time.Second // of the contract
	callTime  = 30 * time.Second
)

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
	goleak.VerifyTestMain(m, goleak.Cleanup(func(exit int) {
		_ = os.RemoveAll(folder)
		os.Exit(exit)
	}))
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
	"CODE_PER_IP_DAY=0", "CODE_DAILY_BUDGET=0", "CODE_FAILS_PER_MOBILE_DAY=0", "CODE_MAX_ATTEMPTS=100",
}

// newDeployment prepares one: development, without limits; settings change that.
func newDeployment(t *testing.T, driver string, settings ...string) *deployment {
	t.Helper()
	d := &deployment{
		driver: driver, folder: t.TempDir(), messages: newProvider(t), accounts: map[string]string{},
		client: &http.Client{
			Timeout:       callTime,
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128},
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

// number is a mobile number that nobody has used yet.
func (d *deployment) number() string { return fmt.Sprintf("139%08d", 10000000+d.numbers.Add(1)) }

// environ is the environment of the instance name; of two settings the last counts.
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

// dsnOf is the DSN of the instance name: on MySQL it has an account of its own,
// which may touch its database and nothing else.
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
		for _, statement := range []string{"CREATE USER %s", "GRANT ALL ON " + config.DBName + ".* TO %s"} {
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

// instance is a running process.
type instance struct {
	d       *deployment
	name    string
	process *os.Process
	log     *output
	exited  chan struct{} // closed once exit is set
	exit    int

	public, admin string // base URLs
}

// start runs an instance and waits until it says that it serves. It is stopped
// with the test, which fails unless that ends well.
func (d *deployment) start(t *testing.T, name string, settings ...string) *instance {
	t.Helper()
	i := d.spawn(t, name, settings...)
	i.serving(t)
	return i
}

// spawn runs an instance and does not wait.
func (d *deployment) spawn(t *testing.T, name string, settings ...string) *instance {
	t.Helper()
	cmd := d.command(t, name, settings...)
	i := &instance{d: d, name: name, log: newOutput(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = i.log, i.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	i.process = cmd.Process
	go func() {
		defer close(i.exited)
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			i.exit = -1
			return
		}
		i.exit = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		i.stop(t)
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, i.log.tail())
		}
	})
	return i
}

// command is the program as it would be run, with arguments to be added.
func (d *deployment) command(t *testing.T, name string, settings ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Dir = d.folder // where no config.yaml is, unless the test writes one
	cmd.Env = d.environ(t, name, settings...)
	return cmd
}

// serving waits for the line that tells the addresses.
func (i *instance) serving(t *testing.T) {
	t.Helper()
	select {
	case line := <-i.log.serving:
		i.public, i.admin = "http://"+line.Addr, "http://"+line.AdminAddr
	case <-i.exited:
		t.Fatalf("%s ended with %d:\n%s", i.name, i.exit, i.log.tail())
	case <-time.After(startTime):
		t.Fatalf("%s did not serve:\n%s", i.name, i.log.tail())
	}
}

// stop ends the instance as an orchestrator does.
func (i *instance) stop(t *testing.T) {
	t.Helper()
	select {
	case <-i.exited:
		return
	default:
	}
	i.d.client.CloseIdleConnections()
	begin := time.Now()
	i.signal(t, syscall.SIGTERM)
	if exit := i.awaitExit(t); exit != 0 {
		t.Errorf("%s ended with %d after SIGTERM:\n%s", i.name, exit, i.log.tail())
	}
	if took := time.Since(begin); took > stopTime {
		t.Errorf("%s took %s to stop", i.name, took)
	}
}

// kill ends the instance as a power cut does. It returns when the database too
// is through with it: a COMMIT that was on its way may still have been executed.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	i.signal(t, syscall.SIGKILL)
	i.awaitExit(t)
	if i.d.driver != repository.MySQL {
		return
	}
	db := i.d.sql(t)
	defer func() { _ = db.Close() }()
	eventually(t, stopTime, "the database has noticed that "+i.name+" is dead", func() bool {
		var connections int
		query := "SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?"
		if err := db.QueryRowContext(t.Context(), query, i.d.accounts[i.name]).Scan(&connections); err != nil {
			t.Fatal(err)
		}
		return connections == 0
	})
}

func (i *instance) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := i.process.Signal(signal); err != nil {
		t.Errorf("signal %s: %v", i.name, err)
	}
}

func (i *instance) awaitExit(t *testing.T) int {
	t.Helper()
	select {
	case <-i.exited:
	case <-time.After(2 * stopTime):
		t.Errorf("%s does not end:\n%s", i.name, i.log.tail())
		_ = i.process.Kill()
		<-i.exited
	}
	return i.exit
}

// fails runs the program to its end, which must be a failure, and returns what
// it wrote.
func (d *deployment) fails(t *testing.T, name string, settings ...string) string {
	t.Helper()
	i := d.spawn(t, name, settings...)
	select {
	case <-i.exited:
	case line := <-i.log.serving:
		t.Errorf("%s serves on %s", name, line.Addr)
		i.kill(t)
	case <-time.After(startTime):
		t.Errorf("%s does not end", name)
		i.kill(t)
	}
	if i.exit != 1 {
		t.Errorf("%s ended with %d:\n%s", name, i.exit, i.log.tail())
	}
	return i.log.tail()
}

// sql opens the deployment's database beside its instances.
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

// servingLine is the log line that tells that the program serves.
type servingLine struct{ Msg, Addr, AdminAddr string }

// output is what a process wrote. It keeps the end of it.
type output struct {
	serving chan servingLine

	mu   sync.Mutex
	text []byte
	open int // where the last line that was not looked at begins
}

const outputKept = 64 << 10

func newOutput() *output { return &output{serving: make(chan servingLine, 1)} }

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, text...)
	for {
		end := bytes.IndexByte(o.text[o.open:], '\n')
		if end < 0 {
			break
		}
		var line servingLine
		if err := json.Unmarshal(o.text[o.open:o.open+end], &line); err == nil && line.Msg == "serving" {
			o.serving <- line
		}
		o.open += end + 1
	}
	if cut := o.open - outputKept; cut > outputKept {
		o.text, o.open = append([]byte{}, o.text[cut:]...), outputKept
	}
	return len(text), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text[max(0, len(o.text)-8<<10):])
}

// count is how often the kept log has text.
func (o *output) count(text string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Count(o.text, []byte(text))
}

// eventually asks until the answer is yes, and fails the test after within.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	begin := time.Now()
	for !done() {
		if time.Since(begin) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-ticker.C
	}
	return time.Since(begin)
}

// together runs act n times at once and waits for all.
func together(n int, act func(i int)) {
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

// needMySQL leaves a test out of -short, which is SQLite alone; without a server
// it fails.
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
