package repository_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// folded returns an event that is folded by the minute and by.
func folded(at model.Time, by ...string) model.Event {
	return anEvent(model.EventDeviceMismatch, 1, at).Folded(time.Minute, by...)
}

// details lists the details of all events, newest first.
func details(t *testing.T, db *repository.DB) (all []string) {
	t.Helper()
	events, err := repository.Events{DB: db}.List(t.Context(), model.EventFilter{}, 100)
	must(t, err)
	for _, event := range events {
		all = append(all, event.Detail)
	}
	return all
}

func TestEventsFold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events := repository.Events{DB: db}
		minute := t0 - t0%60_000
		first := folded(minute, "a")
		first.IP, first.Detail = "192.0.2.1", `{"provider":"p"}`
		must(t, events.Append(t.Context(), first))
		must(t, events.Append(t.Context(), folded(minute+59_999, "a"), anEvent(model.EventLogin, 1, minute), folded(minute, "b"), folded(minute, "a")))
		must(t, events.Append(t.Context(), folded(minute+60_000, "a")))
		want := []string{`{"count":1}`, `{"count":1}`, "", `{"count":3,"provider":"p"}`}
		if diff := cmp.Diff(want, details(t, db)); diff != "" {
			t.Errorf("details differ, newest first:\n%s", diff)
		}
		got, err := events.List(t.Context(), model.EventFilter{UserID: 1, To: minute + 1}, 10)
		first.Detail = want[3]
		if err != nil || len(got) != 3 {
			t.Fatalf("%d lines, error %v", len(got), err)
		}
		if diff := cmp.Diff(first, got[2], exceptID); diff != "" {
			t.Errorf("not the first of the repeats:\n%s", diff)
		}
		counts, err := events.Count(t.Context(), model.EventSpan{From: minute, To: minute + 60_000, Bucket: time.Minute})
		must(t, err)
		for _, c := range counts {
			if c.Kind == model.EventDeviceMismatch && (c.Count != 4 || c.Sessions != 2) {
				t.Errorf("%+v, want 4 events in 2 lines", c)
			}
		}
	})
}

// TestEventsFoldInTransaction: an act that is rolled back counts nothing, a nested one
// neither.
func TestEventsFoldInTransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		add := func(ctx context.Context) error {
			return repository.Events{DB: db}.Append(ctx, folded(t0, "a"), folded(t0, "a"))
		}
		for want := range 2 { // without a row, and with one
			if err := db.Within(t.Context(), thenFail(add)); err == nil {
				t.Error("no error")
			}
			must(t, db.Within(t.Context(), func(ctx context.Context) error {
				_ = db.Within(ctx, thenFail(add))
				return nil
			}))
			if n := queryCount(t, db, "SELECT COUNT(*) FROM events"); n != int64(want) {
				t.Errorf("%d lines, want %d", n, want)
			}
			must(t, db.Within(t.Context(), add))
		}
		if diff := cmp.Diff([]string{`{"count":4}`}, details(t, db)); diff != "" {
			t.Errorf("details differ:\n%s", diff)
		}
	})
}

// TestEventsFoldRaces: concurrent repeats leave one row with their number, beside events
// of other folds and in transactions that lock them in another order.
func TestEventsFoldRaces(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events := repository.Events{DB: db}
		for _, err := range raceErrors(12, func(i int) error {
			a, b := folded(t0, "a"), folded(t0, "b")
			if i%2 == 0 {
				a, b = b, a
			}
			if err := events.Append(t.Context(), folded(t0, "a")); err != nil {
				return err
			}
			return events.Append(t.Context(), a, anEvent(model.EventLogin, 1, t0), b)
		}) {
			must(t, err)
		}
		count := map[string]int{}
		for _, detail := range details(t, db) {
			count[detail]++
		}
		if diff := cmp.Diff(map[string]int{`{"count":24}`: 1, `{"count":12}`: 1, "": 12}, count); diff != "" {
			t.Errorf("details differ:\n%s", diff)
		}
	})
}

// TestJanitorRemovesFolds: a count is removed with its event.
func TestJanitorRemovesFolds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		for _, at := range []model.Time{t0, t0 + 60_000, t0 + 120_000} {
			must(t, repository.Events{DB: db}.Append(t.Context(), folded(at), folded(at), anEvent(model.EventLogin, 1, at)))
		}
		removed, err := repository.Janitor{DB: db}.Events(t.Context(), t0+60_001, 10)
		must(t, err)
		if n := queryCount(t, db, "SELECT COUNT(*) FROM folds"); n != 1 || removed != 4 {
			t.Errorf("%d rows were removed, %d counts are left; want 4 and 1", removed, n)
		}
		if diff := cmp.Diff([]string{"", `{"count":2}`}, details(t, db)); diff != "" {
			t.Errorf("details differ, newest first:\n%s", diff)
		}
	})
}
