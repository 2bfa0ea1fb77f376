package service_test

import (
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// renumber asks for another number with the two codes.
func (w *world) renumber(c client, mobile string, newCode, oldCode model.Secret) (service.Profile, error) {
	return w.users.ChangeNumber(w.t.Context(), service.NumberChange{
		Mobile: mobile, NewCode: newCode, OldCode: oldCode, Session: w.row(c), Caller: service.Caller{},
	})
}

// changeCodes are codes for a change, for the old number and the new one.
func (w *world) changeCodes(from, to string, company int32) (oldCode, newCode model.Secret) {
	w.t.Helper()
	oldCode = w.code(from, forPurpose(model.PurposeChange), forCompany(company))
	return oldCode, w.code(to, forPurpose(model.PurposeChange), forCompany(company))
}

func TestChangeNumber(t *testing.T) {
	play(t,
		scene{"with a code of each", func(t *testing.T, w *world) {
			c, other := w.logIn(alice), w.logIn(alice, on(pc))
			oldCode, newCode := w.changeCodes(alice, bob, 0)
			w.quiet()
			profile, err := w.renumber(c, "+86 139-0013-9000", newCode, oldCode)
			if err != nil || profile.Mobile != bob || profile.User.ID != c.User.User.ID || profile.User.NickName != "用户8000" {
				t.Errorf("profile %+v, error %v", profile, err)
			}
			w.wantEvents(model.EventNumberChanged)
			w.wantAlive(c, other) // sessions go on
			w.use(w.renewed(c))
			if again := w.logIn(bob); again.User.User.ID != c.User.User.ID {
				t.Error("the new number leads to another account")
			}
			if fresh := w.logIn(alice); fresh.User.User.ID == c.User.User.ID {
				t.Error("the old number still leads to the account")
			}
			_, err = w.renumber(c, "13700137000", newCode, oldCode)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"wrong codes", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			login := w.code(alice)
			oldCode, newCode := w.changeCodes(alice, bob, 0)
			_, err := w.renumber(c, bob, newCode, wrong)
			wantFailure(t, err, model.ErrCode)
			_, err = w.renumber(c, bob, wrong, oldCode)
			wantFailure(t, err, model.ErrCode)
			_, err = w.renumber(c, bob, oldCode, newCode) // crossed
			wantFailure(t, err, model.ErrCode)
			_, err = w.renumber(c, bob, newCode, login)
			wantFailure(t, err, model.ErrCode)
			_, err = w.renumber(c, "13700137000", newCode, oldCode) // of another number
			wantFailure(t, err, model.ErrCode)
			_, err = w.renumber(c, "12345", newCode, oldCode)
			wantFailure(t, err, model.ErrMobile)
			_, err = w.renumber(c, bob, newCode, oldCode) // they are unused
			wantFailure(t, err, model.ErrCode)            // but five attempts at the old one were made
			if again := w.logIn(alice); again.User.User.ID != c.User.User.ID {
				t.Error("the number changed")
			}
		}},
		scene{"a number that has an account", func(t *testing.T, w *world) {
			c, owner := w.logIn(alice), w.logIn(bob)
			oldCode, newCode := w.changeCodes(alice, bob, 0)
			for range 2 { // the codes stay unused
				_, err := w.renumber(c, bob, newCode, oldCode)
				wantFailure(t, err, model.ErrNumberTaken)
			}
			if n := w.count("SELECT COUNT(*) FROM codes WHERE used_at <> 0 AND purpose = 'change'"); n != 0 {
				t.Errorf("%d codes are used up", n)
			}
			for mobile, want := range map[string]client{alice: c, bob: owner} {
				if again := w.logIn(mobile); again.User.User.ID != want.User.User.ID {
					t.Errorf("%s leads to another account", mobile)
				}
			}
		}},
		scene{"a number that has an account in another company", func(t *testing.T, w *world) {
			c := w.logIn(alice, inCompany(1))
			w.logIn(bob)
			oldCode, newCode := w.changeCodes(alice, bob, 1)
			_, err := w.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, nil)
		}},
		scene{"two accounts want one number", func(t *testing.T, w *world) {
			const wanted = "13700137000"
			a, b := w.logIn(alice), w.logIn(bob)
			code := w.code(wanted, forPurpose(model.PurposeChange))
			codes := []model.Secret{w.code(alice, forPurpose(model.PurposeChange)), w.code(bob, forPurpose(model.PurposeChange))}
			errs := race(2, func(i int) error { return second(w.renumber([]client{a, b}[i], wanted, code, codes[i])) })
			wantWinners(t, errs, 1, model.ErrCode)
		}},
		scene{"the log refuses", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			oldCode, newCode := w.changeCodes(alice, bob, 0)
			restore := w.failEvents(model.EventNumberChanged)
			_, err := w.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, model.ErrUnavailable)
			restore()
			_, err = w.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, nil)
		}},
	)
}

func TestDeleteAccount(t *testing.T) {
	remove := func(w *world, c client, code model.Secret) (int, error) {
		return w.users.Delete(w.t.Context(), w.row(c), code, service.Caller{RequestID: "r"})
	}
	play(t,
		scene{"with its code", func(t *testing.T, w *world) {
			c, other, foreign := w.logIn(alice, withDevice("A", "Phone")), w.logIn(alice, on(pc)), w.logIn(alice, inCompany(1))
			code := w.code(alice, forPurpose(model.PurposeDelete))
			w.quiet()
			if n, err := remove(w, c, code); err != nil || n != 2 {
				t.Errorf("ended %d, error %v; want 2", n, err)
			}
			w.wantEvents(model.EventLogout, model.EventLogout, model.EventUserDeleted)
			w.wantEnded(c, model.ReasonLoggedOut, "")
			w.wantAlive(foreign)
			result, err := w.check(c, "A")
			if err != nil || result.IsLogin || result.State != service.LoginState(model.ReasonLoggedOut) {
				t.Errorf("a check says %+v, error %v", result, err)
			}
			_, err = w.refresh(other.access, other.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			_, err = w.users.ByID(t.Context(), c.User.User.ID)
			wantFailure(t, err, model.ErrSessionEnded)
			name := "new"
			_, err = w.users.Change(t.Context(), w.row(c), service.Changes{NickName: &name}, service.Caller{})
			wantFailure(t, err, model.ErrSessionEnded)
			dump := strings.Join(w.texts("SELECT CONCAT(user_name, nick_name, real_name, first_source, last_source) FROM users WHERE id = ?", c.User.User.ID), "")
			if dump != "" || w.count("SELECT COUNT(*) FROM sessions WHERE device_number = 'A' OR device_name = 'Phone'") != 0 {
				t.Errorf("personal data is left: %q", dump)
			}
			if again := w.logIn(alice); again.User.User.ID == c.User.User.ID {
				t.Error("the number was not freed")
			}
		}},
		scene{"with a wrong code or one of another purpose", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			login := w.code(alice)
			w.code(alice, forPurpose(model.PurposeDelete))
			for _, code := range []model.Secret{wrong, login, ""} {
				_, err := remove(w, c, code)
				wantFailure(t, err, model.ErrCode)
			}
			w.wantAlive(c)
		}},
		scene{"a ban keeps the number until it is over", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			code := w.code(alice, forPurpose(model.PurposeDelete))
			w.sql("UPDATE users SET banned_until = ?", int64(w.clock.time().Add(time.Hour)))
			_, err := remove(w, c, code)
			wantFailure(t, err, nil)
			_, err = w.try(alice, w.code(alice))
			wantFailure(t, err, model.ErrBanned)
			w.clock.advance(time.Hour)
			if again := w.logIn(alice); again.User.User.ID == c.User.User.ID || again.User.User.DeletedAt != 0 {
				t.Errorf("the account is %+v", again.User.User)
			}
		}},
		scene{"16 at once", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			code := w.code(alice, forPurpose(model.PurposeDelete))
			session := w.row(c)
			won := 0
			for _, err := range race(16, func(int) error {
				return second(w.users.Delete(t.Context(), session, code, service.Caller{}))
			}) {
				if err == nil {
					won++
				} else if number := model.AsFailure(err).Code; number != model.ErrCode.Code && number != model.ErrSessionEnded.Code {
					t.Errorf("a loser got %v", err)
				}
			}
			if won != 1 {
				t.Errorf("%d deleted the account", won)
			}
		}},
		scene{"against logins: no session outlives it", func(t *testing.T, w *world) {
			for i := range 8 {
				mobile := numbered(i)
				c := w.logIn(mobile)
				session := w.row(c)
				login, code := w.code(mobile), w.code(mobile, forPurpose(model.PurposeDelete))
				for _, err := range race(2, func(j int) error {
					if j == 0 {
						return second(w.users.Delete(t.Context(), session, code, service.Caller{}))
					}
					return second(w.try(mobile, login, on(pc)))
				}) {
					wantFailure(t, err, nil)
				}
				if n := w.count("SELECT COUNT(*) FROM sessions WHERE user_id = ? AND active_slot IS NOT NULL", c.User.User.ID); n != 0 {
					t.Errorf("%d sessions of a deleted account live", n)
				}
			}
		}},
		scene{"the log refuses", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			code := w.code(alice, forPurpose(model.PurposeDelete))
			restore := w.failEvents(model.EventUserDeleted)
			_, err := remove(w, c, code)
			wantFailure(t, err, model.ErrUnavailable)
			w.wantAlive(c)
			restore()
			if n, err := remove(w, c, code); err != nil || n != 1 {
				t.Errorf("ended %d, error %v", n, err)
			}
		}},
	)
}
