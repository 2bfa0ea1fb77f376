package repository_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

func insertSessions(t *testing.T, db *repository.DB, sessions ...model.Session) {
	t.Helper()
	for _, s := range sessions {
		must(t, repository.Sessions{DB: db}.Insert(t.Context(), s))
	}
}

func sessionByID(t *testing.T, db *repository.DB, id string) model.Session {
	t.Helper()
	s, err := repository.Sessions{DB: db}.ByID(t.Context(), id)
	must(t, err)
	return s
}

func TestSessionsInsertKeepsEveryField(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		plain := aSession(1, 7, 0)
		full := aSession(2, 7, 1)
		full.DeviceNumber, full.PrevGen, full.Confirmed = "设备 １１ \U0001F4F1", 4, true
		ended := aSession(3, 7, 0)
		ended.Seat, ended.EndedAt, ended.EndReason, ended.EndedBy = nil, t0, model.ReasonLoggedOut, "新手机"
		for _, want := range []model.Session{plain, full, ended} {
			insertSessions(t, db, want)
			if diff := cmp.Diff(want, sessionByID(t, db, want.ID)); diff != "" {
				t.Errorf("session %s differs:\n%s", want.ID, diff)
			}
		}
	})
}

// TestSessionsOnePlaceOneSession: the database refuses a second session in one place.
func TestSessionsOnePlaceOneSession(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		insertSessions(t, db, aSession(1, 7, 0))
		err := sessions.Insert(t.Context(), aSession(2, 7, 0))
		if !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("a second session in one place: error %v", err)
		}
		_, err = pool(db).ExecContext(t.Context(), `INSERT INTO sessions SELECT '`+testID(3)+`', user_id, company_type, product_type, product_group,
epoch + 1, active_slot, device_number, device_name, ip, source, login_at, last_seen_at, refresh_hash, gen, prev_gen, cur_jti, cur_iat,
cur_exp, max_exp, minted_at, confirmed, idle_until, ends_at, ended_at, end_reason, ended_by FROM sessions WHERE id = '`+testID(1)+`'`)
		if err == nil {
			t.Error("SQL inserted a second active session in one place")
		}
		_, err = pool(db).ExecContext(t.Context(), "UPDATE sessions SET active_slot = 0 WHERE id = '"+testID(1)+"'")
		must(t, err)
		otherGroup := aSession(4, 7, 0)
		otherGroup.ProductGroup = "pc"
		insertSessions(t, db, otherGroup, aSession(5, 8, 0), aSession(6, 7, 1)) // another group, user, place
		for n := 1; n <= 2; n++ {                                               // any number of ended ones share no place
			ended, err := sessions.End(t.Context(), testID(n), model.ReasonDisplaced, "", t0)
			if err != nil || ended != (n == 1) {
				t.Errorf("session %d: ended %v, error %v", n, ended, err)
			}
			insertSessions(t, db, aSession(10+n, 7, int32(n+1)))
		}
		insertSessions(t, db, aSession(20, 7, 0)) // the place is free again
		for n := range 2 {
			if ended, err := sessions.End(t.Context(), testID(11+n), model.ReasonDisplaced, "", t0); err != nil || !ended {
				t.Errorf("ended %v, error %v", ended, err)
			}
		}
		revived := "UPDATE sessions SET active_slot = 0 WHERE id = '" + testID(1) + "'"
		if _, err := pool(db).ExecContext(t.Context(), revived); err == nil {
			t.Error("SQL revived a session in a place that is taken")
		}
	})
}

func TestSessionsInsertHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		errs := raceErrors(32, func(i int) error {
			return repository.Sessions{DB: db}.Insert(t.Context(), aSession(i, 7, 0))
		})
		wantOne(t, errs, model.ErrUnavailable)
	})
}

func TestSessionsAdvance(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		tests := []struct {
			name string
			in   model.LoginSequence
			want model.LoginSequence
		}{
			{"the first login", model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0, SessionID: testID(1)},
				model.LoginSequence{UserID: 1, ProductGroup: "app", Epoch: 1, LoginAt: t0, SessionID: testID(1)}},
			{"a later one", model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0 + 5, SessionID: testID(2)},
				model.LoginSequence{UserID: 1, ProductGroup: "app", Epoch: 2, LoginAt: t0 + 5, SessionID: testID(2)}},
			{"the clock was set back", model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0 - 1e6, SessionID: testID(3)},
				model.LoginSequence{UserID: 1, ProductGroup: "app", Epoch: 3, LoginAt: t0 + 5, SessionID: testID(3)}},
			{"another group", model.LoginSequence{UserID: 1, ProductGroup: "pc", LoginAt: t0, SessionID: testID(4)},
				model.LoginSequence{UserID: 1, ProductGroup: "pc", Epoch: 1, LoginAt: t0, SessionID: testID(4)}},
			{"a group is bytes", model.LoginSequence{UserID: 1, ProductGroup: "APP", LoginAt: t0, SessionID: testID(5)},
				model.LoginSequence{UserID: 1, ProductGroup: "APP", Epoch: 1, LoginAt: t0, SessionID: testID(5)}},
			{"another user", model.LoginSequence{UserID: 2, ProductGroup: "app", LoginAt: t0, SessionID: testID(6)},
				model.LoginSequence{UserID: 2, ProductGroup: "app", Epoch: 1, LoginAt: t0, SessionID: testID(6)}},
		}
		for _, tt := range tests {
			var got model.LoginSequence
			must(t, db.Within(t.Context(), func(ctx context.Context) (err error) {
				got, _, err = sessions.Advance(ctx, tt.in)
				return err
			}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
			if again, err := sessions.LoginSequence(t.Context(), tt.in.UserID, tt.in.ProductGroup); err != nil || again != got {
				t.Errorf("%s: read again it is %+v, error %v", tt.name, again, err)
			}
		}
		_, err := sessions.LoginSequence(t.Context(), 3, "app")
		wantError(t, err, model.ErrNotFound)
		_, err = sessions.LoginSequence(t.Context(), 1, "")
		wantError(t, err, model.ErrNotFound)
	})
}

// TestSessionsAdvanceReadsActive: a login gets the sessions that may end for it, whole.
func TestSessionsAdvanceReadsActive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		pc := aSession(3, 7, 0)
		pc.ProductGroup = "pc"
		insertSessions(t, db, aSession(2, 7, 1), aSession(1, 7, 0), pc, aSession(4, 8, 0), aSession(5, 7, 2))
		_, err := sessions.End(t.Context(), testID(5), model.ReasonLoggedOut, "", t0)
		must(t, err)
		for epoch, want := range [][]model.Session{1: nil, 2: {aSession(1, 7, 0), aSession(2, 7, 1)}, 3: {aSession(1, 7, 0), aSession(2, 7, 1)}} {
			if epoch == 0 {
				continue
			}
			must(t, db.Within(t.Context(), func(ctx context.Context) error {
				sequence, active, err := sessions.Advance(ctx, model.LoginSequence{UserID: 7, ProductGroup: "app", LoginAt: t0, SessionID: testID(epoch)})
				if diff := cmp.Diff(want, active, cmpopts.EquateEmpty()); diff != "" || sequence.Epoch != int64(epoch) {
					t.Errorf("login %d has the epoch %d and reads:\n%s", epoch, sequence.Epoch, diff)
				}
				return err
			}))
		}
		_, err = sessions.End(t.Context(), testID(1), model.ReasonLoggedOut, "", t0)
		must(t, err)
		_, err = sessions.End(t.Context(), testID(2), model.ReasonLoggedOut, "", t0)
		must(t, err)
		must(t, db.Within(t.Context(), func(ctx context.Context) error {
			sequence, active, err := sessions.Advance(ctx, model.LoginSequence{UserID: 7, ProductGroup: "app", LoginAt: t0 - 5, SessionID: testID(9)})
			want := model.LoginSequence{UserID: 7, ProductGroup: "app", Epoch: 4, LoginAt: t0, SessionID: testID(9)}
			if sequence != want || len(active) != 0 {
				t.Errorf("without an active session it is %+v, with %d sessions", sequence, len(active))
			}
			return err
		}))
	})
}

// TestSessionsAdvanceHasNoGap: concurrent logins get the epochs 1 to N, each
// while it holds the slot.
func TestSessionsAdvanceHasNoGap(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		const n = 48
		epochs := make([]int64, n)
		for _, err := range raceErrors(n, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				slot, _, err := repository.Sessions{DB: db}.Advance(ctx, model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0, SessionID: testID(i)})
				epochs[i] = slot.Epoch
				if err == nil && slot.SessionID != testID(i) {
					return errors.New("another login wrote the slot")
				}
				return err
			})
		}) {
			must(t, err)
		}
		seen := map[int64]bool{}
		for _, epoch := range epochs {
			if epoch < 1 || epoch > n || seen[epoch] {
				t.Fatalf("epochs are %v", epochs)
			}
			seen[epoch] = true
		}
	})
}

func TestSessionsRolledBackAdvanceLeavesNoGap(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		advance := func(ctx context.Context) error {
			_, _, err := repository.Sessions{DB: db}.Advance(ctx, model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0, SessionID: testID(1)})
			return err
		}
		must(t, db.Within(t.Context(), advance))
		if err := db.Within(t.Context(), thenFail(advance)); !errors.Is(err, errTest) {
			t.Fatal(err)
		}
		must(t, db.Within(t.Context(), advance))
		if epoch := queryCount(t, db, "SELECT epoch FROM slots"); epoch != 2 {
			t.Errorf("epoch is %d, want 2", epoch)
		}
	})
}

func TestSessionsLists(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		pc := aSession(4, 7, 0)
		pc.ProductGroup = "pc"
		insertSessions(t, db, aSession(3, 7, 0), pc, aSession(1, 7, 1), aSession(2, 7, 2), aSession(5, 8, 0))
		for n := 100; n < 105; n++ { // ended ones, two at one moment
			insertSessions(t, db, aSession(n, 7, int32(n)))
			_, err := sessions.End(t.Context(), testID(n), model.ReasonLoggedOut, "", t0+model.Time(min(n, 103)))
			must(t, err)
		}
		active := func(group string) (ids []string) {
			list, err := sessions.Active(t.Context(), 7, group)
			must(t, err)
			for _, s := range list {
				ids = append(ids, s.ID)
			}
			return ids
		}
		for group, want := range map[string][]string{
			"app": {testID(1), testID(2), testID(3)}, "pc": {testID(4)}, "APP": nil, "app ": nil,
			"": {testID(1), testID(2), testID(3), testID(4)},
		} {
			if diff := cmp.Diff(want, active(group), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("active in group %q:\n%s", group, diff)
			}
		}
		ended, err := sessions.Ended(t.Context(), 7, 3)
		must(t, err)
		if len(ended) != 3 || ended[2].ID != testID(102) || ended[0].EndedAt < ended[1].EndedAt {
			t.Errorf("the newest three ended are %+v", ended)
		}
		if list, err := sessions.Ended(t.Context(), 8, 3); err != nil || len(list) != 0 {
			t.Errorf("a user without ended ones has %d, error %v", len(list), err)
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		want := aSession(1, 7, 0)
		insertSessions(t, db, want, aSession(2, 7, 1))
		ended, err := sessions.End(t.Context(), want.ID, model.ReasonDisplaced, "新手机", t0+9)
		if err != nil || !ended {
			t.Fatalf("ended %v, error %v", ended, err)
		}
		want.Seat, want.EndedAt, want.EndReason, want.EndedBy = nil, t0+9, model.ReasonDisplaced, "新手机"
		if ended, err = sessions.End(t.Context(), want.ID, model.ReasonKicked, "operator", t0+99); err != nil || ended {
			t.Errorf("ended twice: %v, error %v", ended, err)
		}
		if diff := cmp.Diff(want, sessionByID(t, db, want.ID)); diff != "" {
			t.Errorf("the first reason does not stay:\n%s", diff)
		}
		for _, id := range []string{"", testID(9), "SESSION"} {
			if ended, err := sessions.End(t.Context(), id, model.ReasonKicked, "", t0); err != nil || ended {
				t.Errorf("unknown %q: ended %v, error %v", id, ended, err)
			}
		}
		if s := sessionByID(t, db, testID(2)); s.EndedAt != 0 {
			t.Error("another session ended too")
		}
	})
}

func TestSessionsEndHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		insertSessions(t, db, aSession(1, 7, 0))
		reasons := []model.Reason{model.ReasonDisplaced, model.ReasonKicked, model.ReasonLoggedOut, model.ReasonExpired}
		won := make([]model.Reason, 32)
		for _, err := range raceErrors(len(won), func(i int) error {
			reason := reasons[i%len(reasons)]
			ended, err := repository.Sessions{DB: db}.End(t.Context(), testID(1), reason, "", t0)
			if ended {
				won[i] = reason
			}
			return err
		}) {
			must(t, err)
		}
		stays := sessionByID(t, db, testID(1)).EndReason
		winners := 0
		for _, reason := range won {
			if reason == "" {
				continue
			}
			winners++
			if reason != stays {
				t.Errorf("%s won, but %s stays", reason, stays)
			}
		}
		if winners != 1 {
			t.Errorf("%d calls ended one session", winners)
		}
	})
}

func TestSessionsByIDIsBytes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		insertSessions(t, db, aSession(1, 7, 0))
		for _, id := range []string{"", "session0000000000000000001", testID(1) + " ", testID(1) + "\x00", testID(1)[:25], "ＳESSION0000000000000000001", "%", "' OR 1=1 --"} {
			_, err := repository.Sessions{DB: db}.ByID(t.Context(), id)
			wantError(t, err, model.ErrNotFound)
		}
	})
}

// TestClusterWrites: writers on two nodes of a cluster are kept apart by a row that
// both change, not by a lock. So each login changes the row of its account, and
// LockLoginSequence that of the slot.
func TestClusterWrites(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		mustRegister(t, db, aUser(1, 'a'))
		_, _, err := repository.Sessions{DB: db}.Advance(t.Context(), model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: 1, SessionID: "s"})
		must(t, err)
		for range 2 {
			mustRegister(t, db, aUser(1, 'a'))
			must(t, repository.Sessions{DB: db}.LockLoginSequence(t.Context(), 1, "app"))
		}
		for _, column := range []string{"logins FROM users", "locks FROM slots"} {
			var n int
			must(t, pool(db).QueryRowContext(t.Context(), "SELECT "+column).Scan(&n))
			if n != 2 {
				t.Errorf("%s is %d, want 2", column, n)
			}
		}
	})
}
