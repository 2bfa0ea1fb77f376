//go:build cluster

package e2e

import (
	"fmt"
	"testing"
)

// TestClusterBans: a login on one node and a ban on another leave no active
// session of a banned user, whichever was first. The user's row is the only one
// that both write.
func TestClusterBans(t *testing.T) {
	c := startCluster(t)
	const rounds, users = 20, 12
	c.countConflicts(t, func() {
		for round := range rounds {
			sessions := make([]*session, users)
			codes := make([]string, users)
			for n := range users {
				on := c.instances[n%3]
				sessions[n] = on.login(t, "", "old")
				codes[n] = on.sendCode(t, sessions[n].mobile)
			}
			runAtOnce(2*users, func(n int) {
				s, on := sessions[n/2], c.instances[(n/2+n%2)%3]
				if n%2 == 0 {
					if a := on.call(loginRequest(s.mobile, codes[n/2], "new")); a.code != 0 && a.code != 40300 && a.code != 50300 {
						t.Errorf("round %d, a login: %s", round, a)
					}
					return
				}
				ban := request{path: fmt.Sprintf("/admin/users/%d/ban", s.user), body: object{"reason": "e2e"}}
				for a := on.callAdmin(ban); a.code != 0; a = on.callAdmin(ban) {
					if a.code != 50300 {
						t.Errorf("round %d, a ban: %s", round, a)
						return
					}
				}
			})
		}
	})
	var alive, banned int
	const count = "SELECT COUNT(s.id), COUNT(DISTINCT u.id) FROM users u LEFT JOIN sessions s ON s.user_id = u.id AND s.active_slot IS NOT NULL WHERE u.banned_until > 0"
	if err := c.d.sql(t).QueryRowContext(t.Context(), count).Scan(&alive, &banned); err != nil {
		t.Fatal(err)
	}
	if alive != 0 || banned != rounds*users {
		t.Errorf("%d of %d users are banned, with %d active sessions", banned, rounds*users, alive)
	}
}

// TestClusterDuplicateDevices: of two sessions of a user that send the same device
// number for the first time, on two nodes at once, one stays.
func TestClusterDuplicateDevices(t *testing.T) {
	c := startCluster(t)
	const rounds, users = 20, 12
	c.countConflicts(t, func() {
		for range rounds {
			twins := make([]*session, 2*users)
			for n := range twins {
				mobile := ""
				if n%2 == 1 {
					mobile = twins[n-1].mobile
				}
				twins[n] = c.instances[n/2%3].loginAtHome(t, mobile)
			}
			runAtOnce(len(twins), func(n int) {
				if _, a := c.instances[(n/2+n%2)%3].check(twins[n]); a.code != 0 && a.code != 50300 {
					t.Errorf("a check: %s", a)
				}
			})
			for n := range users { // bound by now, if the database did not give up
				for i := range 2 {
					c.instances[n%3].check(twins[2*n+i])
				}
			}
		}
	})
	var twice int
	const count = "SELECT COUNT(*) FROM (SELECT user_id FROM sessions WHERE active_slot IS NOT NULL AND device_number <> '' GROUP BY user_id, device_number HAVING COUNT(*) > 1) twins"
	if err := c.d.sql(t).QueryRowContext(t.Context(), count).Scan(&twice); err != nil {
		t.Fatal(err)
	}
	if twice != 0 {
		t.Errorf("%d users have two sessions on one device", twice)
	}
}

// loginAtHome logs in without a device number where two sessions are allowed. The
// session has the number that its first check sends.
func (i *instance) loginAtHome(t *testing.T, mobile string) *session {
	t.Helper()
	if mobile == "" {
		mobile = i.d.number()
	}
	r := loginRequest(mobile, i.sendCode(t, mobile), "")
	r.body.(object)["productType"] = 2
	return i.call(r).session(t, mobile, "twin")
}
