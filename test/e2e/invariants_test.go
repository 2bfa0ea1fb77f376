package e2e

import "testing"

// endKinds are the events that end a session.
const endKinds = "'displaced', 'relogin', 'logout', 'kick', 'ban', 'reuse', 'expired', 'user_deleted'"

// eventsOf joins each session with the number of its events of some kinds. No index leads
// from a session to its events: to count them for one after the other takes for ever.
func eventsOf(kinds string) string {
	return ` LEFT JOIN (SELECT session_id, COUNT(*) AS n FROM events WHERE kind IN (` + kinds + `) GROUP BY session_id) e ON e.session_id = s.id`
}

// wounds are queries that count what an act done by half would leave behind.
var wounds = map[string]string{
	"users with two active sessions in a group":  `SELECT COUNT(*) FROM (SELECT user_id FROM sessions WHERE active_slot IS NOT NULL GROUP BY user_id, product_group HAVING COUNT(*) > 1) AS w`,
	"sessions that are neither active nor ended": `SELECT COUNT(*) FROM sessions WHERE (active_slot IS NULL) <> (ended_at <> 0) OR (ended_at <> 0) <> (end_reason <> '')`,
	"sessions without exactly one login":         `SELECT COUNT(*) FROM sessions s` + eventsOf("'login'") + ` WHERE COALESCE(e.n, 0) <> 1`,
	"sessions without exactly one end":           `SELECT COUNT(*) FROM sessions s` + eventsOf(endKinds) + ` WHERE (s.ended_at <> 0) <> COALESCE(e.n, 0)`,
	"slots that are not at their newest session": `SELECT COUNT(*) FROM slots p WHERE p.epoch <>
(SELECT COUNT(*) FROM sessions s WHERE s.user_id = p.user_id AND s.product_group = p.product_group) OR NOT EXISTS
(SELECT 1 FROM sessions s WHERE s.id = p.session_id AND s.epoch = p.epoch AND s.user_id = p.user_id AND s.login_at = p.login_at)`,
	"logins without a used code": `SELECT ABS((SELECT COUNT(*) FROM codes WHERE used_at <> 0 AND purpose = 'login') - (SELECT COUNT(*) FROM sessions))`,
	"users without exactly one registration": `SELECT COUNT(*) FROM users u WHERE 1 <>
(SELECT COUNT(*) FROM events e WHERE e.user_id = u.id AND e.kind = 'register')`,
	"codes without their event": `SELECT ABS((SELECT COUNT(*) FROM codes) - (SELECT COUNT(*) FROM events WHERE kind = 'code_sent'))`,
	"sessions of nobody":        `SELECT COUNT(*) FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = s.user_id)`,
	"events of nothing":         `SELECT COUNT(*) FROM events e WHERE e.session_id <> '' AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id)`,
}

// wantInvariants checks in the database that every act was done as a whole or not
// at all.
func (d *deployment) wantInvariants(t *testing.T) {
	t.Helper()
	db := d.sql(t)
	defer func() { _ = db.Close() }()
	for wound, query := range wounds {
		var count int
		if err := db.QueryRowContext(t.Context(), query).Scan(&count); err != nil {
			t.Fatalf("%s: %v", wound, err)
		}
		if count != 0 {
			t.Errorf("%d %s", count, wound)
		}
	}
}
