package service_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

// TestCreate: an operator's account is that of its number, also where registration is
// closed.
func TestCreate(t *testing.T) {
	runScenes(t,
		scene{"all members", func(t *testing.T, in *instance) {
			person, err := in.admin.Create(t.Context(), root, service.NewAccount{
				CompanyType: 7, Mobile: "+86 138-0013-8000", Source: "crm", ExternalID: new("工号 1"), Metadata: []byte("{ \"level\" : 3,\n \"a\": {} }"),
				Details: service.Changes{NickName: new("阿门"), RealName: new("张三"), AvatarURL: new("https://example.com/a.png")},
			})
			wantFailure(t, err, nil)
			in.clock.Advance(time.Hour)
			c := in.logIn(alice, inCompany(7))
			want := person.Profile.User
			want.LastSource = c.User.User.LastSource
			if diff := cmp.Diff(want, c.User.User); diff != "" || want.ExternalID == nil {
				t.Errorf("the account at login differs:\n%s", diff)
			}
			if got := string(want.Metadata); got != `{"level":3,"a":{}}` {
				t.Errorf("metadata is %s", got)
			}
			if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'user_created' AND actor = 'root' AND user_id = ?", want.ID); n != 1 {
				t.Errorf("%d events", n)
			}
			shown, err := in.admin.Show(t.Context(), root, want.ID)
			wantFailure(t, err, nil)
			if shown.LastLogin != model.TimeOf(in.clock.Now()) || person.LastLogin != 0 {
				t.Errorf("last login %s, before it %s", shown.LastLogin, person.LastLogin)
			}
		}},
		scene{"few members", func(t *testing.T, in *instance) {
			person, err := in.admin.Create(t.Context(), root, service.NewAccount{Mobile: alice, Metadata: []byte("{}")})
			wantFailure(t, err, nil)
			if u := person.Profile.User; u.NickName != "用户8000" || u.UserName == "" || u.ExternalID != nil || u.Metadata != nil {
				t.Errorf("the account is %+v", u)
			}
		}},
		scene{"refused", func(t *testing.T, in *instance) {
			in.logIn(alice)
			_, err := in.admin.Create(t.Context(), root, service.NewAccount{Mobile: bob, ExternalID: new("e")})
			wantFailure(t, err, nil)
			in.clearEvents()
			for _, tt := range []struct {
				account service.NewAccount
				want    *model.Failure
			}{
				{service.NewAccount{Mobile: alice}, model.ErrNumberTaken},
				{service.NewAccount{Mobile: alice, ExternalID: new("e")}, model.ErrNumberTaken},
				{service.NewAccount{Mobile: "13800138001", ExternalID: new("e")}, model.ErrExternalIDTaken},
				{service.NewAccount{Mobile: "12345"}, model.ErrMobile},
				{service.NewAccount{Mobile: "13800138001", CompanyType: 9}, model.ErrMalformed},
				{service.NewAccount{Mobile: "13800138001", Metadata: []byte(`{"a":"` + strings.Repeat("x", 4096) + `"}`)}, model.ErrMalformed},
			} {
				_, err := in.admin.Create(t.Context(), root, tt.account)
				wantFailure(t, err, tt.want)
			}
			if n := in.count("SELECT COUNT(*) FROM users") + in.count("SELECT COUNT(*) FROM events"); n != 2 {
				t.Errorf("refusals left %d rows", n-2)
			}
			_, err = in.admin.Create(t.Context(), root, service.NewAccount{CompanyType: 1, Mobile: alice, ExternalID: new("e")})
			wantFailure(t, err, nil) // another company
		}},
		scene{"a number that a ban kept", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			id := c.User.User.ID
			until := model.TimeOf(in.clock.Now()).Add(time.Hour)
			in.sql("UPDATE users SET deleted_at = 1, mobile = NULL, banned_until = ? WHERE id = ?", until, id)
			_, err := in.admin.Create(t.Context(), root, service.NewAccount{Mobile: alice})
			wantFailure(t, err, model.ErrNumberTaken)
			in.clock.Advance(time.Hour)
			person, err := in.admin.Create(t.Context(), root, service.NewAccount{Mobile: alice})
			wantFailure(t, err, nil)
			if person.Profile.User.ID == id {
				t.Error("the deleted account is used again")
			}
		}},
	)
}

// TestCreateHasOneWinner: of concurrent creations of one number one succeeds.
func TestCreateHasOneWinner(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		for name, account := range map[string]func(n int) service.NewAccount{
			"40901": func(int) service.NewAccount { return service.NewAccount{Mobile: alice} },
			"40902": func(n int) service.NewAccount {
				return service.NewAccount{Mobile: fmt.Sprintf("137000000%02d", n), ExternalID: new("e")}
			},
		} {
			won, errs := 0, make([]error, 12)
			together(len(errs), func(n int) {
				_, errs[n] = []*instance{here, there}[n%2].admin.Create(t.Context(), root, account(n))
			})
			for _, err := range errs {
				if err == nil {
					won++
				} else if f := model.AsFailure(err); fmt.Sprint(f.Code) != name {
					t.Errorf("want %s: %v", name, err)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d won", name, won)
			}
		}
	})
}

// TestEdit: an operator's changes, the merge patch of RFC 7396 among them.
func TestEdit(t *testing.T) {
	runScenes(t,
		scene{"members", func(t *testing.T, in *instance) {
			id := in.logIn(alice).User.User.ID
			edit := func(e service.AccountEdit) model.User {
				t.Helper()
				person, err := in.admin.Edit(t.Context(), root, id, e)
				wantFailure(t, err, nil)
				return person.Profile.User
			}
			got := edit(service.AccountEdit{ExternalID: new("e"), Details: service.Changes{RealName: new("张三")}})
			if got.RealName != "张三" || got.NickName != "用户8000" || got.ExternalID == nil || *got.ExternalID != "e" {
				t.Errorf("the account is %+v", got)
			}
			if got := edit(service.AccountEdit{}); got.ExternalID == nil {
				t.Error("an edit without the member cleared it")
			}
			if got := edit(service.AccountEdit{ClearExternalID: true}); got.ExternalID != nil {
				t.Error("null does not clear it")
			}
			if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'user_changed' AND actor = 'root' AND user_id = ?", id); n != 3 {
				t.Errorf("%d events of 3 acts", n)
			}
		}},
		scene{"metadata", func(t *testing.T, in *instance) {
			id := in.logIn(alice).User.User.ID
			for _, step := range []struct{ patch, want string }{
				{`{"b":1.50,"a":"x","n":{"x":null,"y":[null,{"z":null}]}}`, `{"a":"x","b":1.50,"n":{"y":[null,{"z":null}]}}`},
				{`{"a":null,"n":{"y":null,"q":true},"missing":null}`, `{"b":1.50,"n":{"q":true}}`},
				{`{"n":[1],"b":{"c":{"d":null}}}`, `{"b":{"c":{}},"n":[1]}`},
				{`{"n":{"o":9007199254740993}}`, `{"b":{"c":{}},"n":{"o":9007199254740993}}`},
				{`{}`, `{"b":{"c":{}},"n":{"o":9007199254740993}}`},
				{`{"b":null,"n":null}`, ``},
			} {
				person, err := in.admin.Edit(t.Context(), root, id, service.AccountEdit{Metadata: []byte(step.patch)})
				wantFailure(t, err, nil)
				if got := string(person.Profile.User.Metadata); got != step.want {
					t.Errorf("after %s: %s, want %s", step.patch, got, step.want)
				}
			}
		}},
		scene{"too much metadata", func(t *testing.T, in *instance) {
			id := in.logIn(alice).User.User.ID
			full := `{"a":"` + strings.Repeat("x", 4096-len(`{"a":""}`)) + `"}`
			_, err := in.admin.Edit(t.Context(), root, id, service.AccountEdit{Metadata: []byte(full)})
			wantFailure(t, err, nil)
			_, err = in.admin.Edit(t.Context(), root, id, service.AccountEdit{Metadata: []byte(`{"b":0}`), Details: service.Changes{RealName: new("no")}})
			wantFailure(t, err, model.ErrMalformed)
			person, err := in.admin.Show(t.Context(), root, id)
			wantFailure(t, err, nil)
			if u := person.Profile.User; string(u.Metadata) != full || u.RealName != "" {
				t.Errorf("the refused edit changed the account: %q, %s", u.RealName, u.Metadata)
			}
		}},
		scene{"refused", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice).User.User.ID, in.logIn(bob).User.User.ID
			_, err := in.admin.Edit(t.Context(), root, a, service.AccountEdit{ExternalID: new("e")})
			wantFailure(t, err, nil)
			_, err = in.admin.Edit(t.Context(), root, b, service.AccountEdit{ExternalID: new("e")})
			wantFailure(t, err, model.ErrExternalIDTaken)
			in.sql("UPDATE users SET deleted_at = 1 WHERE id = ?", b)
			for _, id := range []int64{b, 1} {
				_, err = in.admin.Edit(t.Context(), root, id, service.AccountEdit{ExternalID: new("f")})
				wantFailure(t, err, model.ErrNotFound)
			}
		}},
	)
}

// TestEditsRace: of concurrent merge patches none is lost.
func TestEditsRace(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		p := here.logIn(alice)
		const edits = 12
		errs := make([]error, edits)
		together(edits, func(n int) {
			_, errs[n] = []*instance{here, there}[n%2].admin.Edit(t.Context(), root, p.user, service.AccountEdit{Metadata: fmt.Appendf(nil, `{"m%d":%d}`, n, n)})
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		person, err := here.admin.Show(t.Context(), root, p.user)
		wantFailure(t, err, nil)
		if n := strings.Count(string(person.Profile.User.Metadata), `"m`); n != edits {
			t.Errorf("%d of %d edits are left: %s", n, edits, person.Profile.User.Metadata)
		}
		if lines := d.lines(t, p.user, model.EventUserChanged); len(lines) != edits {
			t.Errorf("%d events of %d edits", len(lines), edits)
		}
	})
}

// TestCheckMembers: what members of accounts may hold.
func TestCheckMembers(t *testing.T) {
	for _, tt := range []struct {
		check   func(string) string
		text    string
		problem string
	}{
		{service.CheckExternalID, "", model.ReasonLength},
		{service.CheckExternalID, strings.Repeat("长", 64), ""},
		{service.CheckExternalID, strings.Repeat("长", 65), model.ReasonLength},
		{service.CheckExternalID, "a b", ""},
		{service.CheckExternalID, "a\u200bb", model.ReasonCharset},
		{service.CheckExternalID, "a\nb", model.ReasonCharset},
		{service.CheckSource, "", ""},
		{service.CheckSource, strings.Repeat("长", 65), model.ReasonLength},
		{service.CheckSource, "a\tb", model.ReasonCharset},
		{model.CheckNickName, "", model.ReasonLength},
		{model.CheckNickName, strings.Repeat("长", 33), model.ReasonLength},
		{model.CheckRealName, strings.Repeat("长", 65), model.ReasonLength},
		{service.CheckAvatarURL, "http://example.com", model.ReasonFormat},
		{service.CheckAvatarURL, "https://example.com/" + strings.Repeat("a", 512), model.ReasonLength},
		{service.CheckAvatarURL, "https://example.com/a", ""},
	} {
		if got := tt.check(tt.text); got != tt.problem {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.problem)
		}
	}
}
