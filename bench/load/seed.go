package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"menshen/model"
	"menshen/service/token"
)

const checkPath = "/wx/pc/check-login-status"

// signer makes access tokens with the deployments' key.
type signer struct {
	tokens token.Issuer
	now    model.Time
}

func newSigner(keyDir string) (*signer, error) {
	keys, err := token.OpenKeys(token.KeyOptions{
		Dir: keyDir, Algorithm: token.AlgES256, RefreshTTL: 720 * time.Hour, Generate: true, Now: time.Now,
	})
	return &signer{
		tokens: token.Issuer{Keys: keys, Name: "menshen", Audience: []string{"menshen"}, Now: time.Now},
		now:    model.TimeOf(time.Now()).Second(),
	}, err
}

// seeded is a live session in the table. All that is known of it follows from
// its number, so that tables of millions need no memory here.
type seeded struct{ number int }

// id is random as ids are, and the same in each run.
func (s seeded) id(prefix string) string {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(s.number)) //nolint:gosec // not negative
	sum := sha256.Sum256(append([]byte(prefix), number[:]...))
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}

func (s seeded) user() int64    { return 1<<40 + int64(s.number) }
func (s seeded) device() string { return fmt.Sprintf("device-%08d", s.number) }

// request is the check of the session.
func (s *signer) request(session seeded) ([]byte, error) {
	token, err := s.tokens.Sign(model.Claims{
		UserID: session.user(), SessionID: session.id("sid"), TokenID: session.id("jti"), Gen: 1,
		IssuedAt: s.now, ExpiresAt: s.now.Add(time.Hour),
	})
	return get(checkPath+"?deviceNumber="+session.device(), token), err
}

// requests are the checks of n sessions that are spread evenly over a table of size.
func (s *signer) requests(n, size int) ([][]byte, error) {
	made := make([][]byte, min(n, size))
	errs := make([]error, runtime.NumCPU())
	var all sync.WaitGroup
	for part := range errs {
		all.Go(func() {
			for i := part; i < len(made) && errs[part] == nil; i += len(errs) {
				made[i], errs[part] = s.request(seeded{i * size / len(made)})
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Rows of one statement, statements of one transaction.
const (
	seedRows       = 500
	seedStatements = 40
)

const seedColumns = `INSERT INTO sessions (id, user_id, device_number, cur_jti, refresh_hash, cur_iat, cur_exp, max_exp,
 login_at, last_seen_at, minted_at, idle_until, ends_at, company_type, product_type, product_group, epoch, active_slot,
 device_name, ip, source, gen, prev_gen, confirmed) VALUES `

// seed fills the table of sessions of a deployment whose process has made it.
func (d *deployment) seed(ctx context.Context, size int, now model.Time) error {
	db, err := sql.Open(d.sqlDriver(), d.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	// In the order of the key: pages are filled once.
	sessions := make([]int, size)
	ids := make([]string, size)
	for i := range sessions {
		sessions[i], ids[i] = i, seeded{i}.id("sid")
	}
	slices.SortFunc(sessions, func(a, b int) int { return strings.Compare(ids[a], ids[b]) })
	for rest := sessions; len(rest) > 0; {
		n := min(len(rest), seedRows*seedStatements)
		if err := seedBatch(ctx, db, rest[:n], now); err != nil {
			return fmt.Errorf("seed sessions: %w", err)
		}
		rest = rest[n:]
	}
	return d.settle(ctx, db)
}

// settle has the rows written to where they stay, so that nothing of the seeding
// is left to be done while checks are measured.
func (d *deployment) settle(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	statements := []string{"PRAGMA wal_checkpoint(TRUNCATE)"}
	if d.driver != driverSQLite {
		statements = []string{"ANALYZE TABLE sessions", "FLUSH TABLES sessions FOR EXPORT", "UNLOCK TABLES"}
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func seedBatch(ctx context.Context, db *sql.DB, sessions []int, now model.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	day := 24 * time.Hour
	row := fmt.Sprintf("(?,?,?,?,?,%d,%d,%d,%d,%d,%d,%d,%d,0,0,'app',1,0,'load','127.0.0.1','load',1,0,1)",
		now, now.Add(time.Hour), now.Add(time.Hour), now, now, now, now.Add(14*day), now.Add(30*day))
	for chunk := range slices.Chunk(sessions, seedRows) {
		args := make([]any, 0, 5*len(chunk))
		for _, number := range chunk {
			s := seeded{number}
			hash := sha256.Sum256([]byte(s.id("refresh")))
			args = append(args, s.id("sid"), s.user(), s.device(), s.id("jti"), hash[:])
		}
		if _, err := tx.ExecContext(ctx, seedColumns+strings.Repeat(row+",", len(chunk)-1)+row, args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// deploySeeded is a deployment with a table of live sessions, not running.
func (s *stage) deploySeeded(ctx context.Context, size int) (*deployment, error) {
	d, err := s.deploy(ctx, fmt.Sprintf("sessions_%d", size), s.checkDriver())
	if err != nil {
		return nil, err
	}
	p, err := d.start(ctx) // makes the schema
	if err != nil {
		return nil, err
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	return d, d.seed(ctx, size, s.signer.now)
}

// meter reads the process and the database of the deployment.
func (d *deployment) meter(p *process) meter {
	if d.driver == driverSQLite {
		return meter{server: p.pid}
	}
	server := d.stage.servers[d.driver]
	return meter{server: p.pid, database: server.process, db: server.DB}
}
