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
func (in *instance) holders(mobile string) []string {
	in.t.Helper()
	number := model.NewMobile("+86" + mobile)
	return in.texts("SELECT CAST(id AS CHAR(20)) FROM users WHERE mobile_key IN (?, ?)", in.vault.MobileKey(0, number), in.vault.MobileKey(1, number))
}

// TestAccountOvertaken: what happens between the codes and the change.
func TestAccountOvertaken(t *testing.T) {
	ban := func(in *instance, c client) {
		in.t.Helper()
		operators := service.Admin{Users: in.users.Store, Endings: in.sessions.Endings, Vault: in.vault, Numbers: in.users.Numbers, Catalog: in.catalog, Now: in.clock.Now}
		if _, err := operators.Ban(in.t.Context(), service.Operator{Name: "op"}, c.User.User.ID, "spam", 0); err != nil {
			in.t.Fatal(err)
		}
	}
	for name, overtake := range map[string]struct {
		by   func(in *instance, c client)
		want *model.Failure
	}{
		"a ban": {ban, model.ErrSessionEnded},
		"a logout": {func(in *instance, c client) {
			if _, err := in.logOut(c, service.ScopeCurrent); err != nil {
				in.t.Fatal(err)
			}
		}, model.ErrSessionEnded},
		"a login elsewhere": {func(in *instance, _ client) { in.logIn(alice) }, model.ErrDisplaced},
	} {
		runScenes(t,
			scene{name + " before a change", func(t *testing.T, in *instance) {
				c := in.logIn(alice)
				oldCode, newCode := in.changeCodes(alice, bob, 0)
				endings := *in.users.Endings
				endings.Tx = &overtaken{in.db, func() { overtake.by(in, c) }}
				in.users.Endings = &endings
				_, err := in.renumber(c, bob, newCode, oldCode)
				wantFailure(t, err, overtake.want)
				if len(in.holders(alice)) != 1 || len(in.holders(bob)) != 0 {
					t.Errorf("the old number has accounts %v, the new one %v", in.holders(alice), in.holders(bob))
				}
			}},
			scene{name + " before a deletion", func(t *testing.T, in *instance) {
				c := in.logIn(alice)
				code, session := in.receiveCode(alice, forPurpose(model.PurposeDelete)), in.row(c)
				endings := *in.users.Endings
				endings.Tx = &overtaken{in.db, func() { overtake.by(in, c) }}
				in.users.Endings = &endings
				_, err := in.users.Delete(t.Context(), service.Deletion{Session: session, Code: code})
				wantFailure(t, err, overtake.want)
				if len(in.holders(alice)) != 1 || in.count("SELECT COUNT(*) FROM users WHERE deleted_at <> 0") != 0 {
					t.Error("the account is gone")
				}
			}},
		)
	}
}

// TestAccountRaces: two at once leave every number with one account at most, and
// no session without one.
func TestAccountRaces(t *testing.T) {
	whole := func(t *testing.T, in *instance, mobiles ...string) {
		t.Helper()
		for _, mobile := range mobiles {
			if ids := in.holders(mobile); len(ids) > 1 {
				t.Errorf("%s has accounts %v", mobile, ids)
			}
		}
		if n := in.count("SELECT COUNT(*) FROM sessions JOIN users ON users.id = user_id WHERE active_slot IS NOT NULL AND deleted_at <> 0"); n != 0 {
			t.Errorf("%d sessions outlive their account", n)
		}
		for _, id := range in.texts("SELECT CAST(id AS CHAR(20)) FROM users WHERE (mobile IS NULL) <> (mobile_key IS NULL)") {
			t.Errorf("account %s has a number without a key, or the reverse", id)
		}
	}
	runScenes(t,
		scene{"a change against a login with the new number", func(t *testing.T, in *instance) {
			for i := range 8 {
				from, to := numbered(2*i), numbered(2*i+1)
				c := in.logIn(from)
				oldCode, newCode := in.changeCodes(from, to, 0)
				login := in.receiveCode(to)
				var came service.LoginResult
				errs := race(2, func(j int) (err error) {
					if j == 0 {
						return errOf(in.renumber(c, to, newCode, oldCode))
					}
					came, err = in.tryLogIn(to, login, on(pc))
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
				whole(t, in, from, to)
			}
		}},
		scene{"a change against a deletion", func(t *testing.T, in *instance) {
			for i := range 8 {
				from, to := numbered(2*i), numbered(2*i+1)
				c := in.logIn(from)
				oldCode, newCode := in.changeCodes(from, to, 0)
				code, session := in.receiveCode(from, forPurpose(model.PurposeDelete)), in.row(c)
				errs := race(2, func(j int) error {
					if j == 0 {
						return errOf(in.renumber(c, to, newCode, oldCode))
					}
					return errOf(in.users.Delete(t.Context(), service.Deletion{Session: session, Code: code}))
				})
				switch {
				case errs[0] == nil:
					wantFailure(t, errs[1], model.ErrCode) // of a number that is not the account's any more
				case errs[1] == nil:
					wantFailure(t, errs[0], model.ErrSessionEnded)
				default:
					t.Errorf("errors %v", errs)
				}
				whole(t, in, from, to)
			}
		}},
		scene{"two accounts want one number, each with a code of its own", func(t *testing.T, in *instance) {
			const wanted = "13700137000"
			a, b := in.logIn(alice), in.logIn(bob)
			code := in.receiveCode(wanted, forPurpose(model.PurposeChange))
			codes := []model.Secret{in.receiveCode(alice, forPurpose(model.PurposeChange)), in.receiveCode(bob, forPurpose(model.PurposeChange))}
			_, err := in.renumber(a, wanted, code, codes[0])
			wantFailure(t, err, nil)
			_, err = in.renumber(b, wanted, in.receiveCode(wanted, forPurpose(model.PurposeChange)), codes[1])
			wantFailure(t, err, model.ErrNumberTaken)
			whole(t, in, alice, bob, wanted)
		}},
		scene{"two swap their numbers", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice), in.logIn(bob)
			oldA, newA := in.changeCodes(alice, bob, 0)
			errs := race(2, func(i int) error {
				if i == 0 {
					return errOf(in.renumber(a, bob, newA, oldA))
				}
				return errOf(in.renumber(b, alice, oldA, newA))
			})
			for _, err := range errs {
				wantFailure(t, err, model.ErrNumberTaken)
			}
			whole(t, in, alice, bob)
		}},
		scene{"a deletion against refreshes", func(t *testing.T, in *instance) {
			for i := range 8 {
				c := in.logIn(numbered(i))
				code, session := in.receiveCode(numbered(i), forPurpose(model.PurposeDelete)), in.row(c)
				errs := race(3, func(j int) error {
					if j == 0 {
						return errOf(in.users.Delete(t.Context(), service.Deletion{Session: session, Code: code}))
					}
					return errOf(in.refresh(c.access, c.Refresh.Value))
				})
				wantFailure(t, errs[0], nil)
				for _, err := range errs[1:] {
					if err != nil {
						wantFailure(t, err, model.ErrSessionEnded)
					}
				}
				_, err := in.refresh(c.access, c.Refresh.Value)
				wantFailure(t, err, model.ErrSessionEnded)
				whole(t, in, numbered(i))
			}
		}},
	)
}

// TestAccountAudit: what the log keeps of a change and of a deletion.
func TestAccountAudit(t *testing.T) {
	runScenes(t, scene{"a life", func(t *testing.T, in *instance) {
		c := in.logIn(alice, withDevice("device-1", "Phone"))
		oldCode, newCode := in.changeCodes(alice, bob, 0)
		if _, err := in.renumber(c, bob, newCode, oldCode); err != nil {
			t.Fatal(err)
		}
		session := in.row(c)
		if _, err := in.users.Delete(t.Context(), service.Deletion{Session: session, Code: in.receiveCode(bob, forPurpose(model.PurposeDelete)), Caller: model.Caller{IP: "192.0.2.7", RequestID: "r9"}}); err != nil {
			t.Fatal(err)
		}
		lines, err := repository.Events{DB: in.db}.List(t.Context(), model.EventFilter{UserID: c.User.User.ID}, 10)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, line := range lines {
			kinds = append(kinds, string(line.Kind))
			switch line.Kind {
			case model.EventNumberChanged:
				if line.SessionID != session.ID || line.Detail != "{}" { // the deletion has taken the numbers out
					t.Errorf("the change is noted as %+v", line)
				}
			case model.EventUserDeleted:
				if line.RequestID != "r9" || line.IP != "" || line.Device != "" || line.Detail != "" {
					t.Errorf("the deletion is noted as %+v", line)
				}
			default:
			}
		}
		if got := strings.Join(kinds, " "); got != "user_deleted logout code_sent number_changed code_sent login register" {
			t.Errorf("the log has %s", got)
		}
		in.clock.Advance(time.Minute)
		for _, mobile := range []string{alice, bob} { // both numbers begin afresh
			fresh := in.logIn(mobile)
			if fresh.User.User.ID == c.User.User.ID || fresh.User.User.NickName != "用户"+mobile[7:] || fresh.User.User.RealName != "" {
				t.Errorf("%s has the account %+v", mobile, fresh.User.User)
			}
			if ended, err := in.sessions.Ended(t.Context(), in.row(fresh)); err != nil || len(ended) != 0 {
				t.Errorf("%s sees %d sessions of another, error %v", mobile, len(ended), err)
			}
		}
	}})
}
