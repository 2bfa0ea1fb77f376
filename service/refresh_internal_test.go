package service

import (
	"testing"
	"time"

	"menshen/model"
)

// TestDecide is the table of design §4, row by row, with its boundaries.
func TestDecide(t *testing.T) {
	const (
		grace = 30 * time.Second
		in    = 30 * time.Second                  // since the current token was minted: the last moment of the grace
		out   = 30*time.Second + time.Millisecond // the first one after
		used  = true
	)
	names := map[act]string{
		actRotate: "rotate", actConverge: "converge", actRecover: "recover", actAdopt: "adopt", actStale: "stale", actReplay: "replay",
	}
	tests := []struct {
		name      string
		gen, prev int64
		confirmed bool
		presented int64
		after     time.Duration
		want      act
	}{
		{"current, at once", 5, 4, false, 5, 0, actRotate},
		{"current, in the grace", 5, 4, false, 5, in, actRotate},
		{"current, after the grace", 5, 4, false, 5, out, actRotate},
		{"current, used", 5, 4, used, 5, out, actRotate},
		{"current, expired", 5, 4, used, 5, time.Hour, actRotate},
		{"the first of a session", 1, 0, false, 1, 0, actRotate},
		{"the first of a session, used", 1, 0, used, 1, out, actRotate},

		{"predecessor, at once", 5, 4, false, 4, 0, actConverge},
		{"predecessor, at the end of the grace", 5, 4, false, 4, in, actConverge},
		{"predecessor, in the grace, used", 5, 4, used, 4, in, actConverge},
		{"predecessor, after the grace", 5, 4, false, 4, out, actRecover},
		{"predecessor, after the grace, used", 5, 4, used, 4, out, actReplay},
		{"predecessor, long after", 5, 4, false, 4, 1000 * time.Hour, actRecover},
		{"predecessor, long after, used", 5, 4, used, 4, 1000 * time.Hour, actReplay},
		{"predecessor before an orphan", 6, 4, false, 4, out, actRecover},
		{"predecessor before an orphan, in the grace", 6, 4, false, 4, in, actConverge},
		{"predecessor before an orphan, used", 6, 4, used, 4, out, actReplay},

		{"orphan, in the grace", 6, 4, false, 5, in, actConverge},
		{"orphan, in the grace, current used", 6, 4, used, 5, in, actConverge},
		{"orphan, after the grace", 6, 4, false, 5, out, actReplay},
		{"orphan, after the grace, current used", 6, 4, used, 5, out, actReplay},

		{"older, at once", 5, 4, false, 3, 0, actStale},
		{"older, in the grace", 5, 4, used, 3, in, actStale},
		{"older, after the grace", 5, 4, false, 3, out, actReplay},
		{"older, after the grace, used", 5, 4, used, 3, out, actReplay},
		{"much older", 50, 49, false, 1, out, actReplay},
		{"much older, in the grace", 50, 49, false, 1, in, actStale},
		{"generation 0", 1, 0, false, 0, out, actRecover}, // never minted; a token of it cannot be ours
		{"older than an orphan's predecessor", 6, 4, false, 3, out, actReplay},

		{"newer", 5, 4, false, 6, 0, actAdopt},
		{"newer, used", 5, 4, used, 6, out, actAdopt},
		{"much newer", 5, 4, used, 500, 1000 * time.Hour, actAdopt},

		{"the clock was set back: current", 5, 4, used, 5, -time.Hour, actRotate},
		{"the clock was set back: predecessor", 5, 4, used, 4, -time.Hour, actConverge},
		{"the clock was set back: older", 5, 4, used, 3, -time.Hour, actStale},
	}
	const minted = model.Time(1767323045678)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			session := model.Session{
				Gen: tt.gen, PrevGen: tt.prev, Confirmed: tt.confirmed, MintedAt: minted, CurExp: minted.Add(15 * time.Minute),
			}
			if got := decide(session, tt.presented, minted.Add(tt.after), grace); got != tt.want {
				t.Errorf("decided to %s, want %s", names[got], names[tt.want])
			}
		})
	}
}

// TestDecideOnAnExpiredToken: to converge on a token that has expired would help
// nobody, with an access_ttl below the grace.
func TestDecideOnAnExpiredToken(t *testing.T) {
	const minted = model.Time(1767323045678)
	session := model.Session{Gen: 6, PrevGen: 4, Confirmed: true, MintedAt: minted, CurExp: minted.Add(10 * time.Second)}
	tests := []struct {
		presented int64
		after     time.Duration
		want      act
	}{
		{4, 10*time.Second - time.Millisecond, actConverge},
		{4, 10 * time.Second, actRecover},
		{5, 10*time.Second - time.Millisecond, actConverge},
		{5, 10 * time.Second, actRecover},
		{3, 10 * time.Second, actStale},
		{6, 10 * time.Second, actRotate},
		{4, 31 * time.Second, actReplay},
	}
	for _, tt := range tests {
		if got := decide(session, tt.presented, minted.Add(tt.after), 30*time.Second); got != tt.want {
			t.Errorf("generation %d after %v: %d, want %d", tt.presented, tt.after, got, tt.want)
		}
	}
}

// TestDecideWithoutGrace: with a grace of 0 parallel requests of one
// millisecond still converge.
func TestDecideWithoutGrace(t *testing.T) {
	const minted = model.Time(1767323045678)
	session := model.Session{Gen: 5, PrevGen: 4, MintedAt: minted, CurExp: minted.Add(time.Minute)}
	if got := decide(session, 4, minted, 0); got != actConverge {
		t.Errorf("at once: %d", got)
	}
	if got := decide(session, 4, minted+1, 0); got != actRecover {
		t.Errorf("a millisecond later: %d", got)
	}
	session.Confirmed = true
	if got := decide(session, 4, minted+1, 0); got != actReplay {
		t.Errorf("a millisecond later, used: %d", got)
	}
}
