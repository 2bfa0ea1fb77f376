package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// audit reads the deployment's log of events.
func (d *deployment) audit() *service.Audit {
	events := repository.Events{DB: d.db}
	return &service.Audit{Store: events, Sent: repository.Messages{DB: d.db}, Log: events, Users: repository.Users{DB: d.db}, Active: repository.Sessions{DB: d.db}, Now: d.clock.Now}
}

// appendEvents appends the event n times.
func (d *deployment) appendEvents(t *testing.T, n int, line model.Event) {
	t.Helper()
	for range n {
		if err := (repository.Events{DB: d.db}).Append(t.Context(), line); err != nil {
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
	login := func(moment, product, source string) func(t *testing.T, d *deployment) {
		return func(t *testing.T, d *deployment) {
			d.appendEvents(t, 1, model.Event{At: at(t, moment), Kind: model.EventLogin, Detail: model.EventDetail("productType", product, "source", source)})
		}
	}
	lines := func(moment string, kind model.Kind, n int) func(t *testing.T, d *deployment) {
		return func(t *testing.T, d *deployment) { d.appendEvents(t, n, model.Event{At: at(t, moment), Kind: kind}) }
	}
	kicks := func(moment string, sessions ...string) func(t *testing.T, d *deployment) {
		return func(t *testing.T, d *deployment) {
			for _, session := range sessions {
				d.appendEvents(t, 1, model.Event{At: at(t, moment), Kind: model.EventKick, SessionID: session})
			}
		}
	}
	log := []func(t *testing.T, d *deployment){
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
	morning := []service.Breakdown{{0, "", 1}, {0, "ios", 2}, {1, "ios", 1}}
	for _, tt := range []struct {
		name, from, to, step string
		want                 []service.Stats
	}{
		{"hours", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "", []service.Stats{
			{From: first, Events: map[model.Kind]int64{"code_sent": 2, "number_changed": 3, "login": 4}, Redeemed: 10, Logins: morning},
			{From: first.Add(time.Hour), Events: map[model.Kind]int64{"user_deleted": 1, "reuse": 4}, Redeemed: 1},
			{From: first.Add(23 * time.Hour), Events: map[model.Kind]int64{"login": 1}, Redeemed: 1, Logins: []service.Breakdown{{0, "ios", 1}}},
		}},
		{"days", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "", []service.Stats{
			{From: first, Events: map[model.Kind]int64{"code_sent": 2, "number_changed": 3, "login": 5, "user_deleted": 1, "reuse": 4}, Redeemed: 12, Logins: []service.Breakdown{{0, "", 1}, {0, "ios", 3}, {1, "ios", 1}}},
			{From: second, Events: map[model.Kind]int64{"displaced": 5, "login": 1, "kick": 4}, Redeemed: 1, Kicked: 2},
		}},
		{"cut off", "2026-01-01T00:31:00.000Z", "2026-01-01T00:59:59.999Z", "", []service.Stats{
			{From: first, Events: map[model.Kind]int64{"login": 3}, Redeemed: 3, Logins: []service.Breakdown{{0, "", 1}, {0, "ios", 1}, {1, "ios", 1}}},
		}},
		{"another zone's day", "2026-01-02T08:00:00+08:00", "2026-01-02T08:00:00.001+08:00", "", []service.Stats{
			{From: second, Events: map[model.Kind]int64{"displaced": 5, "login": 1, "kick": 4}, Redeemed: 1, Kicked: 2},
		}},
		{"minutes", "2026-01-01T00:30:00Z", "2026-01-01T00:32:00Z", "minute", []service.Stats{
			{From: first.Add(30 * time.Minute), Events: map[model.Kind]int64{"login": 1}, Redeemed: 1, Logins: []service.Breakdown{{0, "ios", 1}}},
			{From: first.Add(31 * time.Minute), Events: map[model.Kind]int64{"login": 1}, Redeemed: 1, Logins: []service.Breakdown{{0, "ios", 1}}},
		}},
		{"a day of three hours", "2026-01-01T23:00:00Z", "2026-01-02T01:00:00Z", "day", []service.Stats{
			{From: first, Events: map[model.Kind]int64{"login": 1}, Redeemed: 1, Logins: []service.Breakdown{{0, "ios", 1}}},
			{From: second, Events: map[model.Kind]int64{"displaced": 5, "login": 1, "kick": 4}, Redeemed: 1, Kicked: 2},
		}},
		{"nothing", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachDeployment(t, func(t *testing.T, d *deployment) {
				for _, tell := range log {
					tell(t, d)
				}
				got, _, err := d.audit().Stats(t.Context(), root, service.StatsQuery{From: at(t, tt.from), To: at(t, tt.to), Step: tt.step})
				if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
					t.Errorf("error %v\n%s", err, diff)
				}
			})
		})
	}
}

// TestStatsOfActiveSessions: those that live now, by product.
func TestStatsOfActiveSessions(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		i.logIn(d.number(), onDevice(0, "a")) // will expire
		d.clock.Advance(shortIdle)
		number := d.number()
		i.logIn(number, onDevice(2, "a"))
		i.logIn(number, onDevice(2, "b"))
		kicked := i.logIn(d.number(), onDevice(3, "c"))
		i.logIn(d.number(), onDevice(0, "d"))
		mustEnd(t, 1)(i.admin.Kick(t.Context(), root, kicked.user, service.KickTarget{}, "x"))
		stats, active, err := d.audit().Stats(t.Context(), root, service.StatsQuery{})
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

// TestStatsSteps: a step bounds the span, and an unknown one is refused.
func TestStatsSteps(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		now := model.TimeOf(d.clock.Now())
		for _, tt := range []struct {
			step string
			span time.Duration
			want error
		}{
			{"minute", 3 * time.Hour, nil},
			{"minute", 3*time.Hour + time.Millisecond, model.MalformedField("from", model.ReasonRange)},
			{"hour", 72 * time.Hour, nil},
			{"hour", 72*time.Hour + time.Millisecond, model.MalformedField("from", model.ReasonRange)},
			{"day", 100 * 366 * 24 * time.Hour, nil},
			{"", 100 * 366 * 24 * time.Hour, nil},
			{"week", time.Hour, model.MalformedField("step", model.ReasonUnknown)},
		} {
			_, _, err := d.audit().Stats(t.Context(), root, service.StatsQuery{From: now.Add(-tt.span), To: now, Step: tt.step})
			if fmt.Sprint(err) != fmt.Sprint(tt.want) {
				t.Errorf("%s over %s: error %v, want %v", tt.step, tt.span, err, tt.want)
			}
		}
	})
}

// TestStatsOfReturned: a registration counts in its own hour once the account was used a day
// later, and messages count by vendor.
func TestStatsOfReturned(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i, faithful := d.start(0), d.number()
		i.logIn(faithful, onDevice(0, "a"))
		i.logIn(d.number(), onDevice(0, "b")) // never comes back
		d.clock.Advance(repository.ReturnTime)
		i.logIn(faithful, onDevice(0, "a"))
		stats, _, err := d.audit().Stats(t.Context(), root, service.StatsQuery{From: model.TimeOf(d.clock.Now()).Add(-48 * time.Hour)})
		var registered, returned, sent, redeemed int64
		for _, s := range stats {
			for _, part := range s.Registers {
				registered += part.Count
			}
			for _, part := range s.Returned {
				returned += part.Count
				if len(s.Registers) == 0 {
					t.Error("the return is not counted in the hour of the registration")
				}
			}
			for _, v := range s.Vendors {
				sent, redeemed = sent+v.Sent, redeemed+v.Redeemed
			}
		}
		if err != nil || registered != 2 || returned != 1 || sent != 3 || redeemed != 3 {
			t.Errorf("%d registered, %d returned, %d sent, %d redeemed, error %v", registered, returned, sent, redeemed, err)
		}
	})
}

// TestRecordConfigChange: names of keys and nothing else, as many as find room.
func TestRecordConfigChange(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		many := make([]string, 200)
		for n := range many {
			many[n] = fmt.Sprintf("section.some_key_%d", n)
		}
		for _, keys := range [][]string{nil, {"server.locale", "products"}, many} {
			if err := d.audit().RecordConfigChange(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}
		lines := d.lines(t, 0, model.EventConfigChanged)
		if len(lines) != 2 || lines[0].Detail != `{"keys":["server.locale","products"]}` || lines[0].Actor != model.ActorSystem {
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
