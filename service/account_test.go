package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// renumber asks for another number with the two codes.
func (in *instance) renumber(c client, mobile string, newCode, oldCode model.Secret) (service.Profile, error) {
	profile, _, err := in.users.ChangeNumber(in.t.Context(), service.NumberChange{
		Mobile: mobile, NewCode: newCode, OldCode: oldCode, Session: in.row(c), Caller: model.Caller{},
	})
	return profile, err
}

// changeCodes are codes for a change, for the old number and the new one.
func (in *instance) changeCodes(from, to string, company int32) (oldCode, newCode model.Secret) {
	in.t.Helper()
	oldCode = in.receiveCode(from, forPurpose(model.PurposeChange), forCompany(company))
	return oldCode, in.receiveCode(to, forPurpose(model.PurposeChange), forCompany(company))
}

// bannedAgain bans an account once more after it was found by its number.
type bannedAgain struct{ service.UserStore }

func (b bannedAgain) ByNumber(ctx context.Context, company int32, key []byte) (model.User, error) {
	user, err := b.UserStore.ByNumber(ctx, company, key)
	if err == nil {
		err = b.SetBan(ctx, user.ID, model.Forever, "again")
	}
	return user, err
}

func TestChangeNumber(t *testing.T) {
	runScenes(t,
		scene{"with a code of each", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(alice, on(pc))
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			in.clearEvents()
			profile, err := in.renumber(c, "+86 139-0013-9000", newCode, oldCode)
			if err != nil || profile.Mobile != bob || profile.User.ID != c.User.User.ID || profile.User.NickName != "用户8000" {
				t.Errorf("profile %+v, error %v", profile, err)
			}
			in.wantEvents(model.EventNumberChanged)
			in.wantAlive(c, other) // sessions go on
			in.useToken(in.refreshed(c))
			if again := in.logIn(bob); again.User.User.ID != c.User.User.ID {
				t.Error("the new number leads to another account")
			}
			if fresh := in.logIn(alice); fresh.User.User.ID == c.User.User.ID {
				t.Error("the old number still leads to the account")
			}
			_, err = in.renumber(c, "13700137000", newCode, oldCode)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"wrong codes", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			login := in.receiveCode(alice)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			_, err := in.renumber(c, bob, newCode, wrong)
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, bob, wrong, oldCode)
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, bob, oldCode, newCode) // crossed
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, bob, newCode, login)
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, "13700137000", newCode, oldCode) // of another number
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, "12345", newCode, oldCode)
			wantFailure(t, err, model.ErrMobile)
			_, err = in.renumber(c, bob, newCode, oldCode) // they are unused
			wantFailure(t, err, model.ErrCode)             // but five attempts at the old one were made
			if again := in.logIn(alice); again.User.User.ID != c.User.User.ID {
				t.Error("the number changed")
			}
		}},
		scene{"the new number's code is redeemed meanwhile", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			in.users.Endings.Tx = &lost{Tx: in.users.Endings.Tx, between: func() {
				in.sql("UPDATE codes SET used_at = 1 WHERE number_key = ?", in.vault.NumberKey(model.NewMobile("+86"+bob)))
			}}
			_, err := in.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, model.ErrCode)
			if n := in.count("SELECT 10 * attempts + spared FROM codes WHERE used_at = 0"); n != 11 {
				t.Errorf("the comparison of the old number's code is counted and spared as %d, want 11", n)
			}
		}},
		scene{"a number that has an account", func(t *testing.T, in *instance) {
			c, owner := in.logIn(alice), in.logIn(bob)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			for range 2 { // the codes stay unused
				_, err := in.renumber(c, bob, newCode, oldCode)
				wantFailure(t, err, model.ErrNumberTaken)
			}
			if n := in.count("SELECT COUNT(*) FROM codes WHERE used_at <> 0 AND purpose = 'change'"); n != 0 {
				t.Errorf("%d codes are used up", n)
			}
			for mobile, want := range map[string]client{alice: c, bob: owner} {
				if again := in.logIn(mobile); again.User.User.ID != want.User.User.ID {
					t.Errorf("%s leads to another account", mobile)
				}
			}
		}},
		scene{"a number that has an account in another company", func(t *testing.T, in *instance) {
			c := in.logIn(alice, inCompany(1))
			in.logIn(bob)
			oldCode, newCode := in.changeCodes(alice, bob, 1)
			_, err := in.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, nil)
		}},
		scene{"a number that a ban kept", func(t *testing.T, in *instance) {
			for name, change := range map[string]func(c client, to string, code model.Secret) error{
				"the owner": func(c client, to string, code model.Secret) error {
					return errOf(in.renumber(c, to, code, in.receiveCode(c.User.Mobile, forPurpose(model.PurposeChange))))
				},
				"an operator": func(c client, to string, code model.Secret) error {
					return errOf(in.admin.Renumber(t.Context(), root, c.id(), service.LostNumber{Mobile: to, Code: code, Reason: "r"}))
				},
			} {
				to := in.number()
				gone, c := in.logIn(to).id(), in.logIn(in.number())
				_, err := in.admin.Ban(t.Context(), root, gone, "r", model.TimeOf(in.clock.Now()).Add(time.Hour))
				wantFailure(t, err, nil)
				_, err = in.admin.Delete(t.Context(), root, gone, "r")
				wantFailure(t, err, nil)
				wantFailure(t, change(c, to, in.receiveCode(to, forPurpose(model.PurposeChange))), model.ErrNumberTaken)
				in.clock.Advance(time.Hour)
				owner, operator := in.users.Store, in.admin.Users
				in.users.Store, in.admin.Users = bannedAgain{owner}, bannedAgain{operator}
				wantFailure(t, change(c, to, in.receiveCode(to, forPurpose(model.PurposeChange))), model.ErrNumberTaken)
				in.users.Store, in.admin.Users = owner, operator
				wantFailure(t, change(c, to, in.receiveCode(to, forPurpose(model.PurposeChange))), nil)
				if found := in.logIn(to).id(); found != c.id() {
					t.Errorf("%s: the number leads to %d, want %d", name, found, c.id())
				}
			}
		}},
		scene{"two accounts want one number", func(t *testing.T, in *instance) {
			const wanted = "13700137000"
			a, b := in.logIn(alice), in.logIn(bob)
			code := in.receiveCode(wanted, forPurpose(model.PurposeChange))
			codes := []model.Secret{in.receiveCode(alice, forPurpose(model.PurposeChange)), in.receiveCode(bob, forPurpose(model.PurposeChange))}
			errs := race(2, func(i int) error { return errOf(in.renumber([]client{a, b}[i], wanted, code, codes[i])) })
			wantWinners(t, errs, 1, model.ErrCode)
		}},
		scene{"the log refuses", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			restore := in.failEvents(model.EventNumberChanged)
			_, err := in.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, model.ErrUnavailable)
			restore()
			_, err = in.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, nil)
		}},
	)
}

func TestDeleteAccount(t *testing.T) {
	remove := func(in *instance, c client, code model.Secret) (int, error) {
		return in.users.Delete(in.t.Context(), service.Deletion{Session: in.row(c), Code: code, Caller: model.Caller{RequestID: "r"}})
	}
	runScenes(t,
		scene{"after a change of number", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.renumberTo(c, alice, bob)
			in.deleteAccount(c, bob)
			for what, query := range map[string]string{
				"messages": "SELECT COUNT(*) FROM messages WHERE mobile <> '' OR number_key IS NOT NULL", "events": "SELECT COUNT(*) FROM events WHERE detail LIKE '%****%'",
			} {
				if n := in.count(query); n != 0 {
					t.Errorf("%d %s show a number", n, what)
				}
			}
		}},
		scene{"with its code", func(t *testing.T, in *instance) {
			c, other, foreign := in.logIn(alice, withDevice("A", "Phone")), in.logIn(alice, on(pc)), in.logIn(alice, inCompany(1))
			code := in.receiveCode(alice, forPurpose(model.PurposeDelete))
			in.clearEvents()
			if n, err := remove(in, c, code); err != nil || n != 2 {
				t.Errorf("ended %d, error %v; want 2", n, err)
			}
			in.wantEvents(model.EventLogout, model.EventLogout, model.EventUserDeleted)
			in.wantEnded(c, model.ReasonLoggedOut, "")
			in.wantAlive(foreign)
			result, err := in.check(c, "A")
			if err != nil || result.IsLogin || result.State != service.LoginState(model.ReasonLoggedOut) {
				t.Errorf("a check says %+v, error %v", result, err)
			}
			_, err = in.refresh(other.access, other.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			_, err = in.users.ByID(t.Context(), c.User.User.ID)
			wantFailure(t, err, model.ErrSessionEnded)
			name := "new"
			_, err = in.users.Change(t.Context(), in.row(c), service.Changes{NickName: &name}, model.Caller{})
			wantFailure(t, err, model.ErrSessionEnded)
			dump := strings.Join(in.texts("SELECT CONCAT(user_name, nick_name, real_name, first_source, last_source) FROM users WHERE id = ?", c.User.User.ID), "")
			if dump != "" || in.count("SELECT COUNT(*) FROM sessions WHERE device_number = 'A' OR device_name = 'Phone'") != 0 {
				t.Errorf("personal data is left: %q", dump)
			}
			if again := in.logIn(alice); again.User.User.ID == c.User.User.ID {
				t.Error("the number was not freed")
			}
		}},
		scene{"with a wrong code or one of another purpose", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			login := in.receiveCode(alice)
			in.receiveCode(alice, forPurpose(model.PurposeDelete))
			for _, code := range []model.Secret{wrong, login, ""} {
				_, err := remove(in, c, code)
				wantFailure(t, err, model.ErrCode)
			}
			in.wantAlive(c)
		}},
		scene{"a ban keeps the number until it is over", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			code := in.receiveCode(alice, forPurpose(model.PurposeDelete))
			in.sql("UPDATE users SET banned_until = ?", int64(in.clock.Time().Add(time.Hour)))
			_, err := remove(in, c, code)
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, in.receiveCode(alice))
			wantFailure(t, err, model.ErrBanned)
			in.clock.Advance(time.Hour)
			if again := in.logIn(alice); again.User.User.ID == c.User.User.ID || again.User.User.DeletedAt != 0 {
				t.Errorf("the account is %+v", again.User.User)
			}
		}},
		scene{"16 at once", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			code := in.receiveCode(alice, forPurpose(model.PurposeDelete))
			session := in.row(c)
			won := 0
			for _, err := range race(16, func(int) error {
				return errOf(in.users.Delete(t.Context(), service.Deletion{Session: session, Code: code}))
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
		scene{"against logins: no session outlives it", func(t *testing.T, in *instance) {
			for i := range 8 {
				mobile := numbered(i)
				c := in.logIn(mobile)
				session := in.row(c)
				login, code := in.receiveCode(mobile), in.receiveCode(mobile, forPurpose(model.PurposeDelete))
				for _, err := range race(2, func(j int) error {
					if j == 0 {
						return errOf(in.users.Delete(t.Context(), service.Deletion{Session: session, Code: code}))
					}
					return errOf(in.tryLogIn(mobile, login, on(pc)))
				}) {
					wantFailure(t, err, nil)
				}
				if n := in.count("SELECT COUNT(*) FROM sessions WHERE user_id = ? AND active_slot IS NOT NULL", c.User.User.ID); n != 0 {
					t.Errorf("%d sessions of a deleted account live", n)
				}
			}
		}},
		scene{"the log refuses", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			code := in.receiveCode(alice, forPurpose(model.PurposeDelete))
			restore := in.failEvents(model.EventUserDeleted)
			_, err := remove(in, c, code)
			wantFailure(t, err, model.ErrUnavailable)
			in.wantAlive(c)
			restore()
			if n, err := remove(in, c, code); err != nil || n != 1 {
				t.Errorf("ended %d, error %v", n, err)
			}
		}},
	)
}
