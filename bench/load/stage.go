package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"
)

// stage is what a run is made on: a temporary folder, the binary, the database,
// the provider of messages. Everything on it ends with close.
type stage struct {
	folder       string
	binary       string
	signer       *signer
	provider     *provider
	servers      map[string]*dbServer // by driver, without SQLite
	databaseName string               // with versions and settings, for the document
	running      []*process
}

// dbServer is a database server that menshen is measured on.
type dbServer struct {
	*sql.DB
	config  *mysql.Config
	process int
}

// Bounds of what is waited for.
const (
	startTime = 60 * time.Second
	stopTime  = 15 * time.Second
	peekEvery = 2 * time.Millisecond
)

func openStage(ctx context.Context) (s *stage, err error) {
	s = &stage{databaseName: "SQLite, WAL, synchronous=FULL", servers: map[string]*dbServer{}}
	if s.folder, err = os.MkdirTemp("", "menshen-load."); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err = s.build(ctx); err != nil {
		return nil, err
	}
	if s.signer, err = newSigner(s.keys()); err != nil {
		return nil, err
	}
	if s.provider, err = newProvider(); err != nil {
		return nil, err
	}
	for driver, variable := range map[string]string{driverMariaDB: "MENSHEN_TEST_MYSQL", driverMySQL: "MENSHEN_BENCH_MYSQL"} {
		if dsn := os.Getenv(variable); dsn != "" && err == nil {
			err = s.openServer(ctx, driver, dsn)
		}
	}
	return s, err
}

func (s *stage) close() {
	for _, p := range s.running {
		_ = p.stop()
	}
	if s.provider != nil {
		s.provider.close()
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	_ = os.RemoveAll(s.folder)
}

func (s *stage) keys() string { return filepath.Join(s.folder, "keys") }

// build makes the binary as `make build` does.
func (s *stage) build(ctx context.Context) error {
	s.binary = filepath.Join(s.folder, "menshen")
	build := exec.CommandContext(ctx, "go", "build", //nolint:gosec // to a path of our own
		"-tags=nomsgpack,timetzdata", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X main.version=load", "-o", s.binary, "menshen")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// The server's memory for tables, which fit, as in production: so much at least,
// and so much for each session of the largest table, in bytes.
const (
	bufferPool  = 1 << 30
	sessionPool = 1 << 10
)

// openServer takes a server that keeps what it has answered, or none.
func (s *stage) openServer(ctx context.Context, driver, dsn string) (err error) {
	server := &dbServer{}
	if server.config, err = mysql.ParseDSN(dsn); err != nil {
		return fmt.Errorf("%s: no DSN", driver)
	}
	if server.DB, err = sql.Open("mysql", dsn); err != nil {
		return err
	}
	s.servers[driver] = server
	var version, pidFile string
	var flush int
	var doublewrite string
	row := server.QueryRowContext(ctx, "SELECT @@version, @@pid_file, @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")
	if err := row.Scan(&version, &pidFile, &flush, &doublewrite); err != nil {
		return err
	}
	if flush != 1 || doublewrite == "0" || doublewrite == "OFF" {
		return fmt.Errorf("%s: the server is not durable: set MARIADB_DURABLE=1 or MYSQL_DURABLE=1 for its script", driver)
	}
	if server.process, err = strconv.Atoi(readLine(pidFile)); err != nil {
		return fmt.Errorf("process of the database server: %w", err)
	}
	s.databaseName += ", " + driver + " " + version
	return nil
}

// makeRoom gives the servers the memory for a table of the given number of
// sessions.
func (s *stage) makeRoom(ctx context.Context, sessions int) error {
	if len(s.servers) == 0 {
		return nil
	}
	pool := (max(bufferPool, sessions*sessionPool) + bufferPool - 1) / bufferPool
	s.databaseName += fmt.Sprintf(", innodb_flush_log_at_trx_commit=1, doublewrite, buffer pool of %d GiB", pool)
	for _, server := range s.servers {
		if _, err := server.ExecContext(ctx, fmt.Sprintf("SET GLOBAL innodb_buffer_pool_size = %d", pool*bufferPool)); err != nil {
			return err
		}
	}
	return nil
}

// deployment is what outlives a process: its database, its folder, its secret.
type deployment struct {
	stage  *stage
	binary string
	driver string
	dsn    string
	folder string
	secret string
}

// The kinds of database. For menshen and database/sql the latter two are "mysql".
const (
	driverSQLite  = "sqlite"
	driverMariaDB = "mariadb"
	driverMySQL   = "mysql"
)

// drivers are the kinds of database that are there.
func (s *stage) drivers() []string {
	return slices.DeleteFunc([]string{driverSQLite, driverMariaDB, driverMySQL}, func(driver string) bool {
		return driver != driverSQLite && s.servers[driver] == nil
	})
}

// checkDriver is the kind of database that checks are measured on.
func (s *stage) checkDriver() string {
	if s.servers[driverMariaDB] != nil {
		return driverMariaDB
	}
	return driverSQLite
}

// sqlDriver is the driver's name for menshen and database/sql.
func (d *deployment) sqlDriver() string {
	if d.driver == driverSQLite {
		return driverSQLite
	}
	return driverMySQL
}

func (s *stage) deploy(ctx context.Context, name, driver string) (*deployment, error) {
	var key [32]byte
	_, _ = rand.Read(key[:])
	d := &deployment{stage: s, binary: s.binary, driver: driver, folder: filepath.Join(s.folder, name), secret: base64.StdEncoding.EncodeToString(key[:])}
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return nil, err
	}
	if driver == driverSQLite {
		d.dsn = filepath.Join(d.folder, "menshen.db")
		return d, nil
	}
	server := s.servers[driver]
	config := server.config.Clone()
	config.DBName = "load_" + name
	d.dsn = config.FormatDSN()
	_, err := server.ExecContext(ctx, "CREATE DATABASE "+config.DBName)
	return d, err
}

// environment returns the configuration: the defaults, except thresholds that are
// never reached. All limits are on.
func (d *deployment) environment() []string {
	const plenty = "1000000"
	env := []string{
		"PATH=" + os.Getenv("PATH"), "MENSHEN_ENV=dev", "MENSHEN_DATA_DIR=" + d.folder, "MENSHEN_TOKEN_KEY_DIR=" + d.stage.keys(),
		"MENSHEN_SERVER_ADDR=127.0.0.1:0", "MENSHEN_SERVER_ADMIN_ADDR=127.0.0.1:0", "MENSHEN_LOG_FORMAT=json",
		"MENSHEN_DATABASE_DRIVER=" + d.sqlDriver(), "MENSHEN_DATABASE_DSN=" + d.dsn, "MENSHEN_SECRET_KEY=" + d.secret,
		"MENSHEN_SMS_PROVIDER=webhook", "MENSHEN_SMS_WEBHOOK_URL=" + d.stage.provider.url, "MENSHEN_SMS_WEBHOOK_SECRET=whsec_" + d.secret,
		"MENSHEN_CODE_TTL=10m", "MENSHEN_CODE_DAILY_BUDGET=1000000000",
	}
	for _, limit := range []string{
		"LIMITS_LOGIN", "LIMITS_REFRESH", "LIMITS_CHECK", "LIMITS_OTHER", "CODE_PER_IP_HOUR", "CODE_PER_IP_DAY", "CODE_PER_BLOCK_HOUR", "CODE_PER_BLOCK_DAY",
	} {
		env = append(env, "MENSHEN_"+limit+"="+plenty)
	}
	return env
}

// process is a server that we started.
type process struct {
	addr, admin string
	pid         int
	cmd         *exec.Cmd
	exited      chan error
	stopped     bool
}

// start runs menshen on the deployment, with its access log in a file, until it
// is ready.
func (d *deployment) start(ctx context.Context) (*process, error) {
	path := filepath.Join(d.folder, "menshen.log")
	log, err := os.Create(path) //nolint:gosec // in our folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, d.binary) //nolint:gosec // that we built
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.folder, d.environment(), log, log
	p, err := d.stage.launch(cmd)
	if err != nil {
		return nil, err
	}
	if err := p.awaitLog(ctx, path); err != nil {
		_ = p.stop()
		return nil, err
	}
	conn, err := dial(ctx, p.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	a, err := conn.exchange(get("/readyz", "-"))
	if err == nil {
		err = want200(a)
	}
	return p, err
}

// startBare runs this program as the bare Gin server.
func (s *stage) startBare(ctx context.Context, same recorded) (*process, error) {
	text, err := json.Marshal(same)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, bareCommand, string(text)) //nolint:gosec // ourselves
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := s.launch(cmd)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p.addr = strings.TrimSpace(line)
	return p, err
}

// launch starts a process in our group, so that one Ctrl-C ends all.
func (s *stage) launch(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, cmd: cmd, exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait() }()
	s.running = append(s.running, p)
	return p, nil
}

// awaitLog reads the log until it tells the addresses.
func (p *process) awaitLog(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ticker := time.NewTicker(peekEvery)
	defer ticker.Stop()
	for {
		text, err := os.ReadFile(path) //nolint:gosec // in our folder
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var said struct{ Msg, Addr, AdminAddr string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
				p.addr, p.admin = said.Addr, said.AdminAddr
				return nil
			}
		}
		select {
		case <-ticker.C:
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("menshen ended: %w\n%s", err, text)
		case <-ctx.Done():
			return fmt.Errorf("menshen does not serve: %w\n%s", ctx.Err(), text)
		}
	}
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	if p.stopped {
		return nil
	}
	p.stopped = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case err := <-p.exited:
		return err
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		return errors.Join(errors.New("the process does not stop"), <-p.exited)
	}
}

// record asks once and keeps the answer for the bare server.
func record(ctx context.Context, addr string, request []byte) (recorded, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return recorded{}, err
	}
	defer func() { _ = conn.Close() }()
	a, err := conn.exchange(request)
	if err == nil {
		err = want200(a)
	}
	if err != nil {
		return recorded{}, err
	}
	return recordedFrom(a)
}
