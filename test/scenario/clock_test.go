package scenario

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestSkewedClocks: two instances whose clocks differ by a minute show the same
// times, because they use the clock of the database. Which session displaces which
// depends on epochs and on no clock.
func TestSkewedClocks(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		if driver == repository.SQLite {
			continue // several instances need a server
		}
		t.Parallel()
		key := "skew-admin-key-0123456789-0123456789"
		settings := []string{
			"CODE_LENGTH=10", "SECRET_KEY=" + secretOf("skew"), "TOKEN_KEY_DIR=" + t.TempDir(), "ADMIN_KEYS=" + jsonOf(t, []map[string]string{{"name": "ops", "key": key}}),
		}
		fast := newDeployment(t, driver, settings...)
		slow := newDeployment(t, driver, append(settings, "DATABASE_DSN="+fast.dsn)...)
		slow.dsn = fast.dsn
		fast.skew.Store(int64(30 * time.Second))
		slow.skew.Store(int64(-30 * time.Second))
		fast.start(t)
		slow.start(t)
		t.Run("times are the database's", func(t *testing.T) {
			for _, d := range []*deployment{fast, slow} {
				a := d.login(t, form{Mobile: fast.number(), DeviceNumber: "device"})
				if left := time.Until(a.AccessToken.Expire); left < 14*time.Minute+45*time.Second || left > 15*time.Minute+time.Second {
					t.Errorf("with a clock %s off a token of 15 minutes lives for %s", time.Duration(d.skew.Load()), left)
				}
			}
		})
		t.Run("codes and cooldowns", func(t *testing.T) {
			for _, turn := range [][2]*deployment{{fast, slow}, {slow, fast}} {
				number := fast.number()
				code := turn[0].sendCode(t, number, 0)
				turn[1].wantRefusals(t, codeCall(number, ""), 42901, 45, 60)
				turn[1].login(t, form{Mobile: number, ValidateNo: code})
			}
		})
		t.Run("logins in turn", func(t *testing.T) { displaceInTurn(t, fast, slow) })
		t.Run("refreshes in turn", func(t *testing.T) {
			a := fast.login(t, form{Mobile: fast.number(), DeviceNumber: "device"})
			access := a.AccessToken.Value
			for i := range 6 {
				next := []*deployment{slow, fast}[i%2].refresh(t, access, a.RefreshToken.Value).Value
				if again := []*deployment{fast, slow}[i%2].refresh(t, access, a.RefreshToken.Value).Value; jti(t, again) != jti(t, next) {
					t.Error("within the grace the other instance has another token")
				}
				access = next
				fast.wantState(t, access, "device", "active")
				slow.wantState(t, access, "device", "active")
			}
		})
		t.Run("a ban with an end", func(t *testing.T) {
			a := fast.login(t, form{Mobile: fast.number()})
			until := time.Now().Add(45 * time.Second).UTC().Truncate(time.Second).Format(time.RFC3339)
			ban := call{method: http.MethodPost, path: fmt.Sprintf("/admin/users/%d/ban", a.UserInfo.ID), as: key, body: fmt.Sprintf(`{"reason":"skew","until":%q}`, until)}
			answer, err := fast.client.Do(ban.request(t, fast.admin))
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("the ban: %+v, error %v", answer, err)
			}
			_ = answer.Body.Close()
			slow.exec(t, "DELETE FROM codes") // and with them the cooldown
			code := slow.sendCode(t, a.UserInfo.Mobile, 0)
			fast.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: a.UserInfo.Mobile, ValidateNo: code}), code: 40300, want: fmt.Sprintf(`{"until":%q}`, until)})
		})
	}
}

// TestClockJumps: the clock of the instance jumps by a day or half a minute, forwards or
// backwards, and back, and the instance is started with a clock that is a day behind.
// Nothing that ended is ever active. Every session that was active is, with the tokens that
// it had, as soon as the clock is not ahead of their end. Codes and cooldowns hold. On MySQL
// the time is the database's, and the jump of an instance is none.
func TestClockJumps(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10")
			d.start(t)
			out := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-out"})
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: out.AccessToken.Value})
			old := form{Mobile: d.number(), DeviceNumber: "device-old"}
			displaced := d.login(t, old)
			d.exec(t, "DELETE FROM codes") // and with them the cooldown
			living := d.login(t, form{Mobile: old.Mobile, DeviceNumber: "device"})
			d.wantState(t, living.AccessToken.Value, "device", "active")
			state := func(a account, device string) string {
				return d.send(t, call{path: checkPath(device), as: a.AccessToken.Value}.request(t, d.public)).header.Get("X-Login-State")
			}
			allHolds := func(when string, living account, expired bool) {
				t.Helper()
				for device, a := range map[string]account{"device-out": out, "device-old": displaced} {
					if got := state(a, device); got == "active" || got == "bound" {
						t.Errorf("%s: an ended session is %s", when, got)
					}
				}
				switch {
				case !expired:
					d.wantState(t, living.AccessToken.Value, "device", "active")
				default:
					d.do(t, call{path: checkPath("device"), as: living.AccessToken.Value, code: 40101})
				}
			}
			isOwn := driver == repository.SQLite
			for _, jump := range []time.Duration{30 * time.Second, -30 * time.Second, 24 * time.Hour, -24 * time.Hour} {
				d.skew.Store(int64(jump))
				allHolds("after a jump by "+jump.String(), living, isOwn && jump > time.Hour)
				d.skew.Store(0)
				allHolds("back from "+jump.String(), living, false)
			}
			for device, a := range map[string]account{"device-out": out, "device-old": displaced} {
				d.wantState(t, a.AccessToken.Value, device, map[string]string{"device-out": "logged_out", "device-old": "displaced"}[device])
			}
			d.refresh(t, living.AccessToken.Value, living.RefreshToken.Value)
			if n := d.value(t, "SELECT COUNT(*) FROM sessions WHERE end_reason = 'expired'"); n != "0" {
				t.Errorf("%s sessions expired", n)
			}
			d.wantRefusals(t, codeCall(old.Mobile, ""), 42901, 1, 60)

			ahead, other := d.login(t, form{Mobile: d.number(), DeviceNumber: "device"}), d.login(t, form{Mobile: d.number()})
			d.skew.Store(int64(24 * time.Hour))
			ahead.AccessToken.Value = d.refresh(t, ahead.AccessToken.Value, ahead.RefreshToken.Value).Value
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: d.refresh(t, other.AccessToken.Value, other.RefreshToken.Value).Value})
			d.skew.Store(0)
			allHolds("with a token of tomorrow", ahead, false)
			d.stop(t)
			d.skew.Store(int64(-24 * time.Hour))
			d.start(t)
			allHolds("started with a clock that is behind", living, false)
			allHolds("started with a clock that is behind, a token of tomorrow", ahead, false)
		})
	}
}

// jti tells access tokens apart.
func jti(t *testing.T, raw string) any {
	t.Helper()
	_, payload := parseJWT(t, raw)
	return payload["jti"]
}

// displaceInTurn logs one user in on instances whose clocks differ, in turn: the
// newest login is always the active one, and the login time in the answers never
// decreases.
func displaceInTurn(t *testing.T, instances ...*deployment) {
	number := instances[0].number()
	var last account
	before := ""
	for i := range 6 {
		on, other := instances[i%2], instances[(i+1)%2]
		on.exec(t, "DELETE FROM codes") // and with them the cooldown
		next := on.login(t, form{Mobile: number, DeviceNumber: fmt.Sprint("device-", i)})
		on.wantState(t, next.AccessToken.Value, fmt.Sprint("device-", i), "active")
		if last.AccessToken.Value != "" {
			at := lastLoginTime(t, on.wantState(t, last.AccessToken.Value, fmt.Sprint("device-", i-1), "displaced"))
			if at < before {
				t.Errorf("the newest login was at %s and is at %s", before, at)
			}
			before = at
			eventually(t, time.Second, "the other instance knows", func() bool {
				return other.send(t, call{path: checkPath(fmt.Sprint("device-", i-1)), as: last.AccessToken.Value}.request(t, other.public)).header.Get("X-Login-State") == "displaced"
			})
		}
		last = next
	}
}
