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

// shape says how the rows of a table are read and written on the hot paths,
// where GORM's reflection costs more than the database. fields are pointers to
// the row's members in the order of the columns.
type shape[T any] struct {
	table   string
	columns string
	fields  func(row *T) []any
}

var sessionShape = shape[model.Session]{
	"sessions",
	`id, user_id, company_type, product_type, product_group, epoch, active_slot, device_number, device_name, ip, source, login_at, last_seen_at, ` +
		`refresh_hash, gen, prev_gen, cur_jti, cur_iat, cur_exp, max_exp, minted_at, confirmed, idle_until, ends_at, ended_at, end_reason, ended_by`,
	func(s *model.Session) []any {
		return []any{
			&s.ID, &s.UserID, &s.CompanyType, &s.ProductType, &s.ProductGroup, &s.Epoch, &s.ActiveSlot, &s.DeviceNumber, &s.DeviceName, &s.IP,
			&s.Source, &s.LoginAt, &s.LastSeenAt, &s.RefreshHash, &s.Gen, &s.PrevGen, &s.CurJTI, &s.CurIat, &s.CurExp, &s.MaxExp, &s.MintedAt,
			&s.Confirmed, &s.IdleUntil, &s.EndsAt, &s.EndedAt, &s.EndReason, &s.EndedBy,
		}
	},
}

var slotShape = shape[model.Slot]{
	"slots", `user_id, product_group, epoch, login_at, session_id`,
	func(s *model.Slot) []any {
		return []any{&s.UserID, &s.ProductGroup, &s.Epoch, &s.LoginAt, &s.SessionID}
	},
}

var codeShape = shape[model.Code]{
	"codes", `id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, attempts, used_at, dead_at, delivery, provider, ` +
		`prefix_key, block_key`,
	func(c *model.Code) []any {
		return []any{
			&c.ID, &c.CompanyType, &c.Purpose, &c.NumberKey, &c.Seq, &c.CodeMAC, &c.IPKey, &c.SentAt, &c.ExpiresAt, &c.Attempts, &c.UsedAt,
			&c.DeadAt, &c.Delivery, &c.Provider, &c.PrefixKey, &c.BlockKey,
		}
	},
}

var userShape = shape[model.User]{
	"users", `id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, ` +
		`banned_until, ban_reason, created_at, deleted_at`,
	func(u *model.User) []any {
		return []any{
			&u.ID, &u.CompanyType, &u.MobileKey, &u.Mobile, &u.UserName, &u.NickName, &u.RealName, &u.AvatarURL, &u.FirstSource, &u.LastSource,
			&u.BannedUntil, &u.BanReason, &u.CreatedAt, &u.DeletedAt,
		}
	},
}

// newEventShape leaves the id to the database.
var newEventShape = shape[model.Event]{
	"events", `at, kind, user_id, session_id, actor, ip, device, request_id, detail`,
	func(e *model.Event) []any {
		return []any{&e.At, &e.Kind, &e.UserID, &e.SessionID, &e.Actor, &e.IP, &e.Device, &e.RequestID, &e.Detail}
	},
}

// list reads the rows for which the rest of the query holds: WHERE and so on.
func (s shape[T]) list(ctx context.Context, db *DB, rest string, args ...any) ([]T, error) {
	return s.read(db.conn(ctx).QueryContext(ctx, "SELECT "+s.columns+" FROM "+s.table+" "+rest, args...))
}

// read reads all rows and closes them.
func (s shape[T]) read(rows *sql.Rows, failed error) (all []T, err error) {
	if err := failed; err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row T
		if err := rows.Scan(s.fields(&row)...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// one is the first row of list; none is model.ErrNotFound.
func (s shape[T]) one(ctx context.Context, db *DB, rest string, args ...any) (row T, err error) {
	rows, err := s.list(ctx, db, rest, args...)
	if err != nil {
		return row, fault("read "+s.table, err)
	}
	if len(rows) == 0 {
		return row, model.ErrNotFound.Wrap(fmt.Errorf("read %s: no row", s.table))
	}
	return rows[0], nil
}

// insert adds rows.
func (s shape[T]) insert(ctx context.Context, db *DB, rows ...T) error {
	var args []any
	for i := range rows {
		args = append(args, s.fields(&rows[i])...)
	}
	row := "(?" + strings.Repeat(", ?", len(args)/len(rows)-1) + ")"
	_, err := db.exec(ctx, "insert into "+s.table,
		"INSERT INTO "+s.table+" ("+s.columns+") VALUES "+row+strings.Repeat(", "+row, len(rows)-1), args...)
	return err
}

// upsert runs an INSERT that changes the row instead where there is one. It
// returns the row where the database does (SQLite), else whether it was inserted
// (MySQL, where a row that is changed counts as two).
func (s shape[T]) upsert(ctx context.Context, db *DB, doing, statement string, args ...any) (row T, inserted bool, err error) {
	if db.driver == MySQL {
		n, err := db.exec(ctx, doing, statement, args...)
		return row, n == 1, err
	}
	_, err = db.change(ctx, doing, func(on *gorm.DB) (int64, error) {
		rows, err := s.read(on.Statement.ConnPool.QueryContext(ctx, statement+" RETURNING "+s.columns, args...))
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("%s: no row came back", doing)
		}
		if err == nil {
			row = rows[0]
		}
		return 1, db.translated(err)
	})
	return row, false, err
}

// conn is the transaction of the context, else the pool that reads, for SQL that
// GORM need not see.
func (db *DB) conn(ctx context.Context) gorm.ConnPool {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return tx.Statement.ConnPool
	}
	return db.read.Statement.ConnPool
}

// translated is an error of plain SQL as GORM would return it.
func (db *DB) translated(err error) error {
	if translator, ok := db.write.Dialector.(gorm.ErrorTranslator); ok && err != nil {
		return translator.Translate(err)
	}
	return err
}

// scalar reads the one value of the first row; none is false.
func scalar[T any](ctx context.Context, db *DB, query string, args ...any) (value T, found bool, err error) {
	rows, err := db.conn(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return value, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return value, false, rows.Err()
	}
	return value, true, rows.Scan(&value)
}
