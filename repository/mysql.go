package repository

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

var mysqlDialect = dialect{
	forUpdate: ` FOR UPDATE`,
	useIndex:  ` FORCE INDEX (?)`,
	upsertUser: `INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)
ON DUPLICATE KEY UPDATE last_source = ?, logins = logins + 1`,
	upsertLoginSequence: `INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, ?, 1, ?, ?)
ON DUPLICATE KEY UPDATE epoch = epoch + 1, login_at = GREATEST(login_at, ?), session_id = ?`,
	upsertGate: `INSERT INTO gates (passes, touched_at, name) VALUES (1, ?, ?)
ON DUPLICATE KEY UPDATE passes = passes + 1, touched_at = ?`,
	lockAlarm:   `INSERT INTO gates (passes, touched_at, name) VALUES (1, 0, ?) ON DUPLICATE KEY UPDATE passes = passes + 1`,
	upsertFold:  `INSERT INTO folds (name, count) VALUES (?, 1) ON DUPLICATE KEY UPDATE count = count + 1`,
	insertVault: `INSERT IGNORE INTO vault (name, value) VALUES (?, ?)`,
	spendPuzzle: `INSERT IGNORE INTO puzzles (id, expires_at) VALUES (?, ?)`,
	clock:       `SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)`,
	version:     `SELECT VERSION()`,
}

// mysqlLifetime renews connections often enough to follow a failover.
const mysqlLifetime = 3 * time.Minute

// A connection that the network has cut off leaves its transaction open on the server, with
// the locks of its rows. So the server ends a connection of which it has heard nothing for
// longer than the pool keeps one that is not used. MariaDB can end it sooner in a
// transaction, where no statement of ours follows the one before so late.
const (
	mysqlIdle  = 10 * time.Second
	endOrphans = "SET SESSION wait_timeout = 30 /*M! , idle_transaction_timeout = 15 */" // MySQL skips the comment
)

func (db *DB) openMySQL(ctx context.Context) error {
	db.dialect = mysqlDialect
	config, err := mysqlConfig(db.options.DSN)
	if err != nil {
		return err
	}
	connector, err := newConnector(config)
	if err != nil {
		return err
	}
	prepared := newPool(sql.OpenDB(connector))
	prepared.isGalera = connector.isGalera
	conns := db.options.MaxConns - reportConns
	prepared.turns = newTurns(conns)
	if db.writePool, err = mysqlGorm(prepared, conns); err != nil {
		return err
	}
	db.readPool = db.writePool
	return db.openReports(config)
}

// openReports opens the pool for reports. They may read longer than the read time-out
// of other connections allows.
func (db *DB) openReports(config *mysqldriver.Config) error {
	config = config.Clone()
	config.ReadTimeout = max(config.ReadTimeout, reportTime)
	connector, err := newConnector(config)
	if err != nil {
		return err
	}
	if config.Params["max_statement_time"] == "" && config.Params["max_execution_time"] == "" { // else the operator has set a limit
		connector.setup = limitReads
	}
	db.reportPool, err = mysqlGorm(newPool(sql.OpenDB(connector)), reportConns)
	return err
}

func mysqlGorm(prepared *pool, conns int) (*gorm.DB, error) {
	prepared.SetMaxOpenConns(conns)
	prepared.SetMaxIdleConns(conns)
	prepared.SetConnMaxLifetime(mysqlLifetime)
	prepared.SetConnMaxIdleTime(mysqlIdle)
	g, err := gorm.Open(mysql.New(mysql.Config{Conn: prepared, SkipInitializeWithVersion: true}), gormConfig())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return g, nil
}

// waitForCluster makes the reads of a connection wait until their node has applied what
// other nodes of its cluster had committed by then. Otherwise a login on one node would be
// unknown on another for milliseconds, and an unknown session counts as ended. Each new
// connection asks, because behind one address there may be another server by then, and a
// server may join a group while it runs.
func (s sessionConnector) waitForCluster(ctx context.Context, conn driver.Conn) error {
	variables, err := queryPairs(ctx, conn, "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'group_replication_group_name')")
	if err != nil {
		return err
	}
	name, value := "", ""
	switch {
	case variables["wsrep_on"] == "ON":
		name, value = "wsrep_sync_wait", "1"
		s.isGalera.Store(true)
	case variables["group_replication_group_name"] != "":
		name, value = "group_replication_consistency", "'BEFORE'"
	default:
		return nil
	}
	if _, given := s.given[name]; given {
		return nil
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION "+name+" = "+value, nil)
	return err
}

// queryPairs returns the rows of a query for names and values.
func queryPairs(ctx context.Context, conn driver.Conn, query string) (map[string]string, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	pairs := map[string]string{}
	for row := make([]driver.Value, 2); ; {
		switch err := rows.Next(row); err {
		case nil:
			pairs[fmt.Sprintf("%s", row[0])] = fmt.Sprintf("%s", row[1])
		case io.EOF:
			return pairs, nil
		default:
			return nil, err
		}
	}
}

// mysqlConfig adds what menshen needs to the operator's DSN and keeps the rest.
func mysqlConfig(dsn string) (*mysqldriver.Config, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse database.dsn: the form is user:password@tcp(host:port)/name") // the cause would show the password
	}
	config.ParseTime = true
	config.Loc = time.UTC
	config.ClientFoundRows = true   // a conditional update counts the rows it matches, also unchanged ones
	config.RejectReadOnly = true    // after a failover, leave the old primary
	config.InterpolateParams = true // for queries that are not prepared: see pool.isGalera
	config.MultiStatements = false
	config.Timeout = cmp.Or(config.Timeout, 1500*time.Millisecond)
	config.ReadTimeout = cmp.Or(config.ReadTimeout, 3*time.Second)
	config.WriteTimeout = cmp.Or(config.WriteTimeout, 3*time.Second)
	if err := config.Apply(mysqldriver.Charset("utf8mb4", "")); err != nil {
		return nil, fmt.Errorf("parse database.dsn: %w", err)
	}
	config.Logger = &mysqldriver.NopLogger{}
	return config, nil
}

// sessionConnector sets the session variables of every new connection. The isolation
// level is set by a statement because its variable has different names on MySQL and
// MariaDB. Lock waits end before clients give up, so that no transaction
// waits after its client has gone.
type sessionConnector struct {
	driver.Connector
	given    map[string]string                                 // session variables of the operator's DSN
	isGalera *atomic.Bool                                      // whether a connection has met a node of Galera
	setup    func(ctx context.Context, conn driver.Conn) error // further set-up; may be nil
}

func newConnector(config *mysqldriver.Config) (sessionConnector, error) {
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return sessionConnector{}, fmt.Errorf("open database: %w", err)
	}
	return sessionConnector{Connector: connector, given: config.Params, isGalera: &atomic.Bool{}}, nil
}

func (s sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	statements := []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 1",
	}
	if _, given := s.given["wait_timeout"]; !given {
		statements = append(statements, endOrphans)
	}
	for _, statement := range statements {
		if err == nil {
			_, err = conn.(driver.ExecerContext).ExecContext(ctx, statement, nil)
		}
	}
	if err == nil {
		err = s.waitForCluster(ctx, conn)
	}
	if err == nil && s.setup != nil {
		err = s.setup(ctx, conn)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// limitReads makes the server end a read after reportTime. A read whose caller has
// left would go on otherwise, beside the next one on a new connection. MariaDB and
// MySQL have different variables for it.
func limitReads(ctx context.Context, conn driver.Conn) error {
	for _, statement := range []string{
		fmt.Sprintf("SET SESSION max_statement_time = %d", int(reportTime.Seconds())),
		fmt.Sprintf("SET SESSION max_execution_time = %d", reportTime.Milliseconds()),
	} {
		_, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil)
		if _, refused := errors.AsType[*mysqldriver.MySQLError](err); !refused {
			return err
		}
	}
	return nil
}
