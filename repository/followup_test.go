package repository_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestFollowUpTurns: one of concurrent calls has the turn, until it is released or its time is
// over.
func TestFollowUpTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		f := repository.FollowUps{DB: db}
		claim := func(now model.Time) (turn model.FollowUp, winners int64) {
			t.Helper()
			var n atomic.Int64
			var won atomic.Pointer[model.FollowUp]
			race(8, func(int) {
				turn, ours, err := f.Claim(t.Context(), "a", now, now+100)
				if err != nil {
					t.Error(err)
				}
				if ours {
					n.Add(1)
					won.Store(&turn)
				}
			})
			if kept := won.Load(); kept != nil {
				turn = *kept
			}
			return turn, n.Load()
		}
		first, n := claim(t0)
		if diff := cmp.Diff(model.FollowUp{Name: "a", DueAt: t0 + 100}, first); diff != "" || n != 1 {
			t.Errorf("%d have the first turn\n%s", n, diff)
		}
		if _, n := claim(t0 + 99); n != 0 {
			t.Errorf("%d have a turn that is another's", n)
		}
		late, n := claim(t0 + 100)
		if n != 1 {
			t.Errorf("%d have the turn of one that stopped", n)
		}
		first.At = t0
		must(t, f.Release(t.Context(), first, t0)) // too late: the turn is another's
		late.At, late.MessageID, late.Failures = t0+1, 7, 3
		must(t, f.Release(t.Context(), late, t0+150))
		if _, n := claim(t0 + 149); n != 0 {
			t.Errorf("%d have a turn before it is due", n)
		}
		late.DueAt = t0 + 250
		if next, n := claim(t0 + 150); n != 1 || next != late {
			t.Errorf("%d have the next turn, %+v, want %+v", n, next, late)
		}
		if _, ours, err := f.Claim(t.Context(), "b", t0, t0+1); !ours || err != nil {
			t.Errorf("another task: %t, error %v", ours, err)
		}
	})
}

// TestFollowUpSent: the messages come in the order of their times, each once, however many are
// read at once.
func TestFollowUpSent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		f, m := repository.FollowUps{DB: db}, repository.Messages{DB: db}
		for i, at := range []model.Time{5, 3, 3, 4, 3, 9, 2} {
			message := aMessage(int64(i), 'a', 7)
			message.At = t0 + at
			must(t, m.Insert(t.Context(), 0, message))
		}
		other := aMessage(8, 'b', 7)
		other.At, other.Provider = t0+3, "aliyun"
		must(t, m.Insert(t.Context(), 0, other))
		for limit := 1; limit <= 6; limit++ {
			var ids []string
			turn := model.FollowUp{At: t0 + 3}
			for {
				found, err := f.Sent(t.Context(), turn, "webhook", t0+8, limit)
				must(t, err)
				for _, message := range found {
					ids = append(ids, message.MessageID)
					turn.At, turn.MessageID = message.At, message.ID
				}
				if len(found) < limit {
					break
				}
			}
			if want := []string{"m1", "m2", "m4", "m3", "m0"}; !slices.Equal(ids, want) {
				t.Errorf("%d at once: %q, want %q", limit, ids, want)
			}
		}
	})
}
