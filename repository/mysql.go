package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

var mysqlWords = words{
	forUpdate: ` FOR UPDATE`,
	upsertUser: `INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)
ON DUPLICATE KEY UPDATE last_source = VALUES(last_source)`,
	upsertSlot: `INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, ?, 1, ?, ?)
ON DUPLICATE KEY UPDATE epoch = epoch + 1, login_at = GREATEST(login_at, VALUES(login_at)), session_id = VALUES(session_id)`,
	upsertGate: `INSERT INTO gates (passes, touched_at, name) VALUES (1, ?, ?)
ON DUPLICATE KEY UPDATE passes = passes + 1, touched_at = VALUES(touched_at)`,
	keepVault: `INSERT IGNORE INTO vault (name, value) VALUES (?, ?)`,
	clock:     `SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)`,
}

// The pool: enough to keep a server busy, young enough to follow a failover
// and to stay below every wait_timeout.
const (
	mysqlConns    = 32
	mysqlLifetime = 3 * time.Minute
)

func (db *DB) openMySQL() error {
	db.words = mysqlWords
	config, err := mysqlConfig(db.dsn)
	if err != nil {
		return err
	}
	pool, err := mysqlPool(config)
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(mysqlConns)
	pool.SetMaxIdleConns(mysqlConns)
	pool.SetConnMaxLifetime(mysqlLifetime)
	db.write, err = gorm.Open(mysql.New(mysql.Config{Conn: newPool(pool), SkipInitializeWithVersion: true}), gormConfig())
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	db.read = db.write
	return nil
}

// mysqlConfig adds what menshen needs to the operator's DSN and keeps the rest.
func mysqlConfig(dsn string) (*mysqldriver.Config, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse database.dsn: the form is user:password@tcp(host:port)/name") // the cause would show the password
	}
	config.ParseTime = true
	config.Loc = time.UTC
	config.ClientFoundRows = true // a CAS counts rows that match, not rows that differ
	config.RejectReadOnly = true  // after a failover, leave the old primary
	config.InterpolateParams = false
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
	return sql.OpenDB(session{connector}), nil
}

// session makes every connection of the pool alike. The isolation level is set
// by a statement because its variable bears different names on MySQL 8, MariaDB
// and TiDB; lock waits end before the client has gone, so that no transaction
// waits for nobody.
type session struct{ driver.Connector }

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
	return conn, nil
}
