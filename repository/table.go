package repository

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"menshen/model"
)

// table describes how the rows of a table are read and written on the hot paths.
// pointers returns pointers to the row's members in the order of the columns.
type table[T any] struct {
	name     string
	columns  string
	pointers func(row *T) []any
}

var sessionTable = table[model.Session]{
	"sessions",
	`id, user_id, company_type, product_type, product_group, epoch, active_slot, device_number, device_name, ip, source, login_at, last_seen_at, ` +
		`refresh_hash, gen, prev_gen, cur_jti, cur_iat, cur_exp, max_exp, minted_at, confirmed, idle_until, ends_at, ended_at, end_reason, ended_by`,
	func(s *model.Session) []any {
		return []any{
			&s.ID, &s.UserID, &s.CompanyType, &s.ProductType, &s.ProductGroup, &s.Epoch, &s.Seat, &s.DeviceNumber, &s.DeviceName, &s.IP,
			&s.Source, &s.LoginAt, &s.LastSeenAt, &s.RefreshHash, &s.Gen, &s.PrevGen, &s.CurJTI, &s.CurIat, &s.CurExp, &s.MaxExp, &s.MintedAt,
			&s.Confirmed, &s.IdleUntil, &s.EndsAt, &s.EndedAt, &s.EndReason, &s.EndedBy,
		}
	},
}

var loginSequenceTable = table[model.LoginSequence]{
	"slots", `user_id, product_group, epoch, login_at, session_id`,
	func(s *model.LoginSequence) []any {
		return []any{&s.UserID, &s.ProductGroup, &s.Epoch, &s.LoginAt, &s.SessionID}
	},
}

// sequenceSession is a login sequence with one of its active sessions, or with one of no
// user if there is none.
type sequenceSession struct {
	sequence model.LoginSequence
	session  model.Session
}

var sequenceSessionTable = table[sequenceSession]{
	`slots LEFT JOIN sessions ON sessions.user_id = slots.user_id AND sessions.product_group = slots.product_group AND sessions.active_slot IS NOT NULL`,
	qualified("slots.%s", loginSequenceTable.columns) + ", " +
		strings.Replace(qualified("COALESCE(sessions.%s, 0)", sessionTable.columns), "COALESCE(sessions.active_slot, 0)", "sessions.active_slot", 1),
	func(s *sequenceSession) []any {
		return append(loginSequenceTable.pointers(&s.sequence), sessionTable.pointers(&s.session)...)
	},
}

// qualified writes each of the columns as the format says.
func qualified(format, columns string) string {
	names := strings.Split(columns, ", ")
	for i, name := range names {
		names[i] = fmt.Sprintf(format, name)
	}
	return strings.Join(names, ", ")
}

var codeTable = table[model.Code]{
	"codes", `id, company_type, purpose, number_key, seq, code_mac, send_pool, ip_key, sent_at, expires_at, ticket_hash, ticket_attempts, attempts, ` +
		`spared, forgiven, used_at, dead_at, delivery, provider, prefix_key, block_key`,
	func(c *model.Code) []any {
		return []any{
			&c.ID, &c.CompanyType, &c.Purpose, &c.NumberKey, &c.Seq, &c.CodeMAC, &c.SendPool, &c.IPKey, &c.SentAt, &c.ExpiresAt, &c.TicketHash,
			&c.TicketAttempts, &c.Attempts, &c.Spared, &c.Forgiven, &c.UsedAt, &c.DeadAt, &c.Delivery, &c.Provider, &c.PrefixKey, &c.BlockKey,
		}
	},
}

var userTable = table[model.User]{
	"users", `id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, ` +
		`banned_until, ban_reason, created_at, deleted_at, credential_epoch, external_id, metadata`,
	func(u *model.User) []any {
		return []any{
			&u.ID, &u.CompanyType, &u.MobileKey, &u.Mobile, &u.UserName, &u.NickName, &u.RealName, &u.AvatarURL, &u.FirstSource, &u.LastSource,
			&u.BannedUntil, &u.BanReason, &u.CreatedAt, &u.DeletedAt, &u.CredentialEpoch, &u.ExternalID, &u.Metadata,
		}
	},
}

// eventTable has no id: the database assigns it.
var eventTable = table[model.Event]{
	"events", `at, kind, user_id, company_type, session_id, actor, ip, device, request_id, detail, fold`,
	func(e *model.Event) []any {
		return []any{&e.At, &e.Kind, &e.UserID, &e.CompanyType, &e.SessionID, &e.Actor, &e.IP, &e.Device, &e.RequestID, &e.Detail, &e.Fold}
	},
}

// fold is a row of folds: the number of repeats of an event.
type fold struct {
	Name  []byte
	Count int64
}

var foldTable = table[fold]{
	"folds", `name, count`,
	func(f *fold) []any { return []any{&f.Name, &f.Count} },
}

// list reads rows. rest is the query after FROM.
func (t table[T]) list(ctx context.Context, db *DB, rest string, args ...any) ([]T, error) {
	return t.read(db.conn(ctx).QueryContext(ctx, "SELECT "+t.columns+" FROM "+t.name+" "+rest, args...))
}

// read reads all rows and closes them.
func (t table[T]) read(rows *sql.Rows, failed error) (all []T, err error) {
	if failed != nil {
		return nil, failed
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row T
		if err := rows.Scan(t.pointers(&row)...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// first returns the first row of list, model.ErrNotFound if there is none.
func (t table[T]) first(ctx context.Context, db *DB, rest string, args ...any) (row T, err error) {
	rows, err := t.list(ctx, db, rest, args...)
	if err != nil {
		return row, unavailable("read "+t.name, err)
	}
	if len(rows) == 0 {
		return row, model.ErrNotFound.Wrap(fmt.Errorf("read %s: no row", t.name))
	}
	return rows[0], nil
}

// insert adds rows.
func (t table[T]) insert(ctx context.Context, db *DB, rows ...T) error {
	var args []any
	for i := range rows {
		args = append(args, t.pointers(&rows[i])...)
	}
	row := "(?" + strings.Repeat(", ?", len(args)/len(rows)-1) + ")"
	return db.exec(ctx, "insert into "+t.name,
		"INSERT INTO "+t.name+" ("+t.columns+") VALUES "+row+strings.Repeat(", "+row, len(rows)-1), args...)
}

// upsert runs an INSERT that updates the row if it exists. On SQLite, which can
// return rows, it returns the row. On MySQL it reports whether the row was inserted:
// an updated row counts as two.
func (t table[T]) upsert(ctx context.Context, db *DB, doing, statement string, args ...any) (row T, inserted bool, err error) {
	if db.options.Driver == MySQL {
		inserted, err = db.execCAS(ctx, doing, statement, args...)
		return row, inserted, err
	}
	_, err = db.write(ctx, doing, func(on *gorm.DB) (int64, error) {
		rows, err := t.read(on.Statement.ConnPool.QueryContext(ctx, statement+" RETURNING "+t.columns, args...))
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("%s: no row came back", doing)
		}
		if err == nil {
			row = rows[0]
		}
		return 1, db.translate(err)
	})
	return row, false, err
}

// conn is readDB for plain SQL.
func (db *DB) conn(ctx context.Context) gorm.ConnPool {
	return txOr(ctx, db.readPool).Statement.ConnPool
}

// translate converts an error of plain SQL to the one that GORM would return.
func (db *DB) translate(err error) error {
	if translator, ok := db.writePool.Dialector.(gorm.ErrorTranslator); ok && err != nil {
		return translator.Translate(err)
	}
	return err
}

// scalar reads the first row of a query of one column; it is zero if there is none.
func scalar[T any](ctx context.Context, db *DB, query string, args ...any) (value T, err error) {
	err = scanFirst(ctx, db, []any{&value}, query, args...)
	return value, err
}

// scanFirst reads the first row of a query, nothing if there is none.
func scanFirst(ctx context.Context, db *DB, into []any, query string, args ...any) (err error) {
	rows, err := db.conn(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return rows.Err()
	}
	return rows.Scan(into...)
}
