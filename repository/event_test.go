package repository_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

func anEvent(kind model.Kind, userID int64, at model.Time) model.Event {
	return model.Event{At: at, Kind: kind, UserID: userID, SessionID: testID(1), Actor: "user"}
}

var exceptID = cmpopts.IgnoreFields(model.Event{}, "ID")

func TestEventsAppend(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events := repository.Events{DB: db}
		full := model.Event{
			At: t0, Kind: model.EventDeviceMismatch, UserID: 1<<51 + 1, SessionID: testID(1), Actor: "运维 👮", IP: "2001:db8::1",
			Device: strings.Repeat("机", 64), RequestID: "request-1", Detail: `{"source":"` + strings.Repeat("\\u0000", 64) + `"}`,
		}
		bare := model.Event{At: t0, Kind: model.EventCodeSent, UserID: full.UserID}
		must(t, events.Append(t.Context()))
		must(t, events.Append(t.Context(), full, bare))
		must(t, events.Append(t.Context(), anEvent(model.EventLogin, 2, t0-5)))
		got, err := events.List(t.Context(), model.EventFilter{UserID: full.UserID}, 10)
		if diff := cmp.Diff([]model.Event{bare, full}, got, exceptID); err != nil || diff != "" {
			t.Errorf("error %v, lines differ, newest first:\n%s", err, diff)
		}
		if len(got) == 2 && got[0].ID <= got[1].ID {
			t.Errorf("ids do not rise: %d after %d", got[0].ID, got[1].ID)
		}
		if got, err := events.List(t.Context(), model.EventFilter{UserID: full.UserID}, 1); err != nil || len(got) != 1 || got[0].Kind != bare.Kind {
			t.Errorf("limited to one: %v, error %v", got, err)
		}
		if got, err := events.List(t.Context(), model.EventFilter{UserID: 99}, 10); err != nil || len(got) != 0 {
			t.Errorf("a user without lines: %v, error %v", got, err)
		}
	})
}

func TestEventsBelongToTheirTransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events := repository.Events{DB: db}
		err := db.Within(t.Context(), thenFail(func(ctx context.Context) error {
			return events.Append(ctx, anEvent(model.EventLogin, 1, t0), anEvent(model.EventRegister, 1, t0))
		}))
		if n := queryCount(t, db, "SELECT COUNT(*) FROM events"); n != 0 || !errors.Is(err, errTest) {
			t.Errorf("%d lines of a refused act, error %v", n, err)
		}
	})
}

// TestEventsReturned: a registration counts once the account was used a day later, in its own
// period, and the rows are found by the indexes of time and of user.
func TestEventsReturned(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		events, began := repository.Events{DB: db}, t0-t0%1000
		for user, seen := range map[int64]time.Duration{1: repository.ReturnTime - 1, 2: repository.ReturnTime, 3: 30 * repository.ReturnTime, 4: 0} {
			line := anEvent(model.EventRegister, user, began)
			line.Detail, line.CompanyType = "of "+strconv.FormatInt(user, 10), new(int32(user))
			must(t, events.Append(t.Context(), line, anEvent(model.EventLogin, user, began)))
			session := aSession(int(user), user, 0)
			session.LastSeenAt = began.Add(seen)
			must(t, repository.Sessions{DB: db}.Insert(t.Context(), session))
		}
		again := aSession(9, 3, 1) // counts no second time
		again.LastSeenAt = began.Add(repository.ReturnTime)
		must(t, repository.Sessions{DB: db}.Insert(t.Context(), again))
		must(t, events.Append(t.Context(), anEvent(model.EventRegister, 2, began+1000)))

		second, third := model.EventCount{Bucket: began, Detail: "of 2", Count: 1}, model.EventCount{Bucket: began, Detail: "of 3", Count: 1}
		for _, tt := range []struct {
			companies model.Companies
			want      []model.EventCount
		}{{nil, []model.EventCount{second, third}}, {model.Companies{1, 3}, []model.EventCount{third}}} {
			got, err := events.Returned(t.Context(), model.EventSpan{From: began, To: began + 1000, Bucket: time.Second, Companies: tt.companies})
			must(t, err)
			if diff := cmp.Diff(tt.want, got, cmpopts.SortSlices(func(a, b model.EventCount) bool { return a.Detail < b.Detail })); diff != "" {
				t.Errorf("of companies %v:\n%s", tt.companies, diff)
			}
		}
		for i := range 10 {
			must(t, events.Append(t.Context(), slices.Repeat([]model.Event{anEvent(model.EventLogin, 1, began-model.Time(i)-1)}, 200)...))
		}
		execSQL(t, db, map[string]string{repository.SQLite: "ANALYZE events", repository.MySQL: "ANALYZE TABLE events"}[db.Driver()])
		query, args := repository.ReturnedQuery(model.EventSpan{From: began, To: began + 1000, Bucket: time.Second})
		plan := explain(t, db, query, args...)
		if !strings.Contains(plan, "events_at") || strings.Contains(plan, "SCAN events") || strings.Contains(plan, "SCAN sessions") {
			t.Errorf("the plan is %s", plan)
		}
	})
}

func TestEventsEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		ends := []model.Kind{
			model.EventDisplaced, model.EventRelogin, model.EventLogout, model.EventKick, model.EventBan, model.EventReuse,
			model.EventExpired,
		}
		others := []model.Kind{
			model.EventRegister, model.EventCodeSent, model.EventCodeFailed, model.EventLogin, model.EventUnban, model.EventRecover,
			model.EventAdopt, model.EventDeviceBound, model.EventDeviceMismatch, model.EventUserChanged, model.EventNumberChanged,
		}
		events := repository.Events{DB: db}
		for _, kind := range append(others, ends...) {
			must(t, events.Append(t.Context(), anEvent(kind, 1, t0)))
		}
		noSession := anEvent(model.EventBan, 1, t0)
		noSession.SessionID = ""
		must(t, events.Append(t.Context(), noSession, anEvent(model.EventKick, 1, t0-1)))
		got, err := events.Ends(t.Context(), t0-1)
		if err != nil || len(got) != len(ends) {
			t.Errorf("%d ends, error %v; want %d", len(got), err, len(ends))
		}
		for _, e := range got {
			if e.ID == 0 || e.SessionID != testID(1) || e.At != t0 {
				t.Errorf("id, session or time is missing: %+v", e)
			}
		}
	})
}
