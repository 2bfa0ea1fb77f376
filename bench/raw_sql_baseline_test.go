package bench

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"menshen/model"
)

// The statements of a login, as docs/architecture.md lists them, and of a refresh. aimSQL
// runs before the transaction. laterReads are those that a first login can do without,
// because it has just written what they would read.
var (
	laterReads = []int{2, 4}

	aimSQL   = `SELECT * FROM codes WHERE number_key = ? AND expires_at > ? ORDER BY seq DESC LIMIT 501`
	loginSQL = []string{
		`UPDATE codes SET attempts = attempts + 1, used_at = ? WHERE id = ? AND attempts < 5 AND used_at = 0 AND dead_at = 0`,
		`INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, 0, ?, ?, ?, ?, '', '', 'bench', 'bench', ?) ON DUPLICATE KEY UPDATE last_source = VALUES(last_source)`,
		`SELECT * FROM users WHERE company_type = 0 AND mobile_key = ? LIMIT 1`,
		`INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, 'app', 1, ?, ?)
ON DUPLICATE KEY UPDATE epoch = epoch + 1, login_at = GREATEST(login_at, VALUES(login_at)), session_id = VALUES(session_id)`,
		`SELECT * FROM slots LEFT JOIN sessions ON sessions.user_id = slots.user_id AND sessions.product_group = slots.product_group AND active_slot IS NOT NULL
WHERE slots.user_id = ? AND slots.product_group = 'app' ORDER BY sessions.epoch`,
		`INSERT INTO sessions (id, user_id, company_type, product_type, product_group, epoch, active_slot, device_number, device_name, ip, source,
login_at, last_seen_at, refresh_hash, gen, prev_gen, cur_jti, cur_iat, cur_exp, max_exp, minted_at, confirmed, idle_until, ends_at, ended_at, end_reason, ended_by)
VALUES (?, ?, 0, 0, 'app', 1, 0, '', 'bench', '192.0.2.1', 'bench', ?, ?, ?, 1, 0, ?, ?, ?, ?, ?, 0, ?, ?, 0, '', '')`,
		`INSERT INTO events (at, kind, user_id, session_id, actor, ip, device, request_id, detail)
VALUES (?, 'register', ?, '', 'user', '192.0.2.1', 'bench', '', '{"source":"bench","productType":"0"}'),
(?, 'login', ?, ?, 'user', '192.0.2.1', 'bench', '', '{"source":"bench","productType":"0"}')`,
	}
	refreshSQL = `UPDATE sessions SET gen = ?, prev_gen = ?, cur_jti = ?, cur_iat = ?, cur_exp = ?, max_exp = ?, minted_at = ?, confirmed = 0, idle_until = ?, last_seen_at = ?
WHERE id = ? AND gen = ? AND confirmed = ? AND active_slot IS NOT NULL`
)

// rawClients do with plain SQL what menshen does, each client on a connection of its
// own.
type rawClients struct {
	h    *harness
	pool *sql.DB
	idle chan *rawConn
}

type rawConn struct {
	conn                *sql.Conn
	aim, login, refresh []*sql.Stmt
}

func newRawClients(b *testing.B, h *harness) *rawClients {
	b.Helper()
	pool, err := sql.Open("mysql", h.dsn+"?clientFoundRows=true")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = pool.Close() })
	r := &rawClients{h: h, pool: pool, idle: make(chan *rawConn, parallel)}
	for range parallel {
		conn, err := pool.Conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := conn.ExecContext(b.Context(), "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"); err != nil {
			b.Fatal(err)
		}
		r.idle <- &rawConn{
			conn: conn, aim: prepared(b, conn, []string{aimSQL}), login: prepared(b, conn, loginSQL), refresh: prepared(b, conn, []string{refreshSQL}),
		}
	}
	return r
}

func prepared(b *testing.B, conn *sql.Conn, texts []string) (all []*sql.Stmt) {
	b.Helper()
	for _, text := range texts {
		stmt, err := conn.PrepareContext(b.Context(), text)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, stmt)
	}
	return all
}

// step is a statement with its arguments. The rows of one that reads are read and
// dropped.
type step struct {
	stmt *sql.Stmt
	args []any
}

// read runs a query and drops its rows.
func (s step) read(ctx context.Context) error {
	rows, err := s.stmt.QueryContext(ctx, s.args...)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (c *rawConn) transact(ctx context.Context, steps []step, reads ...int) error {
	if _, err := c.conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	for i, s := range steps {
		if !slices.Contains(reads, i) {
			if _, err := s.stmt.ExecContext(ctx, s.args...); err != nil {
				return err
			}
			continue
		}
		if err := s.read(ctx); err != nil {
			return err
		}
	}
	_, err := c.conn.ExecContext(ctx, "COMMIT")
	return err
}

func bind(stmts []*sql.Stmt, args ...[]any) (steps []step) {
	for i, stmt := range stmts {
		steps = append(steps, step{stmt, args[i]})
	}
	return steps
}

// logins prepares a first login each, with all statements of a later one, for codes that
// were inserted before.
func (r *rawClients) logins(b *testing.B, n int) func(i int) error { return r.loginsWith(b, n, true) }

// firstLogins prepares logins with only the statements that a first login needs.
func (r *rawClients) firstLogins(b *testing.B, n int) func(i int) error {
	return r.loginsWith(b, n, false)
}

func (r *rawClients) loginsWith(b *testing.B, n int, reads bool) func(i int) error {
	b.Helper()
	codes, numbers := make([]int64, n), make([][]byte, n)
	each(b, n, preparers, func(i int) error {
		codes[i], numbers[i] = randomID(), randomBytes(32)
		now := model.TimeOf(time.Now())
		_, err := r.pool.ExecContext(b.Context(), `INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at)
VALUES (?, 0, 'login', ?, ?, ?, '192.0.2.1', ?, ?)`, codes[i], numbers[i], now, randomBytes(32), now, now+600000)
		return err
	})
	return func(i int) error {
		c := <-r.idle
		defer func() { r.idle <- c }()
		now, user, session := model.TimeOf(time.Now()), randomID(), rand.Text()
		if err := (step{c.aim[0], []any{numbers[i], now - 86400000}}).read(b.Context()); err != nil {
			return err
		}
		second := now / 1000 * 1000
		steps := bind(c.login,
			[]any{now, codes[i]},
			[]any{user, numbers[i], randomBytes(40), fmt.Sprint("u", user), "用户8000", now},
			[]any{numbers[i]},
			[]any{user, now, session},
			[]any{user},
			[]any{session, user, now, now, randomBytes(32), rand.Text(), second, second, second, now, now, second},
			[]any{now, user, now, user, session})
		if reads {
			return c.transact(b.Context(), steps, laterReads...)
		}
		for _, i := range slices.Backward(laterReads) {
			steps = slices.Delete(steps, i, i+1)
		}
		return c.transact(b.Context(), steps)
	}
}

// refreshes prepares one conditional update and one signature each.
func (r *rawClients) refreshes(b *testing.B, _ int) func(i int) error {
	b.Helper()
	idle := make(chan model.Claims, parallel)
	each(b, parallel, preparers, func(int) error {
		login, err := r.h.logInNewUser(b.Context(), "")
		if err != nil {
			return err
		}
		claims, err := r.h.tokens.Verify(string(login.Access.Value))
		idle <- claims
		return err
	})
	return func(int) error {
		c, claims := <-r.idle, <-idle
		defer func() { r.idle <- c; idle <- claims }()
		now := model.TimeOf(time.Now())
		next := claims
		next.Gen, next.TokenID = claims.Gen+1, rand.Text()
		if _, err := r.h.tokens.Sign(next); err != nil {
			return err
		}
		result, err := c.refresh[0].ExecContext(b.Context(), next.Gen, claims.Gen, next.TokenID, now, now, now, now, now, now,
			claims.SessionID, claims.Gen, false)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("%d rows: %w", n, err)
		}
		claims = next
		return nil
	}
}

func randomBytes(n int) []byte {
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes)
	return bytes
}

func randomID() int64 {
	id, _ := rand.Int(rand.Reader, big.NewInt(1<<52))
	return id.Int64()
}
