package service_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// guarded sets the guard of these scenes: an alarm when of ten and more codes of
// an hour less than a fifth were redeemed. What it is told of it remembers.
func (w *world) guarded(action service.GuardAction) *[]service.Alarm {
	alarms := w.alarms()
	told := &[]service.Alarm{}
	alarms.Told = func(a service.Alarm) { *told = append(*told, a) }
	w.codes.Guard = &service.Guard{
		Alarms: alarms, Rules: service.GuardRules{Action: action, Window: time.Hour, Least: 10, Percent: 20},
	}
	return told
}

func (w *world) alarms() *service.Alarms {
	return &service.Alarms{
		Tx: w.db, Store: repository.Codes{DB: w.db}, Events: repository.Events{DB: w.db}, Told: func(service.Alarm) {},
	}
}

// wantAlarms compares what the log of events tells of alarms.
func (w *world) wantAlarms(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.texts("SELECT detail FROM events WHERE kind = 'pumping' ORDER BY id")); diff != "" {
		w.t.Errorf("alarms differ:\n%s", diff)
	}
}

const aDay = 24 * time.Hour

// Numbers of one prefix, and of others; addresses of one block, and of others.
func pumped(i int) string    { return fmt.Sprintf("1380013%04d", i) }
func foreign(i int) string   { return fmt.Sprintf("13%09d", 100_000_000+10_000*i) }
func elsewhere(i int) string { return fmt.Sprintf("198.51.%d.7", i) }

// pump asks for so many codes of one prefix, each from another block, and
// redeems some of them, the newest.
func (w *world) pump(sent, redeemed int) {
	w.t.Helper()
	for i := range sent {
		code := w.code(pumped(i), fromIP(elsewhere(i)))
		if i >= sent-redeemed {
			_, err := w.try(pumped(i), code)
			wantFailure(w.t, err, nil)
		}
	}
}

const prefixAlarm = `{"action":"%s","key":"+861380013","redeemed":"%d","sent":"%d","what":"prefix","window":"1h0m0s"}`

func TestGuardJudges(t *testing.T) {
	const over = 5 * time.Minute // the end of a code
	alarm := func(redeemed, sent int) []string { return []string{fmt.Sprintf(prefixAlarm, "record", redeemed, sent)} }
	play(t,
		scene{"a prefix that redeems nothing", func(t *testing.T, w *world) {
			told := w.guarded(service.GuardRecord)
			w.pump(10, 0)
			w.clock.advance(over)
			w.wantAlarms()
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms(alarm(0, 10)...)
			want := []service.Alarm{{What: "prefix", Key: "+861380013", Sent: 10, Action: service.GuardRecord, Window: time.Hour}}
			if diff := cmp.Diff(want, *told); diff != "" {
				t.Errorf("told:\n%s", diff)
			}
		}},
		scene{"codes that live are not held against it", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(10, 0)
			w.clock.advance(over - ms)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms()
		}},
		scene{"one less than the least", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(9, 0)
			w.clock.advance(over)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms()
		}},
		scene{"just as many redeemed as must be", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(10, 2)
			w.clock.advance(over)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms()
		}},
		scene{"one redeemed too few", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(10, 1)
			w.clock.advance(over)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms(alarm(1, 10)...)
		}},
		scene{"many that redeem are judged again after five seconds", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(1, 1)
			w.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, used_at, prefix_key)
SELECT n.i, c.company_type, c.purpose, c.number_key, n.i, c.code_mac, c.ip_key, c.sent_at, c.expires_at, c.used_at, c.prefix_key
FROM codes c, ` + tenThousand + ` n WHERE n.i < 2000`)
			w.clock.advance(over)
			w.granted(pumped(98), fromIP(elsewhere(98)))
			w.sql("UPDATE codes SET used_at = 0")
			w.clock.advance(5*time.Second - ms)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms()
			w.clock.advance(ms)
			w.granted(pumped(97), fromIP(elsewhere(97)))
			w.wantAlarms(alarm(0, 2000)...)
		}},
		scene{"few are judged each time", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(9, 0)
			w.clock.advance(time.Second)
			w.granted(pumped(50), fromIP(elsewhere(50)))
			w.clock.advance(over - time.Second)
			w.granted(pumped(98), fromIP(elsewhere(98)))
			w.wantAlarms()
			w.clock.advance(time.Second)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms(alarm(0, 10)...)
		}},
		scene{"the window slides", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(10, 0)
			w.clock.advance(time.Hour)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms()
		}},
		scene{"a millisecond before it has slid", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.pump(10, 0)
			w.clock.advance(time.Hour - ms)
			w.granted(pumped(99), fromIP(elsewhere(99)))
			w.wantAlarms(alarm(0, 10)...)
		}},
		scene{"other prefixes are their own", func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			w.pump(10, 0)
			w.clock.advance(over)
			w.refused(pumped(99), model.ErrTooMany, 3600, fromIP(elsewhere(99)))
			w.granted("13800120001", fromIP(elsewhere(99))) // the eighth digit does not matter, the seventh does
			w.granted("13800140001", fromIP(elsewhere(99)))
			w.refused("+86 138-0013-9999", model.ErrTooMany, 3600, fromIP(elsewhere(99)))
		}},
		scene{"what the provider refused was not sent", func(t *testing.T, w *world) {
			w.guarded(service.GuardRecord)
			w.phone.fail = model.ErrSendRefused
			for i := range 20 {
				_, err := w.ask(pumped(i), fromIP("192.0.2.7"))
				wantFailure(t, err, model.ErrProvider)
			}
			w.phone.fail = nil
			w.clock.advance(over)
			w.granted(pumped(99), fromIP("192.0.2.7"))
			w.wantAlarms()
		}},
		scene{"test numbers are not sent to", func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			for i := range 12 {
				w.codes.TestNumbers = append(w.codes.TestNumbers, service.TestNumber{
					Mobile: model.NewMobile("+86" + pumped(i)), Code: "424242", Until: w.clock.Now().Add(aDay),
				})
				w.granted(pumped(i), fromIP("192.0.2.7"))
			}
			w.clock.advance(over)
			w.granted(pumped(99), fromIP("192.0.2.7"))
			w.wantAlarms()
			w.pump(22, 0) // twelve of them test numbers; ten others
			w.clock.advance(over)
			w.refused(pumped(99), model.ErrTooMany, 3600, fromIP(elsewhere(99)))
			w.granted(pumped(0), fromIP(elsewhere(99))) // nothing is sent, so nothing is denied
		}},
		scene{"off", func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			w.codes.Guard.Rules.Percent = 0
			w.pump(30, 0)
			w.clock.advance(over)
			w.granted(pumped(99))
			w.wantAlarms()
		}},
	)
}

func TestGuardJudgesBlocks(t *testing.T) {
	for _, row := range []struct {
		name          string
		inside        func(i int) string
		last, outside string
		key           string
	}{
		{"IPv4 by /24", func(i int) string { return fmt.Sprintf("203.0.113.%d", 20*i) }, "203.0.113.255", "203.0.114.0", "203.0.113.0/24"},
		{"IPv4 within IPv6", func(i int) string { return fmt.Sprintf("::ffff:203.0.113.%d", i) }, "203.0.113.99", "203.0.112.255", "203.0.113.0/24"},
		{"IPv6 by /48", func(i int) string { return fmt.Sprintf("2001:db8:7:%x::1", 4096*i) }, "2001:db8:7:ffff:ffff::", "2001:db8:8::1", "2001:db8:7::/48"},
	} {
		play(t, scene{row.name, func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			for i := range 10 {
				w.granted(foreign(i), fromIP(row.inside(i)))
			}
			w.clock.advance(5 * time.Minute)
			w.refused(foreign(11), model.ErrTooMany, 3600, fromIP(row.last))
			w.granted(foreign(11), fromIP(row.outside))
			w.wantAlarms(`{"action":"deny","key":"` + row.key + `","redeemed":"0","sent":"10","what":"block","window":"1h0m0s"}`)
		}})
	}
}

// TestGuardJudgesRegions: outside of China a group is the region.
func TestGuardJudgesRegions(t *testing.T) {
	play(t, scene{"numbers of Hong Kong", func(t *testing.T, w *world) {
		w.guarded(service.GuardDeny)
		w.codes.Numbers.Regions = []string{"CN", "HK", "US"}
		for i := range 10 {
			w.granted(fmt.Sprintf("+852 9123456%d", i), fromIP(elsewhere(i)))
		}
		w.clock.advance(5 * time.Minute)
		w.refused("+852 61234567", model.ErrTooMany, 3600, fromIP(elsewhere(99)))
		w.granted("+1 415 555 0123", fromIP(elsewhere(99)))
		w.granted(alice, fromIP(elsewhere(99)))
		w.wantAlarms(`{"action":"deny","key":"HK","redeemed":"0","sent":"10","what":"prefix","window":"1h0m0s"}`)
	}})
}

func TestGuardActs(t *testing.T) {
	suspicious := func(w *world, action service.GuardAction) {
		w.guarded(action)
		w.pump(10, 0)
		w.clock.advance(5 * time.Minute)
	}
	play(t,
		scene{"record changes no answer", func(t *testing.T, w *world) {
			suspicious(w, service.GuardRecord)
			for i := range 20 {
				if sent := w.granted(pumped(50+i), fromIP(elsewhere(50))); sent.ResendAfter != 0 {
					t.Errorf("resendAfter is %d", sent.ResendAfter)
				}
			}
		}},
		scene{"once in a window, whoever sees it", func(t *testing.T, w *world) {
			suspicious(w, service.GuardRecord)
			other := w.another()
			told := other.guarded(service.GuardRecord)
			w.granted(pumped(50), fromIP(elsewhere(50)))
			other.granted(pumped(51), fromIP(elsewhere(51)))
			w.clock.advance(time.Hour - ms)
			w.granted(pumped(52), fromIP(elsewhere(52)))
			w.pump(10, 0)
			w.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10))
			if len(*told) != 0 {
				t.Errorf("the other instance was told %v", *told)
			}
			w.clock.advance(5 * time.Minute)
			other.granted(pumped(53), fromIP(elsewhere(53)))
			w.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10), fmt.Sprintf(prefixAlarm, "record", 0, 11)) // what was sent during the first
		}},
		scene{"once over 32 requests at once on two instances", func(t *testing.T, w *world) {
			suspicious(w, service.GuardRecord)
			other := w.another()
			other.guarded(service.GuardRecord)
			for _, err := range race(32, func(i int) error {
				_, err := []*world{w, other}[i%2].ask(pumped(50+i), fromIP(elsewhere(50+i)))
				return err
			}) {
				wantFailure(t, err, nil)
			}
			w.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10))
		}},
		scene{"deny refuses to send, for exactly one window", func(t *testing.T, w *world) {
			suspicious(w, service.GuardDeny)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			w.clock.advance(10 * time.Minute)
			w.refused(pumped(0), model.ErrTooMany, 3000, fromIP(elsewhere(51)))
			w.clock.advance(50*time.Minute - time.Second)
			w.refused(pumped(50), model.ErrTooMany, 1, fromIP(elsewhere(50)))
			w.clock.advance(time.Second)
			w.granted(pumped(50), fromIP(elsewhere(50)))
			w.wantAlarms(fmt.Sprintf(prefixAlarm, "deny", 0, 10))
		}},
		scene{"deny holds over a restart and another instance", func(t *testing.T, w *world) {
			suspicious(w, service.GuardDeny)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			w.start()
			w.guarded(service.GuardDeny)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			other := w.another()
			other.guarded(service.GuardDeny)
			other.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
		}},
		scene{"deny stops nothing but sending, and charges nothing", func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			w.pump(10, 0)
			w.clock.advance(4 * time.Minute)
			code := w.code(pumped(50), fromIP(elsewhere(50)))
			w.clock.advance(time.Minute)
			w.codes.Rules.Cooldown = time.Minute
			for range 5 {
				w.refused(pumped(51), model.ErrTooMany, 3600, fromIP(elsewhere(51)))
			}
			_, err := w.try(pumped(50), code)
			wantFailure(t, err, nil)
			if n := w.count("SELECT COUNT(*) FROM codes"); n != 11 {
				t.Errorf("%d codes, want 11: a denied one was stored", n)
			}
		}},
		scene{"the longest alarm is told", func(t *testing.T, w *world) {
			suspicious(w, service.GuardDeny)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			w.clock.advance(30 * time.Minute)
			for i := range 10 {
				w.granted(foreign(i), fromIP("203.0.113.1"))
			}
			w.clock.advance(5 * time.Minute)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			w.refused(pumped(50), model.ErrTooMany, 3600-35*60, fromIP(elsewhere(50)))
		}},
		scene{"the longest alarm is told, whichever it is", func(t *testing.T, w *world) {
			w.guarded(service.GuardDeny)
			for i := range 10 {
				w.granted(foreign(i), fromIP("203.0.113.1"))
			}
			w.clock.advance(5 * time.Minute)
			w.refused(foreign(11), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			w.pump(10, 0)
			w.clock.advance(5 * time.Minute)
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			w.refused(foreign(11), model.ErrTooMany, 3300, fromIP("203.0.113.1"))
		}},
		scene{"an alarm that cannot be logged is not raised", func(t *testing.T, w *world) {
			suspicious(w, service.GuardDeny)
			restore := w.failEvents(model.EventPumping)
			_, err := w.ask(pumped(50), fromIP(elsewhere(50)))
			wantFailure(t, err, model.ErrUnavailable)
			restore()
			w.refused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			w.wantAlarms(fmt.Sprintf(prefixAlarm, "deny", 0, 10))
		}},
		scene{"known, unknown and banned numbers are denied alike", func(t *testing.T, w *world) {
			w.logIn(pumped(60))
			banned := w.logIn(pumped(61))
			w.clock.advance(2 * time.Hour)
			w.sql("UPDATE users SET banned_until = ? WHERE id = ?", model.Forever, banned.User.User.ID)
			suspicious(w, service.GuardDeny)
			for _, i := range []int{60, 61, 62} {
				w.refused(pumped(i), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			}
		}},
	)
}

// TestGuardKeepsNumbers: what a code's row keeps of its number must not, beside
// the masked one in the log, be the whole number.
func TestGuardKeepsNumbers(t *testing.T) {
	play(t, scene{"a dump", func(t *testing.T, w *world) {
		w.guarded(service.GuardRecord)
		w.granted(alice)
		w.granted(pumped(1))
		w.granted(bob)
		keys := w.texts("SELECT prefix_key FROM codes ORDER BY seq, id")
		slices.Sort(keys)
		if keys = slices.Compact(keys); len(keys) != 2 {
			t.Errorf("prefixes are %q, want one for two of the three numbers", keys)
		}
		for _, text := range keys {
			if len(text) != 22 {
				t.Errorf("%q is no keyed hash", text)
			}
		}
		if n := w.count("SELECT COUNT(*) FROM codes WHERE block_key = '192.0.2.0/24'"); n != 3 {
			t.Errorf("%d blocks, want 3", n)
		}
	}})
}

func TestBudgetWarns(t *testing.T) {
	const warning = `{"budget":"10","sent":"%d","what":"budget","window":"24h0m0s"}`
	start := func(w *world) *service.Budget {
		budget := &service.Budget{Alarms: w.alarms(), Now: w.clock.Now}
		budget.SetMost(10)
		return budget
	}
	count := func(t *testing.T, b *service.Budget, want int64) {
		t.Helper()
		wantFailure(t, b.Count(t.Context()), nil)
		if b.Sent() != want {
			t.Errorf("%d messages, want %d", b.Sent(), want)
		}
	}
	play(t,
		scene{"at four fifths, once in a day", func(t *testing.T, w *world) {
			b, other := start(w), start(w)
			w.pump(7, 7)
			count(t, b, 7)
			w.wantAlarms()
			w.pump(1, 0)
			count(t, b, 8)
			count(t, b, 8)
			count(t, other, 8)
			w.pump(2, 0)
			w.clock.advance(aDay - ms)
			count(t, b, 10)
			w.wantAlarms(fmt.Sprintf(warning, 8))
			w.clock.advance(ms)
			count(t, b, 0)
			w.pump(9, 0)
			count(t, other, 9)
			w.wantAlarms(fmt.Sprintf(warning, 8), fmt.Sprintf(warning, 9))
		}},
		scene{"by many at once", func(t *testing.T, w *world) {
			w.pump(9, 0)
			for _, err := range race(16, func(int) error { return start(w).Count(t.Context()) }) {
				wantFailure(t, err, nil)
			}
			w.wantAlarms(fmt.Sprintf(warning, 9))
		}},
		scene{"messages that were refused are none", func(t *testing.T, w *world) {
			b := start(w)
			w.phone.fail = model.ErrSendRefused
			for i := range 9 {
				_, err := w.ask(pumped(i))
				wantFailure(t, err, model.ErrProvider)
			}
			count(t, b, 0)
			w.wantAlarms()
		}},
		scene{"no budget", func(t *testing.T, w *world) {
			b := start(w)
			b.SetMost(0)
			w.pump(20, 0)
			count(t, b, 20)
			w.wantAlarms()
		}},
	)
}
