package repository_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// userByID reads an account that must be there.
func userByID(t *testing.T, db *repository.DB, id int64) model.User {
	t.Helper()
	user, err := repository.Users{DB: db}.ByID(t.Context(), id)
	must(t, err)
	return user
}

func TestUsersSetBan(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		want, other := mustRegister(t, db, aUser(1, 'a')), mustRegister(t, db, aUser(2, 'b'))
		for _, ban := range []struct {
			until  model.Time
			reason string
		}{{t0, "spam"}, {model.Forever, "骚扰"}, {0, ""}} {
			must(t, users.SetBan(t.Context(), 1, ban.until, ban.reason))
			want.BannedUntil, want.BanReason = ban.until, ban.reason
			if diff := cmp.Diff(want, userByID(t, db, 1)); diff != "" {
				t.Errorf("ban until %d:\n%s", ban.until, diff)
			}
		}
		if diff := cmp.Diff(other, userByID(t, db, 2)); diff != "" {
			t.Errorf("another account changed:\n%s", diff)
		}
	})
}

func TestUsersRenumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		want := mustRegister(t, db, aUser(1, 'a'))
		mustRegister(t, db, aUser(2, 'b'))
		elsewhere := aUser(3, 'c')
		elsewhere.CompanyType = 0
		mustRegister(t, db, elsewhere)
		wantError(t, users.Renumber(t.Context(), 1, key('b'), []byte("new")), model.ErrNumberTaken)
		if diff := cmp.Diff(want, userByID(t, db, 1)); diff != "" {
			t.Errorf("a refusal changed the account:\n%s", diff)
		}
		must(t, users.Renumber(t.Context(), 1, key('c'), []byte("new"))) // another company has it, which is no matter
		want.MobileKey, want.Mobile, want.CredentialEpoch = key('c'), []byte("new"), 1
		if diff := cmp.Diff(want, userByID(t, db, 1)); diff != "" {
			t.Errorf("the account differs:\n%s", diff)
		}
		mustRegister(t, db, aUser(4, 'a')) // the old number is free
	})
}

func TestUsersRenumberHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		for i := range byte(24) {
			mustRegister(t, db, aUser(int64(i+1), i))
		}
		errs := raceErrors(24, func(i int) error {
			return repository.Users{DB: db}.Renumber(t.Context(), int64(i+1), key(0xff), []byte("new"))
		})
		wantOne(t, errs, model.ErrNumberTaken)
	})
}

func TestUsersErase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		for id, free := range map[int64]bool{1: true, 2: false} {
			user := mustRegister(t, db, aUser(id, byte(id)))
			must(t, users.SetBan(t.Context(), id, 5, "reason"))
			user.ExternalID, user.Metadata = new(string(rune('a'+id))), []byte(`{}`)
			must(t, users.Describe(t.Context(), user))
			must(t, users.Erase(t.Context(), id, free, t0+9))
			want := model.User{
				ID: id, CompanyType: user.CompanyType, MobileKey: user.MobileKey, BannedUntil: 5, BanReason: "reason",
				CreatedAt: user.CreatedAt, DeletedAt: t0 + 9, CredentialEpoch: 1,
			}
			if free {
				want.MobileKey = nil
			}
			if diff := cmp.Diff(want, userByID(t, db, id)); diff != "" {
				t.Errorf("free %v, what is left differs:\n%s", free, diff)
			}
		}
		mustRegister(t, db, aUser(11, 1)) // the freed number registers again, any number of times
		must(t, users.Erase(t.Context(), 11, true, t0))
		mustRegister(t, db, aUser(12, 1))
		if _, created, err := register(t, db, aUser(13, 2)); err != nil || created {
			t.Errorf("the kept number: created %v, error %v", created, err)
		}
		must(t, users.Free(t.Context(), 2))
		mustRegister(t, db, aUser(13, 2))
		must(t, users.Free(t.Context(), 12)) // one that was not erased keeps its number
		if user := userByID(t, db, 12); user.MobileKey == nil {
			t.Error("a live account lost its number")
		}
	})
}

func TestSessionsDisplacedSince(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		pc, foreign := aSession(7, 7, 7), aSession(8, 8, 8)
		pc.ProductGroup = "pc"
		insertSessions(t, db, aSession(1, 7, 1), aSession(2, 7, 2), aSession(3, 7, 3), aSession(4, 7, 4), pc, foreign)
		for id, end := range map[string]struct {
			reason model.Reason
			at     model.Time
		}{
			testID(1): {model.ReasonDisplaced, t0}, testID(2): {model.ReasonDisplaced, t0 + 1}, testID(3): {model.ReasonRelogin, t0 + 1},
			pc.ID: {model.ReasonDisplaced, t0 + 1}, foreign.ID: {model.ReasonDisplaced, t0 + 1},
		} {
			_, err := sessions.End(t.Context(), id, end.reason, "", end.at)
			must(t, err)
		}
		got, err := sessions.DisplacedSince(t.Context(), 7, "app", t0)
		if err != nil || len(got) != 1 || got[0].ID != testID(2) {
			t.Errorf("displaced are %v, error %v; want the second alone", got, err)
		}
	})
}

func TestSessionsAnonymise(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		mine, foreign := aSession(1, 7, 0), aSession(2, 8, 0)
		mine.DeviceNumber, mine.EndedBy = "A", "B"
		insertSessions(t, db, mine, foreign)
		must(t, sessions.Anonymise(t.Context(), 7))
		want := mine
		want.DeviceNumber, want.DeviceName, want.EndedBy, want.IP, want.Source = "", "", "", "", ""
		if diff := cmp.Diff(want, sessionByID(t, db, mine.ID)); diff != "" {
			t.Errorf("the session differs:\n%s", diff)
		}
		if diff := cmp.Diff(foreign, sessionByID(t, db, foreign.ID)); diff != "" {
			t.Errorf("another user's session changed:\n%s", diff)
		}
	})
}

func TestSessionsCountActive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		idle, over, other := aSession(3, 7, 3), aSession(4, 7, 4), aSession(5, 7, 5)
		idle.IdleUntil, over.EndsAt, other.ProductType = t0, t0, 0
		insertSessions(t, db, aSession(1, 7, 0), aSession(2, 8, 0), idle, over, other, aSession(6, 7, 6))
		_, err := sessions.End(t.Context(), testID(6), model.ReasonKicked, "", t0)
		must(t, err)
		got, err := sessions.CountActive(t.Context(), nil, t0)
		if diff := cmp.Diff(map[int32]int64{0: 1, 2: 2}, got); err != nil || diff != "" {
			t.Errorf("error %v, counts differ:\n%s", err, diff)
		}
	})
}
