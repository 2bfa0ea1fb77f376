package model_test

import (
	"math"
	"testing"
	"time"

	"menshen/model"
)

func TestTimeOfTruncates(t *testing.T) {
	at := time.Date(2019, 8, 24, 14, 15, 22, 123999999, time.FixedZone("Shanghai", 8*3600))
	got := model.TimeOf(at)
	if got != 1566627322123 {
		t.Errorf("got %d", got)
	}
	if back := got.Std(); back.Location() != time.UTC || !back.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("back it is %v", back)
	}
}

func TestTimeOnTheWire(t *testing.T) {
	tests := []struct {
		name string
		at   model.Time
		text string
		json string
	}{
		{"the contract's", model.TimeOf(time.Date(2019, 8, 24, 14, 15, 22, 0, time.UTC)), "2019-08-24T14:15:22Z", `"2019-08-24T14:15:22Z"`},
		{"fractions are cut", model.TimeOf(time.Date(2019, 8, 24, 14, 15, 22, 999e6, time.UTC)), "2019-08-24T14:15:22Z", `"2019-08-24T14:15:22Z"`},
		{"never", 0, "1970-01-01T00:00:00Z", `null`},
		{"past 2038", model.TimeOf(time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)), "2038-01-19T03:14:08Z", `"2038-01-19T03:14:08Z"`},
		{"leap day", model.TimeOf(time.Date(2096, 2, 29, 23, 59, 59, 0, time.UTC)), "2096-02-29T23:59:59Z", `"2096-02-29T23:59:59Z"`},
		{"the last second", model.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)), "9999-12-31T23:59:59Z", `"9999-12-31T23:59:59Z"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.at.String(); got != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
			if got := marshalled(t, tt.at); got != tt.json {
				t.Errorf("JSON %s, want %s", got, tt.json)
			}
		})
	}
}

func TestTimeArithmetic(t *testing.T) {
	at := model.Time(1566627322123)
	if got := at.Add(1999*time.Microsecond) - at; got != 1 {
		t.Errorf("Add of 1.999 ms adds %d ms", got)
	}
	if got := at.Add(-time.Hour).Sub(at); got != -time.Hour {
		t.Errorf("Sub is %v", got)
	}
	if at.Second() != 1566627322000 || at.Unix() != 1566627322 || at.Second().Second() != at.Second() {
		t.Errorf("Second %d, Unix %d", at.Second(), at.Unix())
	}
}

func TestSessionAlive(t *testing.T) {
	const idle, ends = 2000, 3000
	tests := []struct {
		name           string
		session        model.Session
		now            model.Time
		expired, alive bool
	}{
		{"before both ends", model.Session{IdleUntil: idle, EndsAt: ends}, 1999, false, true},
		{"at the idle end", model.Session{IdleUntil: idle, EndsAt: ends}, 2000, true, false},
		{"at the absolute end", model.Session{IdleUntil: 9000, EndsAt: ends}, 3000, true, false},
		{"before the absolute end", model.Session{IdleUntil: 9000, EndsAt: ends}, 2999, false, true},
		{"ended before its time", model.Session{IdleUntil: idle, EndsAt: ends, EndedAt: 1}, 1000, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.session.Expired(tt.now) != tt.expired || tt.session.Alive(tt.now) != tt.alive {
				t.Errorf("expired %v, alive %v", tt.session.Expired(tt.now), tt.session.Alive(tt.now))
			}
		})
	}
}

func TestClaimsExpired(t *testing.T) {
	c := model.Claims{ExpiresAt: 5000}
	if c.Expired(4999) || !c.Expired(5000) || !c.Expired(5001) {
		t.Error("a token expires on its exp, not before and not after (RFC 7519 §4.1.4)")
	}
}

func TestUserBanned(t *testing.T) {
	tests := []struct {
		name  string
		until model.Time
		now   model.Time
		want  bool
	}{
		{"never banned", 0, 1000, false},
		{"until later", 2000, 1999, true},
		{"until now", 2000, 2000, false},
		{"for ever", model.Forever, math.MaxInt64 - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (model.User{BannedUntil: tt.until}).Banned(tt.now); got != tt.want {
				t.Errorf("banned is %v", got)
			}
		})
	}
}
