package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestLateCommits ends sessions in transactions that stay open for a while.
// Meanwhile other events with higher ids are committed and read. After the commit
// every instance applies the late events, whatever their ids and times.
func TestLateCommits(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	db := a.d.sql(t)
	for _, open := range []time.Duration{0, time.Second, 3 * time.Second, 5 * time.Second} {
		t.Run(fmt.Sprintf("open for %s", open), func(t *testing.T) {
			t.Parallel()
			const sessions = 4
			var hidden []*session
			var streams []*stream
			for range sessions {
				s := a.login(t, "", "device")
				hidden = append(hidden, s)
				a.cacheSession(t, s)
				b.cacheSession(t, s)
				streams = append(streams, b.events(t, s))
			}

			// An id that is older than those of all events that were read.
			burnt, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			event := "INSERT INTO events (id, at, kind, user_id, session_id, actor, ip, device, request_id, detail) VALUES (?, ?, 'kick', ?, ?, 'e2e', '', '', '', '')"
			var ids []int64
			for range sessions {
				result, err := burnt.ExecContext(t.Context(), event, nil, 1, 1, "")
				if err != nil {
					t.Fatal(err)
				}
				id, _ := result.LastInsertId()
				ids = append(ids, id)
			}
			if err := burnt.Rollback(); err != nil {
				t.Fatal(err)
			}

			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			for n, s := range hidden {
				at := begin.UnixMilli()
				if _, err := tx.ExecContext(t.Context(), "UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = 'kicked', ended_by = 'e2e' WHERE id = ?", at, s.id); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(t.Context(), event, ids[n], at, s.user, s.id); err != nil {
					t.Fatal(err)
				}
			}
			for others := 0; others == 0 || time.Since(begin) < open; others++ {
				other := a.login(t, "", "device") // a later id that is committed, and heard of, earlier
				b.cacheSession(t, other)
				kicked := time.Now()
				a.kick(t, other)
				b.awaitState(t, other, "kicked", kicked)
				b.wantState(t, hidden[0], "active")
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}

			committed := time.Now()
			took := make(delays, 2*sessions)
			runAtOnce(2*sessions, func(n int) { took[n] = []*instance{a, b}[n%2].awaitState(t, hidden[n/2], "kicked", committed) })
			for _, stream := range streams {
				stream.wantEnded(t, "kicked", visible)
			}
			t.Logf("open for %s: seen after %s", open, took)
		})
	}
}
