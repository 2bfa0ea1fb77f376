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
	names := map[verdict]string{
		verdictRotate: "rotate", verdictConverge: "converge", verdictRecover: "recover", verdictAdopt: "adopt", verdictStale: "stale", verdictReplay: "replay",
	}
	tests := []struct {
		name      string
		gen, prev int64
		confirmed bool
		presented int64
		after     time.Duration
		want      verdict
	}{
		{"current, at once", 5, 4, false, 5, 0, verdictRotate},
		{"current, in the grace", 5, 4, false, 5, in, verdictRotate},
		{"current, after the grace", 5, 4, false, 5, out, verdictRotate},
		{"current, used", 5, 4, used, 5, out, verdictRotate},
		{"current, expired", 5, 4, used, 5, time.Hour, verdictRotate},
		{"the first of a session", 1, 0, false, 1, 0, verdictRotate},
		{"the first of a session, used", 1, 0, used, 1, out, verdictRotate},

		{"predecessor, at once", 5, 4, false, 4, 0, verdictConverge},
		{"predecessor, at the end of the grace", 5, 4, false, 4, in, verdictConverge},
		{"predecessor, in the grace, used", 5, 4, used, 4, in, verdictConverge},
		{"predecessor, after the grace", 5, 4, false, 4, out, verdictRecover},
		{"predecessor, after the grace, used", 5, 4, used, 4, out, verdictReplay},
		{"predecessor, long after", 5, 4, false, 4, 1000 * time.Hour, verdictRecover},
		{"predecessor, long after, used", 5, 4, used, 4, 1000 * time.Hour, verdictReplay},
		{"predecessor before an orphan", 6, 4, false, 4, out, verdictRecover},
		{"predecessor before an orphan, in the grace", 6, 4, false, 4, in, verdictConverge},
		{"predecessor before an orphan, used", 6, 4, used, 4, out, verdictReplay},

		{"orphan, in the grace", 6, 4, false, 5, in, verdictConverge},
		{"orphan, in the grace, current used", 6, 4, used, 5, in, verdictConverge},
		{"orphan, after the grace", 6, 4, false, 5, out, verdictReplay},
		{"orphan, after the grace, current used", 6, 4, used, 5, out, verdictReplay},

		{"older, at once", 5, 4, false, 3, 0, verdictStale},
		{"older, in the grace", 5, 4, used, 3, in, verdictStale},
		{"older, after the grace", 5, 4, false, 3, out, verdictReplay},
		{"older, after the grace, used", 5, 4, used, 3, out, verdictReplay},
		{"much older", 50, 49, false, 1, out, verdictReplay},
		{"much older, in the grace", 50, 49, false, 1, in, verdictStale},
		{"generation 0", 1, 0, false, 0, out, verdictRecover}, // never minted; a token of it cannot be ours
		{"older than an orphan's predecessor", 6, 4, false, 3, out, verdictReplay},

		{"newer", 5, 4, false, 6, 0, verdictAdopt},
		{"newer, used", 5, 4, used, 6, out, verdictAdopt},
		{"much newer", 5, 4, used, 500, 1000 * time.Hour, verdictAdopt},

		{"the clock was set back: current", 5, 4, used, 5, -time.Hour, verdictRotate},
		{"the clock was set back: predecessor", 5, 4, used, 4, -time.Hour, verdictConverge},
		{"the clock was set back: older", 5, 4, used, 3, -time.Hour, verdictStale},
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

// TestDecideOnAnExpiredToken: with an access_ttl below the grace, a refresh does not
// converge on a token that has expired: no client could use it.
func TestDecideOnAnExpiredToken(t *testing.T) {
	const minted = model.Time(1767323045678)
	session := model.Session{Gen: 6, PrevGen: 4, Confirmed: true, MintedAt: minted, CurExp: minted.Add(10 * time.Second)}
	tests := []struct {
		presented int64
		after     time.Duration
		want      verdict
	}{
		{4, 10*time.Second - time.Millisecond, verdictConverge},
		{4, 10 * time.Second, verdictRecover},
		{5, 10*time.Second - time.Millisecond, verdictConverge},
		{5, 10 * time.Second, verdictRecover},
		{3, 10 * time.Second, verdictStale},
		{6, 10 * time.Second, verdictRotate},
		{4, 31 * time.Second, verdictReplay},
	}
	for _, tt := range tests {
		if got := decide(session, tt.presented, minted.Add(tt.after), 30*time.Second); got != tt.want {
			t.Errorf("generation %d after %v: %s, want %s", tt.presented, tt.after, got, tt.want)
		}
	}
}

// TestDecideWithoutGrace: with a grace of 0 parallel requests of one
// millisecond still converge.
func TestDecideWithoutGrace(t *testing.T) {
	const minted = model.Time(1767323045678)
	session := model.Session{Gen: 5, PrevGen: 4, MintedAt: minted, CurExp: minted.Add(time.Minute)}
	if got := decide(session, 4, minted, 0); got != verdictConverge {
		t.Errorf("at once: %s", got)
	}
	if got := decide(session, 4, minted+1, 0); got != verdictRecover {
		t.Errorf("a millisecond later: %s", got)
	}
	session.Confirmed = true
	if got := decide(session, 4, minted+1, 0); got != verdictReplay {
		t.Errorf("a millisecond later, used: %s", got)
	}
}
