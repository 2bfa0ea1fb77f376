package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

var mysqlWords = words{
	forUpdate: ` FOR UPDATE`,
	bySeal:    ` FORCE INDEX (users_seal)`,
	upsertUser: `INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)
ON DUPLICATE KEY UPDATE last_source = VALUES(last_source), logins = logins + 1`,
	upsertSlot: `INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, ?, 1, ?, ?)
ON DUPLICATE KEY UPDATE epoch = epoch + 1, login_at = GREATEST(login_at, VALUES(login_at)), session_id = VALUES(session_id)`,
	upsertGate: `INSERT INTO gates (passes, touched_at, name) VALUES (1, ?, ?)
ON DUPLICATE KEY UPDATE passes = passes + 1, touched_at = VALUES(touched_at)`,
	touchAlarm: `INSERT INTO gates (passes, touched_at, name) VALUES (1, 0, ?) ON DUPLICATE KEY UPDATE passes = passes + 1`,
	keepVault:  `INSERT IGNORE INTO vault (name, value) VALUES (?, ?)`,
	clock:      `SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)`,
}

// The pool: enough to keep a server busy, young enough to follow a failover
// and to stay below every wait_timeout.
const (
	mysqlConns    = 32
	mysqlLifetime = 3 * time.Minute
)

func (db *DB) openMySQL(ctx context.Context) error {
	db.words = mysqlWords
	config, err := mysqlConfig(db.dsn)
	if err != nil {
		return err
	}
	pool, err := mysqlPool(config)
	if err != nil {
		return err
	}
	cluster, err := isGalera(ctx, pool)
	if err != nil {
		return errors.Join(fault("ask for wsrep_on", err), pool.Close())
	}
	if cluster {
		if pool, err = galeraPool(config, pool); err != nil {
			return err
		}
		db.dsn = config.FormatDSN() // the migrations' pool waits too
	}
	prepared := newPool(pool)
	prepared.textQueries = cluster
	prepared.line = make(chan struct{}, mysqlConns)
	if db.write, err = mysqlGorm(prepared, mysqlConns); err != nil {
		return err
	}
	db.read = db.write
	return db.openReports(config)
}

// openReports opens the pool for reports, whose reads may take their time: the
// read time-out of the others would end them.
func (db *DB) openReports(config *mysqldriver.Config) error {
	config = config.Clone()
	config.ReadTimeout = max(config.ReadTimeout, reportTime)
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	more := limitReads
	if config.Params["max_statement_time"] != "" || config.Params["max_execution_time"] != "" {
		more = nil // the operator's own
	}
	db.report, err = mysqlGorm(newPool(sql.OpenDB(session{connector, more})), reportConns)
	return err
}

func mysqlGorm(prepared *pool, conns int) (*gorm.DB, error) {
	prepared.SetMaxOpenConns(conns)
	prepared.SetMaxIdleConns(conns)
	prepared.SetConnMaxLifetime(mysqlLifetime)
	g, err := gorm.Open(mysql.New(mysql.Config{Conn: prepared, SkipInitializeWithVersion: true}), gormConfig())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return g, nil
}

// isGalera reports whether the server is a node of a Galera cluster.
func isGalera(ctx context.Context, pool *sql.DB) (bool, error) {
	var name, value string
	err := pool.QueryRowContext(ctx, "SHOW VARIABLES LIKE 'wsrep_on'").Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return value == "ON", err
}

// galeraPool is the pool for a node of a cluster, in place of the one that found
// it out: its reads wait until the node has applied what its neighbours had
// committed by then. Without that a login on one node is unknown on another for
// milliseconds, and a session that is not known is one that has ended.
func galeraPool(config *mysqldriver.Config, found *sql.DB) (*sql.DB, error) {
	if err := found.Close(); err != nil {
		return nil, err
	}
	const wait = "wsrep_sync_wait"
	if _, given := config.Params[wait]; !given {
		config.Params = maps.Clone(config.Params)
		if config.Params == nil {
			config.Params = map[string]string{}
		}
		config.Params[wait] = "1"
	}
	return mysqlPool(config)
}

// mysqlConfig adds what menshen needs to the operator's DSN and keeps the rest.
func mysqlConfig(dsn string) (*mysqldriver.Config, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse database.dsn: the form is user:password@tcp(host:port)/name") // the cause would show the password
	}
	config.ParseTime = true
	config.Loc = time.UTC
	config.ClientFoundRows = true   // a CAS counts rows that match, not rows that differ
	config.RejectReadOnly = true    // after a failover, leave the old primary
	config.InterpolateParams = true // of what is not prepared: see pool.textQueries
	config.MultiStatements = false
	if config.Timeout == 0 {
		config.Timeout = 1500 * time.Millisecond
	}
	if config.ReadTimeout == 0 {
		config.ReadTimeout = 3 * time.Second
	}
	if config.WriteTimeout == 0 {
		config.WriteTimeout = 3 * time.Second
	}
	if err := config.Apply(mysqldriver.Charset("utf8mb4", "")); err != nil {
		return nil, fmt.Errorf("parse database.dsn: %w", err)
	}
	config.Logger = &mysqldriver.NopLogger{}
	return config, nil
}

func mysqlPool(config *mysqldriver.Config) (*sql.DB, error) {
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return sql.OpenDB(session{connector, nil}), nil
}

// session makes every connection of the pool alike. The isolation level is set
// by a statement because its variable bears different names on MySQL 8, MariaDB
// and TiDB; lock waits end before the client has gone, so that no transaction
// waits for nobody.
type session struct {
	driver.Connector
	more func(ctx context.Context, conn driver.Conn) error // what else a connection needs; may be nil
}

func (s session) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 1",
	} {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	if s.more != nil {
		if err := s.more(ctx, conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// limitReads has the server end a read after reportTime: one whose reader has gone
// would go on, and another would take its place on a new connection. MariaDB and
// MySQL (TiDB too) have names of their own for it; where neither is taken there is
// no limit.
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
