package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

// root is the operator of these tests.
var root = service.Operator{Name: "root", Caller: model.Caller{IP: "198.51.100.1", Device: "console", RequestID: "r1"}}

// active returns the number of the user's active sessions.
func (d *deployment) active(t testing.TB, user int64) int64 {
	t.Helper()
	return d.count("SELECT COUNT(*) FROM sessions WHERE user_id = ? AND active_slot IS NOT NULL", user)
}

// mustEnd checks how many sessions an operator's act ended.
func mustEnd(t testing.TB, want int) func(got int, err error) {
	return func(got int, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("ended %d, error %v, want %d", got, err, want)
		}
	}
}

// TestBan: a banned user has no session, cannot log in, and hears of it only
// after a right code, which is used up; others hear nothing of it at all.
func TestBan(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		number := d.number()
		p, q := here.logIn(number, onDevice(0, "d")), here.logIn(number, onDevice(2, "e"))
		other := here.logIn(d.number(), onDevice(0, "d"))
		there.poll(t)
		there.wantState(t, p, "d", service.StateActive)

		mustEnd(t, 2)(here.admin.Ban(t.Context(), root, p.user, "fraud", 0))
		if d.active(t, p.user) != 0 {
			t.Error("a banned user has an active session")
		}
		there.poll(t)
		banned := service.LoginState(model.ReasonBanned)
		here.wantState(t, p, "d", banned)
		there.wantState(t, p, "d", banned)
		there.wantState(t, q, "e", banned)
		there.wantState(t, other, "d", service.StateActive)
		_, err := there.sessions.Refresh(t.Context(), p.access, p.refresh, model.Caller{})
		wantFailure(t, err, model.ErrSessionEnded)

		there.receiveCode(number) // a code is sent as to any user
		_, err = there.login.Do(t.Context(), service.LoginRequest{Mobile: number, ValidateNo: "654321"})
		wantFailure(t, err, model.ErrCode)
		_, err = there.tryLogIn(number, fixedCode, onDevice(0, "d"))
		wantFailure(t, err, model.ErrBanned)
		if data, ok := model.AsFailure(err).Data().(service.BannedUntil); !ok || data.Until != nil {
			t.Errorf("a ban for ever tells %+v", model.AsFailure(err).Data())
		}
		_, err = there.tryLogIn(number, fixedCode, onDevice(0, "d"))
		wantFailure(t, err, model.ErrCode)

		if err := there.admin.Unban(t.Context(), root, p.user, ""); err != nil {
			t.Fatal(err)
		}
		here.wantState(t, p, "d", banned) // lifting it revives nothing
		here.wantState(t, q, "e", banned)
		_, err = here.sessions.Refresh(t.Context(), p.access, p.refresh, model.Caller{})
		wantFailure(t, err, model.ErrSessionEnded)
		again := here.logIn(number, onDevice(0, "d"))
		here.wantState(t, again, "d", service.StateActive)
		here.wantState(t, p, "d", banned) // the first reason stays
	})
}

// TestBanUntil: a ban ends at its time, to the millisecond, and the answer states
// that time.
func TestBanUntil(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		number := d.number()
		p := i.logIn(number, onDevice(0, "d"))
		until := model.TimeOf(d.clock.Now()).Add(time.Hour)
		mustEnd(t, 1)(i.admin.Ban(t.Context(), root, p.user, "spam", until))
		d.clock.Advance(time.Hour - time.Millisecond)
		i.receiveCode(number)
		_, err := i.tryLogIn(number, fixedCode, onDevice(0, "d"))
		wantFailure(t, err, model.ErrBanned)
		if data, ok := model.AsFailure(err).Data().(service.BannedUntil); !ok || data.Until == nil || *data.Until != until {
			t.Errorf("the ban until %v tells %+v", until, model.AsFailure(err).Data())
		}
		d.clock.Advance(time.Millisecond)
		again := i.logIn(number, onDevice(0, "d"))
		i.wantState(t, again, "d", service.StateActive)
		i.wantState(t, p, "d", service.LoginState(model.ReasonBanned))
	})
}

// TestBanAgain: a second ban replaces end and reason and ends nothing; unban of
// a free user is a success; neither creates a user.
func TestBanAgain(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(0, "d"))
		until := model.TimeOf(d.clock.Now()).Add(time.Hour)
		mustEnd(t, 1)(i.admin.Ban(t.Context(), root, p.user, "first", 0))
		mustEnd(t, 0)(i.admin.Ban(t.Context(), service.Operator{Name: "ops"}, p.user, "second", until))
		person, err := i.admin.Show(t.Context(), root, p.user)
		profile, sessions := person.Profile, person.Sessions
		if err != nil || profile.User.BannedUntil != until || profile.User.BanReason != "second" || len(sessions) != 0 {
			t.Errorf("banned until %v for %q, %d sessions, error %v", profile.User.BannedUntil, profile.User.BanReason, len(sessions), err)
		}
		for range 2 {
			if err := i.admin.Unban(t.Context(), root, p.user, ""); err != nil {
				t.Error(err)
			}
		}
		person, err = i.admin.Show(t.Context(), root, p.user)
		profile = person.Profile
		if err != nil || profile.User.BannedUntil != 0 || profile.User.BanReason != "" {
			t.Errorf("after unban: until %v, %q, error %v", profile.User.BannedUntil, profile.User.BanReason, err)
		}
		want := []line{
			{Kind: "ban", Actor: "root", Detail: `{"reason":"first"}`},
			{Kind: "ban", Session: p.session, Actor: "root", Device: "console", Detail: `{"reason":"first"}`},
			{Kind: "ban", Actor: "ops", Detail: `{"reason":"second","until":"` + until.String() + `"}`},
			{Kind: "unban", Actor: "root"}, {Kind: "unban", Actor: "root"},
		}
		if diff := cmp.Diff(want, d.lines(t, p.user, model.EventBan, model.EventUnban)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOperatorsUnknownUser(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		o := d.start(0).admin
		_, err := o.Ban(t.Context(), root, 42, "x", 0)
		wantFailure(t, err, model.ErrNotFound)
		wantFailure(t, o.Unban(t.Context(), root, 42, ""), model.ErrNotFound)
		_, err = o.Kick(t.Context(), root, 42, service.KickTarget{}, "x")
		wantFailure(t, err, model.ErrNotFound)
		_, err = o.Show(t.Context(), root, 42)
		wantFailure(t, err, model.ErrNotFound)
		if n := d.count("SELECT COUNT(*) FROM events"); n != 0 {
			t.Errorf("%d lines about nobody", n)
		}
	})
}

// TestKick: by product, by session, all; each counts what it ended itself.
func TestKick(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		number := d.number()
		app, pad := i.logIn(number, onDevice(0, "a")), i.logIn(number, onDevice(2, "b"))
		pad2, pc := i.logIn(number, onDevice(2, "c")), i.logIn(number, onDevice(3, "d"))
		other := i.logIn(d.number(), onDevice(2, "b"))
		kick := func(target service.KickTarget) (int, error) {
			return i.admin.Kick(t.Context(), root, app.user, target, "lost phone")
		}
		product := func(n int32) *int32 { return &n }

		mustEnd(t, 0)(kick(service.KickTarget{SessionID: other.session})) // another user's
		mustEnd(t, 0)(kick(service.KickTarget{SessionID: "UNKNOWN"}))
		mustEnd(t, 0)(kick(service.KickTarget{ProductType: product(1)})) // of the same group, another product
		mustEnd(t, 0)(kick(service.KickTarget{ProductType: product(0), SessionID: pad.session}))
		mustEnd(t, 1)(kick(service.KickTarget{ProductType: product(2), SessionID: pad.session}))
		mustEnd(t, 0)(kick(service.KickTarget{SessionID: pad.session})) // ended already
		mustEnd(t, 1)(kick(service.KickTarget{ProductType: product(2)}))
		i.wantState(t, app, "a", service.StateActive)
		i.wantState(t, pc, "d", service.StateActive)
		mustEnd(t, 1)(kick(service.KickTarget{ProductType: product(0)}))
		mustEnd(t, 1)(kick(service.KickTarget{}))
		mustEnd(t, 0)(kick(service.KickTarget{}))
		for _, p := range []client{app, pad, pad2, pc} {
			i.wantState(t, p, "x", service.LoginState(model.ReasonKicked))
		}
		i.wantState(t, other, "b", service.StateActive)
		again := i.logIn(number, onDevice(0, "a")) // kicked is not banned
		i.wantState(t, again, "a", service.StateActive)

		told := func(session, device, target string) line {
			return line{Kind: "kick", Session: session, Actor: "root", Device: device, Detail: `{` + target + `}`}
		}
		const why = `"reason":"lost phone"`
		want := []line{ // every act, those that ended nothing too
			told("", "", why+`,"sessionId":"`+other.session+`"`),
			told("", "", why), // what is no id is not repeated
			told("", "", `"productType":"1",`+why),
			told("", "", `"productType":"0",`+why+`,"sessionId":"`+pad.session+`"`),
			told(pad.session, "console", why),
			told("", "", why+`,"sessionId":"`+pad.session+`"`),
			told(pad2.session, "console", why),
			told(app.session, "console", why),
			told(pc.session, "console", why),
			told("", "", why),
		}
		if diff := cmp.Diff(want, d.lines(t, app.user, model.EventKick)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestKickOfExpired: a session whose time has come was no longer there to be
// kicked or banned. It has expired, and the act's count leaves it out.
func TestKickOfExpired(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for name, act := range map[string]func(i *instance, user int64) (int, error){
			"kick": func(i *instance, user int64) (int, error) {
				return i.admin.Kick(t.Context(), root, user, service.KickTarget{}, "x")
			},
			"ban": func(i *instance, user int64) (int, error) { return i.admin.Ban(t.Context(), root, user, "x", 0) },
		} {
			t.Run(name, func(t *testing.T) {
				i := d.start(0)
				number := d.number()
				old := i.logIn(number, onDevice(0, "a"))
				d.clock.Advance(shortIdle)
				young := i.logIn(number, onDevice(2, "b"))
				mustEnd(t, 1)(act(i, old.user))
				i.wantState(t, old, "a", service.LoginState(model.ReasonExpired))
				if got := i.state(t, young, "b"); got == service.LoginState(model.ReasonExpired) || got == service.StateActive {
					t.Errorf("the young one is %q", got)
				}
				if lines := d.lines(t, old.user, model.EventExpired); len(lines) != 1 || lines[0].Actor != model.ActorSystem || lines[0].Session != old.session {
					t.Errorf("lines of expiry: %+v", lines)
				}
			})
		}
	})
}

// TestOperatorsActWhole: when the log refuses an act's line, nothing of the act
// is done and no listener is notified.
func TestOperatorsActWhole(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(0, "d"))
		told := newWatch(i.sessions.Hub, p.session)
		for name, act := range map[string]func() error{
			"ban":   func() error { _, err := i.admin.Ban(t.Context(), root, p.user, "x", 0); return err },
			"unban": func() error { return i.admin.Unban(t.Context(), root, p.user, "") },
			"kick":  func() error { _, err := i.admin.Kick(t.Context(), root, p.user, service.KickTarget{}, "x"); return err },
		} {
			d.sql("ALTER TABLE events RENAME TO events_away")
			wantFailure(t, act(), model.ErrUnavailable)
			d.sql("ALTER TABLE events_away RENAME TO events")
			i.wantState(t, p, "d", service.StateActive)
			if told.count() != 0 || d.count("SELECT COUNT(*) FROM users WHERE banned_until <> 0") != 0 {
				t.Errorf("%s: told %d times, or the user is banned", name, told.count())
			}
		}
	})
}

// TestBanRaces: a ban, logins and refreshes at once, 500 times. However they
// come out, afterwards the database has no active session of a banned user, and
// the ban has ended each session whose client was answered yes.
func TestBanRaces(t *testing.T) {
	const races = 500
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		logins, refreshes := 0, 0
		for race := range races {
			d.clock.Advance(time.Second)
			number := d.number()
			old := here.logIn(number, onDevice(2, "old"))
			here.receiveCode(number)
			begun := make(chan struct{}) // every other ban lets another act commit something first
			if race%2 == 0 {
				close(begun)
			}
			d.commits = sync.OnceFunc(func() {
				if race%2 != 0 {
					close(begun)
				}
			})
			var entered service.LoginResult
			var errs [4]error
			together(4, func(n int) {
				switch n {
				case 0:
					<-begun
					_, errs[n] = there.admin.Ban(t.Context(), root, old.user, "race", 0)
				case 1:
					entered, errs[n] = here.tryLogIn(number, fixedCode, onDevice(2, "new"))
				case 2:
					_, errs[n] = there.sessions.Refresh(t.Context(), old.access, old.refresh, model.Caller{})
				default:
					_, errs[n] = here.sessions.Check(t.Context(), old.claims, "old", model.Caller{})
				}
			})
			d.commits = nil
			if errs[0] != nil || errs[3] != nil {
				t.Fatalf("ban: %v; check: %v", errs[0], errs[3])
			}
			if errs[1] == nil {
				logins++
				here.poll(t)
				here.wantState(t, here.clientOf(entered), "new", service.LoginState(model.ReasonBanned))
			} else {
				wantFailure(t, errs[1], model.ErrBanned)
			}
			if errs[2] == nil {
				refreshes++
			} else {
				wantFailure(t, errs[2], model.ErrSessionEnded)
			}
		}
		if n := d.count("SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.banned_until > 0 AND s.active_slot IS NOT NULL"); n != 0 {
			t.Errorf("%d active sessions of banned users", n)
		}
		if n := d.count("SELECT COUNT(*) FROM users WHERE banned_until > 0"); n != races {
			t.Errorf("%d users are banned, want %d", n, races)
		}
		if n := d.count("SELECT COUNT(*) FROM sessions WHERE end_reason <> 'banned'"); n != 0 {
			t.Errorf("%d sessions ended otherwise", n)
		}
		t.Logf("of %d races %d logins and %d refreshes came before the ban", races, logins, refreshes)
	})
}

// TestBanLiftRaces: ban and unban of one user at once leave it one or the other,
// never banned with a session.
func TestBanLiftRaces(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		for range 20 {
			number := d.number()
			p := here.logIn(number, onDevice(0, "d"))
			here.receiveCode(number)
			together(3, func(n int) {
				var err error
				switch n {
				case 0:
					_, err = here.admin.Ban(t.Context(), root, p.user, "race", 0)
				case 1:
					err = there.admin.Unban(t.Context(), root, p.user, "")
				default:
					if _, err = there.tryLogIn(number, fixedCode, onDevice(0, "e")); errors.Is(err, model.ErrBanned) {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
			if d.count("SELECT COUNT(*) FROM users WHERE id = ? AND banned_until > 0", p.user) == 1 && d.active(t, p.user) != 0 {
				t.Error("a banned user has an active session")
			}
		}
	})
}

// find lists the users with the number and the id.
func (in *instance) find(t testing.TB, mobile string, id int64) ([]service.Profile, error) {
	t.Helper()
	return in.findBy(t.Context(), root, mobile, id)
}

func (in *instance) findBy(ctx context.Context, by service.Operator, mobile string, id int64) ([]service.Profile, error) {
	profiles, _, err := in.admin.List(ctx, by, service.UserQuery{Mobile: mobile, ID: id})
	return profiles, err
}

// TestFind: by any spelling of the number, by the id, by both.
func TestFind(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		const number = "13800138000"
		p := i.logIn(number, onDevice(0, "d"))
		if _, err := i.codes.Send(t.Context(), code.SendRequest{CompanyType: 1, Mobile: number, Purpose: model.PurposeLogin}); err != nil {
			t.Fatal(err)
		}
		result, err := i.login.Do(t.Context(), service.LoginRequest{CompanyType: 1, Mobile: number, ValidateNo: fixedCode})
		if err != nil {
			t.Fatal(err)
		}
		sister := result.User.User.ID // the same number in another company
		want := []int64{p.user, sister}
		find := func(mobile string, id int64) (ids []int64) {
			t.Helper()
			profiles, err := i.find(t, mobile, id)
			if err != nil || profiles == nil {
				t.Fatalf("found %v, error %v", profiles, err)
			}
			for _, profile := range profiles {
				ids = append(ids, profile.User.ID)
				if profile.Mobile != "138****8000" {
					t.Errorf("the number is shown as %q", profile.Mobile)
				}
			}
			slices.SortFunc(ids, func(a, b int64) int { return slices.Index(want, a) - slices.Index(want, b) })
			return ids
		}
		for _, spelling := range []string{"13800138000", "+86 138-0013-8000", "0086 13800138000", "１３８００１３８０００", "(+86) 138.0013.8000", "8613800138000"} {
			got, err := i.find(t, spelling, 0)
			if errors.Is(err, model.ErrMobile) {
				if _, parses := i.admin.Numbers.Parse(spelling); parses == nil {
					t.Errorf("%q is refused", spelling)
				}
				continue
			}
			if err != nil || len(got) != 2 {
				t.Errorf("%q finds %v, error %v", spelling, got, err)
			}
		}
		for _, tt := range []struct {
			mobile string
			id     int64
			want   []int64
		}{
			{number, 0, want}, {"", p.user, want[:1]}, {"", sister, want[1:]}, {number, p.user, want[:1]}, {number, sister, want[1:]},
			{"", 42, nil}, {number, 42, nil}, {"13800138001", 0, nil}, {"13800138001", p.user, nil},
		} {
			if got := find(tt.mobile, tt.id); !slices.Equal(got, tt.want) {
				t.Errorf("%q, %d: found %v, want %v", tt.mobile, tt.id, got, tt.want)
			}
		}
		for _, odd := range []string{"1380013800", "abc", "+1 202 555 0100", "13800138000x"} {
			_, err := i.find(t, odd, 0)
			wantFailure(t, err, model.ErrMobile)
		}
	})
}

// TestShow: a user with the live sessions, newest first; what has ended or
// expired is none of them.
func TestShow(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		number := d.number()
		i.logIn(number, onDevice(0, "spent"))
		d.clock.Advance(shortIdle)
		first := i.logIn(number, onDevice(2, "a"))
		d.clock.Advance(time.Second)
		second := i.logIn(number, onDevice(3, "b"))
		i.logIn(number, onDevice(4, "c"))
		mustEnd(t, 1)(i.admin.Kick(t.Context(), root, first.user, service.KickTarget{ProductType: new(int32(4))}, "x"))
		person, err := i.admin.Show(t.Context(), root, first.user)
		profile, sessions := person.Profile, person.Sessions
		if err != nil || profile.User.ID != first.user || profile.Mobile == number {
			t.Errorf("profile %+v, error %v", profile, err)
		}
		var ids []string
		for _, s := range sessions {
			ids = append(ids, s.ID)
		}
		if want := []string{second.session, first.session}; !slices.Equal(ids, want) {
			t.Errorf("sessions %v, want %v", ids, want)
		}
	})
}

func TestParseID(t *testing.T) {
	if id, err := service.ParseID("4503599627370495"); err != nil || id != 4503599627370495 {
		t.Errorf("%d, error %v", id, err)
	}
	for _, odd := range []string{"", "0", "-1", "+1", "01", " 1", "1 ", "1e3", "0x1", "१", "9223372036854775808", "abc", "1_000"} {
		if id, err := service.ParseID(odd); !errors.Is(err, model.ErrNotFound) || id != 0 {
			t.Errorf("%q: %d, error %v", odd, id, err)
		}
	}
}

func TestCheckReason(t *testing.T) {
	for reason, want := range map[string]string{
		"": model.ReasonRequired, "a": "", strings.Repeat("字", 256): "", strings.Repeat("字", 257): model.ReasonLength,
		"a\nb": model.ReasonCharset, "\xff": model.ReasonCharset, "盗号 😀": "",
	} {
		if got := service.CheckReason(reason); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
}
