package service

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
)

// audit looks at the fleet's log.
func (f *fleet) audit() *Audit {
	events := repository.Events{DB: f.db}
	return &Audit{Store: events, Log: events, Users: repository.Users{DB: f.db}, Active: repository.Sessions{DB: f.db}, Now: f.clock.Now}
}

// tell adds n lines to the log.
func (f *fleet) tell(t *testing.T, n int, line model.Event) {
	t.Helper()
	for range n {
		if err := (repository.Events{DB: f.db}).Append(t.Context(), line); err != nil {
			t.Fatal(err)
		}
	}
}

func at(t *testing.T, text string) model.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return model.TimeOf(moment)
}

// TestStats: each line is counted in its hour or day of UTC and nowhere else.
func TestStats(t *testing.T) {
	login := func(moment, product, source string) func(t *testing.T, f *fleet) {
		return func(t *testing.T, f *fleet) {
			f.tell(t, 1, model.Event{At: at(t, moment), Kind: model.EventLogin, Detail: detail("productType", product, "source", source)})
		}
	}
	lines := func(moment string, kind model.Kind, n int) func(t *testing.T, f *fleet) {
		return func(t *testing.T, f *fleet) { f.tell(t, n, model.Event{At: at(t, moment), Kind: kind}) }
	}
	kicks := func(moment string, sessions ...string) func(t *testing.T, f *fleet) {
		return func(t *testing.T, f *fleet) {
			for _, session := range sessions {
				f.tell(t, 1, model.Event{At: at(t, moment), Kind: model.EventKick, SessionID: session})
			}
		}
	}
	log := []func(t *testing.T, f *fleet){
		lines("2025-12-31T23:59:59.999Z", model.EventCodeSent, 1),
		lines("2026-01-01T00:00:00Z", model.EventCodeSent, 2),
		lines("2026-01-01T00:59:59.999Z", model.EventNumberChanged, 3),
		login("2026-01-01T00:30:00Z", "0", "ios"), login("2026-01-01T00:31:00Z", "0", "ios"), login("2026-01-01T00:32:00Z", "1", "ios"), login("2026-01-01T00:33:00Z", "0", ""),
		lines("2026-01-01T01:00:00Z", model.EventUserDeleted, 1), lines("2026-01-01T01:00:00Z", model.EventReuse, 4),
		login("2026-01-01T23:59:59.999Z", "0", "ios"),
		lines("2026-01-02T00:00:00Z", model.EventDisplaced, 5),
		lines("2026-01-02T00:00:00Z", model.EventLogin, 1), // of another form
		kicks("2026-01-02T00:00:00Z", "A", "", "B", ""),    // two ended nothing
	}
	first, second := at(t, "2026-01-01T00:00:00Z"), at(t, "2026-01-02T00:00:00Z")
	morning := []Breakdown{{0, "", 1}, {0, "ios", 2}, {1, "ios", 1}}
	for _, tt := range []struct {
		name, from, to string
		want           []Stats
	}{
		{"hours", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", []Stats{
			{From: first, Events: map[model.Kind]int64{"code_sent": 2, "number_changed": 3, "login": 4}, Redeemed: 10, Logins: morning},
			{From: first.Add(time.Hour), Events: map[model.Kind]int64{"user_deleted": 1, "reuse": 4}, Redeemed: 1},
			{From: first.Add(23 * time.Hour), Events: map[model.Kind]int64{"login": 1}, Redeemed: 1, Logins: []Breakdown{{0, "ios", 1}}},
		}},
		{"days", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", []Stats{
			{From: first, Events: map[model.Kind]int64{"code_sent": 2, "number_changed": 3, "login": 5, "user_deleted": 1, "reuse": 4}, Redeemed: 12, Logins: []Breakdown{{0, "", 1}, {0, "ios", 3}, {1, "ios", 1}}},
			{From: second, Events: map[model.Kind]int64{"displaced": 5, "login": 1, "kick": 4}, Redeemed: 1, Kicked: 2},
		}},
		{"cut off", "2026-01-01T00:31:00.000Z", "2026-01-01T00:59:59.999Z", []Stats{
			{From: first, Events: map[model.Kind]int64{"login": 3}, Redeemed: 3, Logins: []Breakdown{{0, "", 1}, {0, "ios", 1}, {1, "ios", 1}}},
		}},
		{"another zone's day", "2026-01-02T08:00:00+08:00", "2026-01-02T08:00:00.001+08:00", []Stats{
			{From: second, Events: map[model.Kind]int64{"displaced": 5, "login": 1, "kick": 4}, Redeemed: 1, Kicked: 2},
		}},
		{"nothing", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachFleet(t, func(t *testing.T, f *fleet) {
				for _, tell := range log {
					tell(t, f)
				}
				got, _, err := f.audit().Stats(t.Context(), at(t, tt.from), at(t, tt.to))
				if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
					t.Errorf("error %v\n%s", err, diff)
				}
			})
		})
	}
}

// TestStatsOfActiveSessions: those that live now, by product.
func TestStatsOfActiveSessions(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		i := f.start(0)
		i.arrive(t, f.number(), 0, "a") // will expire
		f.clock.Advance(fleetIdle)
		number := f.number()
		i.arrive(t, number, 2, "a")
		i.arrive(t, number, 2, "b")
		kicked := i.arrive(t, f.number(), 3, "c")
		i.arrive(t, f.number(), 0, "d")
		mustEnd(t, 1)(i.operators.Kick(t.Context(), root, kicked.user, KickTarget{}, "x"))
		stats, active, err := f.audit().Stats(t.Context(), 0, 0)
		if diff := cmp.Diff(map[int32]int64{0: 1, 2: 2}, active); err != nil || diff != "" {
			t.Errorf("error %v\n%s", err, diff)
		}
		logins := int64(0)
		for _, s := range stats {
			logins += s.Events[model.EventLogin]
		}
		if logins != 5 { // that of this very millisecond too
			t.Errorf("%d logins within the last day", logins)
		}
	})
}

// TestNoteConfig: names of keys and nothing else, as many as find room.
func TestNoteConfig(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		many := make([]string, 200)
		for n := range many {
			many[n] = fmt.Sprintf("section.some_key_%d", n)
		}
		for _, keys := range [][]string{nil, {"server.locale", "products"}, many} {
			if err := f.audit().NoteConfig(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}
		lines := f.lines(t, 0, model.EventConfigChanged)
		if len(lines) != 2 || lines[0].Detail != `{"keys":["server.locale","products"]}` || lines[0].Actor != actorSystem {
			t.Fatalf("lines %+v", lines)
		}
		var told struct {
			Keys []string
			More int
		}
		if err := json.Unmarshal([]byte(lines[1].Detail), &told); err != nil || len(told.Keys)+told.More != 200 || told.More == 0 || len(told.Keys) < 70 || strings.Join(told.Keys, "") == "" {
			t.Errorf("%d keys and %d more, error %v", len(told.Keys), told.More, err)
		}
	})
}
