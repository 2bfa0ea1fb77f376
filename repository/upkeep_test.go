package repository_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

func TestEventsList(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events := repository.Events{DB: db}
		for i := range 6 {
			e := anEvent([]model.Kind{model.EventLogin, model.EventLogout}[i%2], int64(i/2+1), t0+model.Time(i))
			e.Actor, e.RequestID = []string{"user", "operator", "Operator"}[i%3], fmt.Sprint(i)
			must(t, events.Append(t.Context(), e))
		}
		all, err := events.List(t.Context(), model.EventFilter{}, 10)
		must(t, err)
		if len(all) != 6 {
			t.Fatalf("%d lines", len(all))
		}
		tests := []struct {
			name   string
			filter model.EventFilter
			limit  int
			want   string // request ids
		}{
			{"all", model.EventFilter{}, 10, "543210"},
			{"limited", model.EventFilter{}, 2, "54"},
			{"a user", model.EventFilter{UserID: 2}, 10, "32"},
			{"a kind", model.EventFilter{Kind: model.EventLogin}, 10, "420"},
			{"an actor by bytes", model.EventFilter{Actor: "operator"}, 10, "41"},
			{"from, inclusive", model.EventFilter{From: t0 + 4}, 10, "54"},
			{"to, exclusive", model.EventFilter{To: t0 + 2}, 10, "10"},
			{"beyond a cursor", model.EventFilter{Before: all[2].ID}, 10, "210"},
			{"all at once", model.EventFilter{UserID: 2, Kind: model.EventLogin, From: t0, To: t0 + 5, Before: all[0].ID, Actor: "Operator"}, 10, "2"},
			{"none", model.EventFilter{UserID: 9}, 10, ""},
		}
		for _, tt := range tests {
			lines, err := events.List(t.Context(), tt.filter, tt.limit)
			must(t, err)
			got := ""
			for _, line := range lines {
				got += line.RequestID
			}
			if got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	})
}

func TestEventsCount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		add := func(kind model.Kind, detail string, at model.Time) {
			e := anEvent(kind, 1, at)
			e.Detail = detail
			must(t, repository.Events{DB: db}.Append(t.Context(), e))
		}
		add(model.EventLogin, "a", 999)
		add(model.EventLogin, "a", 1000)
		add(model.EventLogin, "a", 1999)
		add(model.EventLogin, "b", 1500)
		add(model.EventLogout, "a", 1500)
		add(model.EventLogout, "b", 2000)
		add(model.EventLogout, "b", 3000)
		noSession := anEvent(model.EventLogout, 1, 2001)
		noSession.SessionID = ""
		must(t, repository.Events{DB: db}.Append(t.Context(), noSession))
		got, err := repository.Events{DB: db}.Count(t.Context(), model.EventSpan{From: 1000, To: 3000, Bucket: time.Second})
		want := []model.EventCount{
			{Bucket: 1000, Kind: model.EventLogin, Detail: "a", Count: 2, Sessions: 2}, {Bucket: 1000, Kind: model.EventLogin, Detail: "b", Count: 1, Sessions: 1},
			{Bucket: 1000, Kind: model.EventLogout, Count: 1, Sessions: 1}, {Bucket: 2000, Kind: model.EventLogout, Count: 2, Sessions: 1},
		}
		order := cmpopts.SortSlices(func(a, b model.EventCount) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
		if diff := cmp.Diff(want, got, order); err != nil || diff != "" {
			t.Errorf("error %v, counts differ:\n%s", err, diff)
		}
	})
}

// endedSession returns a session that ended at t0+at and whose tokens expire at
// t0+exp.
func endedSession(n int, at, exp model.Time) model.Session {
	s := aSession(n, 7, 0)
	s.Seat, s.EndedAt, s.EndReason, s.MaxExp = nil, t0+at, model.ReasonKicked, t0+exp
	return s
}

func TestFeed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		feed := repository.Feed{DB: db}
		_, err := feed.Newest(t.Context())
		wantError(t, err, model.ErrNotFound)
		insertSessions(t, db, endedSession(1, 30, 500), endedSession(2, 10, 500), endedSession(3, 20, 500), endedSession(4, 5, 500),
			endedSession(5, 40, 100), aSession(6, 7, 0))
		untold := func(limit int) (ids []string) {
			sessions, err := feed.Unpublished(t.Context(), t0+5, t0+100, limit)
			must(t, err)
			for _, s := range sessions {
				if s.UserID != 7 || s.EndReason != model.ReasonKicked || s.EndedAt == 0 || s.MaxExp != t0+500 {
					t.Errorf("something is missing: %+v", s)
				}
				ids = append(ids, s.ID)
			}
			return ids
		}
		if diff := cmp.Diff([]string{testID(2), testID(3), testID(1)}, untold(10)); diff != "" {
			t.Errorf("untold are:\n%s", diff)
		}
		if diff := cmp.Diff([]string{testID(2)}, untold(1)); diff != "" {
			t.Errorf("limited, untold are:\n%s", diff)
		}
		told := []model.Revocation{
			{Seq: 1, SessionID: testID(2), UserID: 7, Reason: model.ReasonKicked, EndedAt: t0 + 10, Exp: t0 + 500},
			{Seq: 2, SessionID: testID(3), UserID: 7, Reason: model.ReasonBanned, EndedAt: t0 + 20, Exp: t0 + 300},
		}
		must(t, feed.Publish(t.Context(), told))
		if diff := cmp.Diff([]string{testID(1)}, untold(10)); diff != "" {
			t.Errorf("after two were told, untold are:\n%s", diff)
		}
		if newest, err := feed.Newest(t.Context()); err != nil || newest != told[1] {
			t.Errorf("the newest is %+v, error %v", newest, err)
		}
		for _, double := range []model.Revocation{{Seq: 2, SessionID: testID(1)}, {Seq: 3, SessionID: testID(3)}} {
			wantError(t, feed.Publish(t.Context(), []model.Revocation{double}), model.ErrUnavailable)
		}
		for _, tt := range []struct {
			seq   int64
			now   model.Time
			limit int
			want  []model.Revocation
		}{{0, t0, 10, told}, {0, t0, 1, told[:1]}, {1, t0, 10, told[1:]}, {2, t0, 10, nil}, {0, t0 + 300, 10, told[:1]}, {0, t0 + 500, 10, nil}} {
			got, err := feed.After(t.Context(), tt.seq, tt.now, tt.limit)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("after %d at %d: error %v\n%s", tt.seq, tt.now, err, diff)
			}
		}
		for _, want := range []int{1, 0} { // never the newest
			if n, err := feed.Purge(t.Context(), t0+1000, 10); err != nil || n != want {
				t.Errorf("purged %d, error %v; want %d", n, err, want)
			}
		}
		if newest, err := feed.Newest(t.Context()); err != nil || newest != told[1] {
			t.Errorf("after the purge the newest is %+v, error %v", newest, err)
		}
	})
}

func TestJanitorOverdue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		janitor := repository.Janitor{DB: db}
		idle, over, noted := aSession(2, 7, 2), aSession(4, 7, 4), endedSession(5, 0, 0)
		idle.IdleUntil, over.EndsAt, noted.IdleUntil = t0, t0, t0
		insertSessions(t, db, aSession(1, 7, 1), idle, aSession(3, 7, 3), over, noted)
		for _, tt := range []struct{ stretch, limit, rounds int }{{2, 2, 3}, {5, 10, 2}, {10, 10, 1}, {10, 1, 3}} {
			var found []string
			next, rounds := "", 0
			for {
				sessions, after, err := janitor.Overdue(t.Context(), next, t0, tt.stretch, tt.limit)
				must(t, err)
				for _, s := range sessions {
					found = append(found, s.ID)
				}
				if rounds++; after == "" || rounds > 5 {
					break
				}
				next = after
			}
			if diff := cmp.Diff([]string{testID(2), testID(4)}, found); diff != "" || rounds != tt.rounds {
				t.Errorf("%+v: %d rounds, overdue are:\n%s", tt, rounds, diff)
			}
		}
	})
}

func TestJanitorRemoves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		janitor := repository.Janitor{DB: db}
		insertSessions(t, db, aSession(99, 7, 99)) // an active one is never removed
		for i := range 5 {
			at := t0 + model.Time(i)
			insertCodes(t, db, aCode(int64(i+1), byte(i), 1, at))
			insertSessions(t, db, endedSession(i, model.Time(i), 0))
			must(t, repository.Events{DB: db}.Append(t.Context(), anEvent(model.EventLogin, 1, at)))
			must(t, repository.Codes{DB: db}.Gate(t.Context(), append([]byte{0, ' '}, key(byte(i))...), at))
		}
		for table, remove := range map[string]func(ctx context.Context, before model.Time, limit int) (int, error){
			"codes": janitor.Codes, "sessions": janitor.Sessions, "events": janitor.Events, "gates": janitor.Gates,
		} {
			for _, step := range []struct{ limit, want int }{{2, 2}, {2, 1}, {2, 0}} { // those of t0, t0+1 and t0+2
				if n, err := remove(t.Context(), t0+3, step.limit); err != nil || n != step.want {
					t.Errorf("%s: removed %d, error %v; want %d", table, n, err, step.want)
				}
			}
			want := map[bool]int64{true: 3, false: 2}[table == "sessions"]
			if n := queryCount(t, db, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("%s: %d are left, want %d", table, n, want)
			}
		}
	})
}

// TestJanitorReadsByIndex: no search for old rows reads a whole table.
func TestJanitorReadsByIndex(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	for table, old := range map[string]string{
		"codes": "sent_at < 1", "gates": "touched_at < 1", "sessions": "ended_at > 0 AND ended_at < 1", "events": "at < 1", "feed": "exp <= 1",
	} {
		var id, parent, unused int
		var plan string
		must(t, pool(db).QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN SELECT 1 FROM "+table+" WHERE "+old).Scan(&id, &parent, &unused, &plan))
		if !strings.HasPrefix(plan, "SEARCH") {
			t.Errorf("%s: %s", table, plan)
		}
	}
}

// TestJanitorsAtOnce: several instances clean at the same time.
func TestJanitorsAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		for i := range 40 {
			insertCodes(t, db, aCode(int64(i+1), byte(i), 1, t0))
		}
		removed := make([]int, 8)
		for _, err := range raceErrors(len(removed), func(i int) (err error) {
			removed[i], err = repository.Janitor{DB: db}.Codes(t.Context(), t0+1, 50)
			return err
		}) {
			must(t, err)
		}
		sum := 0
		for _, n := range removed {
			sum += n
		}
		if sum != 40 {
			t.Errorf("%d rows were removed, want 40", sum)
		}
	})
}
