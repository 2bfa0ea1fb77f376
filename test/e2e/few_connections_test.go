package e2e

import (
	"testing"

	"menshen/repository"
)

// TestFewConnections: while the server refuses further connections, logins wait for those
// that the instance has, and none fails.
func TestFewConnections(t *testing.T) {
	t.Parallel()
	needMySQL(t)
	d := newDeployment(t, repository.MySQL)
	d.dsnOf(t, data) // makes the account
	d.exec(t, "ALTER USER "+d.accounts[data]+" WITH MAX_USER_CONNECTIONS 3")
	i := d.start(t, data)
	sessions := make([]*session, 12)
	runAtOnce(len(sessions), func(n int) { sessions[n] = i.login(t, "", "device") })
	for _, s := range sessions {
		i.wantState(t, s, "active")
	}
}
