package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// overtaken is a Tx before whose next transaction something else happens.
type overtaken struct {
	service.Tx
	by func()
}

func (o *overtaken) Within(ctx context.Context, act func(ctx context.Context) error) error {
	if by := o.by; by != nil {
		o.by = nil
		by()
	}
	return o.Tx.Within(ctx, act)
}

// holders are the accounts that have a number, in all companies.
func (w *world) holders(mobile string) []string {
	w.t.Helper()
	number := model.NewMobile("+86" + mobile)
	return w.texts("SELECT CAST(id AS CHAR(20)) FROM users WHERE mobile_key IN (?, ?)", w.vault.MobileKey(0, number), w.vault.MobileKey(1, number))
}

// TestAccountOvertaken: what happens between the codes and the change.
func TestAccountOvertaken(t *testing.T) {
	ban := func(w *world, c client) {
		w.t.Helper()
		operators := service.Operators{Users: w.users.Store, Sessions: w.sessions, Vault: w.vault, Numbers: w.users.Numbers, Catalog: w.catalog, Now: w.clock.Now}
		if _, err := operators.Ban(w.t.Context(), service.Operator{Name: "op"}, c.User.User.ID, "spam", 0); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, overtake := range map[string]struct {
		by   func(w *world, c client)
		want *model.Failure
	}{
		"a ban": {ban, model.ErrSessionEnded},
		"a logout": {func(w *world, c client) {
			if _, err := w.logOut(c, service.ScopeCurrent); err != nil {
				w.t.Fatal(err)
			}
		}, model.ErrSessionEnded},
		"a login elsewhere": {func(w *world, _ client) { w.logIn(alice) }, model.ErrDisplaced},
	} {
		play(t,
			scene{name + " before a change", func(t *testing.T, w *world) {
				c := w.logIn(alice)
				oldCode, newCode := w.changeCodes(alice, bob, 0)
				w.users.Tx = &overtaken{w.db, func() { overtake.by(w, c) }}
				_, err := w.renumber(c, bob, newCode, oldCode)
				wantFailure(t, err, overtake.want)
				if len(w.holders(alice)) != 1 || len(w.holders(bob)) != 0 {
					t.Errorf("the old number has accounts %v, the new one %v", w.holders(alice), w.holders(bob))
				}
			}},
			scene{name + " before a deletion", func(t *testing.T, w *world) {
				c := w.logIn(alice)
				code, session := w.code(alice, forPurpose(model.PurposeDelete)), w.row(c)
				w.sessions.Tx = &overtaken{w.db, func() { overtake.by(w, c) }}
				_, err := w.users.Delete(t.Context(), session, code, service.Caller{})
				wantFailure(t, err, overtake.want)
				if len(w.holders(alice)) != 1 || w.count("SELECT COUNT(*) FROM users WHERE deleted_at <> 0") != 0 {
					t.Error("the account is gone")
				}
			}},
		)
	}
}

// TestAccountRaces: two at once leave every number with one account at most, and
// no session without one.
func TestAccountRaces(t *testing.T) {
	whole := func(t *testing.T, w *world, mobiles ...string) {
		t.Helper()
		for _, mobile := range mobiles {
			if ids := w.holders(mobile); len(ids) > 1 {
				t.Errorf("%s has accounts %v", mobile, ids)
			}
		}
		if n := w.count("SELECT COUNT(*) FROM sessions JOIN users ON users.id = user_id WHERE active_slot IS NOT NULL AND deleted_at <> 0"); n != 0 {
			t.Errorf("%d sessions outlive their account", n)
		}
		for _, id := range w.texts("SELECT CAST(id AS CHAR(20)) FROM users WHERE (mobile IS NULL) <> (mobile_key IS NULL)") {
			t.Errorf("account %s has a number without a key, or the reverse", id)
		}
	}
	play(t,
		scene{"a change against a login with the new number", func(t *testing.T, w *world) {
			for i := range 8 {
				from, to := numbered(2*i), numbered(2*i+1)
				c := w.logIn(from)
				oldCode, newCode := w.changeCodes(from, to, 0)
				login := w.code(to)
				var came service.LoginResult
				errs := race(2, func(j int) (err error) {
					if j == 0 {
						return second(w.renumber(c, to, newCode, oldCode))
					}
					came, err = w.try(to, login, on(pc))
					return err
				})
				wantFailure(t, errs[1], nil)
				changed := errs[0] == nil
				if !changed {
					wantFailure(t, errs[0], model.ErrNumberTaken)
				}
				if same := came.User.User.ID == c.User.User.ID; same != changed {
					t.Errorf("the number changed: %v, and the login came to the same account: %v", changed, same)
				}
				whole(t, w, from, to)
			}
		}},
		scene{"a change against a deletion", func(t *testing.T, w *world) {
			for i := range 8 {
				from, to := numbered(2*i), numbered(2*i+1)
				c := w.logIn(from)
				oldCode, newCode := w.changeCodes(from, to, 0)
				code, session := w.code(from, forPurpose(model.PurposeDelete)), w.row(c)
				errs := race(2, func(j int) error {
					if j == 0 {
						return second(w.renumber(c, to, newCode, oldCode))
					}
					return second(w.users.Delete(t.Context(), session, code, service.Caller{}))
				})
				switch {
				case errs[0] == nil:
					wantFailure(t, errs[1], model.ErrCode) // of a number that is not the account's any more
				case errs[1] == nil:
					wantFailure(t, errs[0], model.ErrSessionEnded)
				default:
					t.Errorf("errors %v", errs)
				}
				whole(t, w, from, to)
			}
		}},
		scene{"two accounts want one number, each with a code of its own", func(t *testing.T, w *world) {
			const wanted = "13700137000"
			a, b := w.logIn(alice), w.logIn(bob)
			code := w.code(wanted, forPurpose(model.PurposeChange))
			codes := []model.Secret{w.code(alice, forPurpose(model.PurposeChange)), w.code(bob, forPurpose(model.PurposeChange))}
			_, err := w.renumber(a, wanted, code, codes[0])
			wantFailure(t, err, nil)
			_, err = w.renumber(b, wanted, w.code(wanted, forPurpose(model.PurposeChange)), codes[1])
			wantFailure(t, err, model.ErrNumberTaken)
			whole(t, w, alice, bob, wanted)
		}},
		scene{"two swap their numbers", func(t *testing.T, w *world) {
			a, b := w.logIn(alice), w.logIn(bob)
			oldA, newA := w.changeCodes(alice, bob, 0)
			errs := race(2, func(i int) error {
				if i == 0 {
					return second(w.renumber(a, bob, newA, oldA))
				}
				return second(w.renumber(b, alice, oldA, newA))
			})
			for _, err := range errs {
				wantFailure(t, err, model.ErrNumberTaken)
			}
			whole(t, w, alice, bob)
		}},
		scene{"a deletion against refreshes", func(t *testing.T, w *world) {
			for i := range 8 {
				c := w.logIn(numbered(i))
				code, session := w.code(numbered(i), forPurpose(model.PurposeDelete)), w.row(c)
				errs := race(3, func(j int) error {
					if j == 0 {
						return second(w.users.Delete(t.Context(), session, code, service.Caller{}))
					}
					return second(w.refresh(c.access, c.Refresh.Value))
				})
				wantFailure(t, errs[0], nil)
				for _, err := range errs[1:] {
					if err != nil {
						wantFailure(t, err, model.ErrSessionEnded)
					}
				}
				_, err := w.refresh(c.access, c.Refresh.Value)
				wantFailure(t, err, model.ErrSessionEnded)
				whole(t, w, numbered(i))
			}
		}},
	)
}

// TestAccountAudit: what the log keeps of a change and of a deletion.
func TestAccountAudit(t *testing.T) {
	play(t, scene{"a life", func(t *testing.T, w *world) {
		c := w.logIn(alice, withDevice("device-1", "Phone"))
		oldCode, newCode := w.changeCodes(alice, bob, 0)
		if _, err := w.renumber(c, bob, newCode, oldCode); err != nil {
			t.Fatal(err)
		}
		session := w.row(c)
		if _, err := w.users.Delete(t.Context(), session, w.code(bob, forPurpose(model.PurposeDelete)), service.Caller{IP: "192.0.2.7", RequestID: "r9"}); err != nil {
			t.Fatal(err)
		}
		lines, err := repository.Events{DB: w.db}.List(t.Context(), model.EventFilter{UserID: c.User.User.ID}, 10)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, line := range lines {
			kinds = append(kinds, string(line.Kind))
			switch line.Kind {
			case model.EventNumberChanged:
				if line.SessionID != session.ID || !strings.Contains(line.Detail, "138****8000") || !strings.Contains(line.Detail, "139****9000") {
					t.Errorf("the change is noted as %+v", line)
				}
			case model.EventUserDeleted:
				if line.RequestID != "r9" || line.IP != "" || line.Device != "" || line.Detail != "" {
					t.Errorf("the deletion is noted as %+v", line)
				}
			default:
			}
		}
		if got := strings.Join(kinds, " "); got != "user_deleted logout number_changed login register" {
			t.Errorf("the log has %s", got)
		}
		w.clock.advance(time.Minute)
		for _, mobile := range []string{alice, bob} { // both numbers begin afresh
			fresh := w.logIn(mobile)
			if fresh.User.User.ID == c.User.User.ID || fresh.User.User.NickName != "用户"+mobile[7:] || fresh.User.User.RealName != "" {
				t.Errorf("%s has the account %+v", mobile, fresh.User.User)
			}
			if ended, err := w.sessions.Ended(t.Context(), w.row(fresh)); err != nil || len(ended) != 0 {
				t.Errorf("%s sees %d sessions of another, error %v", mobile, len(ended), err)
			}
		}
	}})
}
