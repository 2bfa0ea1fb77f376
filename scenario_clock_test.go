package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestSkewedClocks: two instances whose machines' clocks are a minute apart agree
// on all that is told of time, because they go by the database's; who displaced
// whom is a matter of epochs, and of no clock at all.
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
		fast.skew, slow.skew = 30*time.Second, -30*time.Second
		fast.start(t)
		slow.start(t)
		t.Run("times are the database's", func(t *testing.T) {
			for _, d := range []*deployment{fast, slow} {
				a := d.login(t, form{Mobile: fast.number(), DeviceNumber: "device"})
				if left := time.Until(a.AccessToken.Expire); left < 14*time.Minute+45*time.Second || left > 15*time.Minute+time.Second {
					t.Errorf("with a clock %s off a token of 15 minutes lives for %s", d.skew, left)
				}
			}
		})
		t.Run("codes and cooldowns", func(t *testing.T) {
			for _, turn := range [][2]*deployment{{fast, slow}, {slow, fast}} {
				number := fast.number()
				code := turn[0].sendCode(t, number, 0)
				turn[1].refused(t, ask(number, ""), 42901, 45, 60)
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
				fast.checks(t, access, "device", "active")
				slow.checks(t, access, "device", "active")
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

// jti tells access tokens apart.
func jti(t *testing.T, raw string) any {
	t.Helper()
	_, payload := parts(t, raw)
	return payload["jti"]
}

// displaceInTurn logs one user in on instances whose clocks differ, in turn: the
// newest login is always the one that lives, and the time that is told of it
// never falls.
func displaceInTurn(t *testing.T, instances ...*deployment) {
	number := instances[0].number()
	var last account
	before := ""
	for i := range 6 {
		on, other := instances[i%2], instances[(i+1)%2]
		on.exec(t, "DELETE FROM codes") // and with them the cooldown
		next := on.login(t, form{Mobile: number, DeviceNumber: fmt.Sprint("device-", i)})
		on.checks(t, next.AccessToken.Value, fmt.Sprint("device-", i), "active")
		if last.AccessToken.Value != "" {
			at := lastLogin(t, on.checks(t, last.AccessToken.Value, fmt.Sprint("device-", i-1), "displaced"))
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
