package service_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service/code"
)

// detectPumping configures an alarm if less than a fifth of ten or more codes of an
// hour were redeemed. It collects the alarms that are raised.
func (in *instance) detectPumping(action code.Action) *[]code.Alarm {
	alarms := in.alarms()
	told := &[]code.Alarm{}
	alarms.OnAlarm = func(a code.Alarm) { *told = append(*told, a) }
	in.admission.Pumping = &code.Pumping{
		Alarms: alarms, Rules: code.PumpingRules{Action: action, Window: time.Hour, Least: 10, Percent: 20},
	}
	return told
}

func (in *instance) alarms() *code.Alarms {
	return &code.Alarms{
		Tx: in.db, Store: repository.Codes{DB: in.db}, Events: repository.Events{DB: in.db}, OnAlarm: func(code.Alarm) {},
	}
}

// wantAlarms compares the alarms in the event log.
func (in *instance) wantAlarms(want ...string) {
	in.t.Helper()
	if diff := cmp.Diff(want, in.texts("SELECT detail FROM events WHERE kind = 'pumping' ORDER BY id")); diff != "" {
		in.t.Errorf("alarms differ:\n%s", diff)
	}
}

const aDay = 24 * time.Hour

// Numbers of one prefix, and of others; addresses of one block, and of others.
func pumped(i int) string    { return fmt.Sprintf("1380013%04d", i) }
func foreign(i int) string   { return fmt.Sprintf("13%09d", 100_000_000+10_000*i) }
func elsewhere(i int) string { return fmt.Sprintf("198.51.%d.7", i) }

// pump requests codes for numbers of one prefix, each from another block. sent is
// the number of codes; the newest redeemed of them are redeemed.
func (in *instance) pump(sent, redeemed int) {
	in.t.Helper()
	for i := range sent {
		code := in.receiveCode(pumped(i), fromIP(elsewhere(i)))
		if i >= sent-redeemed {
			_, err := in.tryLogIn(pumped(i), code)
			wantFailure(in.t, err, nil)
		}
	}
}

const prefixAlarm = `{"action":"%s","key":"+861380013","redeemed":"%d","sent":"%d","what":"prefix","window":"1h0m0s"}`

func TestGuardJudges(t *testing.T) {
	const over = 5 * time.Minute // the end of a code
	alarm := func(redeemed, sent int) []string { return []string{fmt.Sprintf(prefixAlarm, "record", redeemed, sent)} }
	runScenes(t,
		scene{"a prefix that redeems nothing", func(t *testing.T, in *instance) {
			told := in.detectPumping(code.ActionRecord)
			in.pump(10, 0)
			in.clock.Advance(over)
			in.wantAlarms()
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms(alarm(0, 10)...)
			want := []code.Alarm{{What: "prefix", Key: "+861380013", Sent: 10, Action: code.ActionRecord, Window: time.Hour}}
			if diff := cmp.Diff(want, *told); diff != "" {
				t.Errorf("told:\n%s", diff)
			}
		}},
		scene{"codes that live are not held against it", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(10, 0)
			in.clock.Advance(over - ms)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms()
		}},
		scene{"one less than the least", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(9, 0)
			in.clock.Advance(over)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms()
		}},
		scene{"just as many redeemed as must be", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(10, 2)
			in.clock.Advance(over)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms()
		}},
		scene{"one redeemed too few", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(10, 1)
			in.clock.Advance(over)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms(alarm(1, 10)...)
		}},
		scene{"many that redeem are judged again after five seconds", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(1, 1)
			in.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, used_at, prefix_key)
SELECT n.i, c.company_type, c.purpose, c.number_key, n.i, c.code_mac, c.ip_key, c.sent_at, c.expires_at, c.used_at, c.prefix_key
FROM codes c, ` + tenThousand + ` n WHERE n.i < 2000`)
			in.clock.Advance(over)
			in.wantSent(pumped(98), fromIP(elsewhere(98)))
			in.sql("UPDATE codes SET used_at = 0")
			in.clock.Advance(5*time.Second - ms)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms()
			in.clock.Advance(ms)
			in.wantSent(pumped(97), fromIP(elsewhere(97)))
			in.wantAlarms(alarm(0, 2000)...)
		}},
		scene{"few are judged each time", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(9, 0)
			in.clock.Advance(time.Second)
			in.wantSent(pumped(50), fromIP(elsewhere(50)))
			in.clock.Advance(over - time.Second)
			in.wantSent(pumped(98), fromIP(elsewhere(98)))
			in.wantAlarms()
			in.clock.Advance(time.Second)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms(alarm(0, 10)...)
		}},
		scene{"the window slides", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(10, 0)
			in.clock.Advance(time.Hour)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms()
		}},
		scene{"a millisecond before it has slid", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.pump(10, 0)
			in.clock.Advance(time.Hour - ms)
			in.wantSent(pumped(99), fromIP(elsewhere(99)))
			in.wantAlarms(alarm(0, 10)...)
		}},
		scene{"other prefixes are their own", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			in.pump(10, 0)
			in.clock.Advance(over)
			in.wantRefused(pumped(99), model.ErrTooMany, 3600, fromIP(elsewhere(99)))
			in.wantSent("13800120001", fromIP(elsewhere(99))) // the eighth digit does not matter, the seventh does
			in.wantSent("13800140001", fromIP(elsewhere(99)))
			in.wantRefused("+86 138-0013-9999", model.ErrTooMany, 3600, fromIP(elsewhere(99)))
		}},
		scene{"what the provider refused was not sent", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionRecord)
			in.phone.fail = model.ErrSendRefused
			for i := range 20 {
				_, err := in.sendCode(pumped(i), fromIP("192.0.2.7"))
				wantFailure(t, err, model.ErrProvider)
			}
			in.phone.fail = nil
			in.clock.Advance(over)
			in.wantSent(pumped(99), fromIP("192.0.2.7"))
			in.wantAlarms()
		}},
		scene{"test numbers are not sent to", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			for i := range 12 {
				in.codes.TestNumbers = append(in.codes.TestNumbers, code.TestNumber{
					Mobile: model.NewMobile("+86" + pumped(i)), Code: "424242", Until: in.clock.Now().Add(aDay),
				})
				in.wantSent(pumped(i), fromIP("192.0.2.7"))
			}
			in.clock.Advance(over)
			in.wantSent(pumped(99), fromIP("192.0.2.7"))
			in.wantAlarms()
			in.pump(22, 0) // twelve of them test numbers; ten others
			in.clock.Advance(over)
			in.wantRefused(pumped(99), model.ErrTooMany, 3600, fromIP(elsewhere(99)))
			in.wantSent(pumped(0), fromIP(elsewhere(99))) // nothing is sent, so nothing is denied
		}},
		scene{"off", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			in.admission.Pumping.Rules.Percent = 0
			in.pump(30, 0)
			in.clock.Advance(over)
			in.wantSent(pumped(99))
			in.wantAlarms()
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
		runScenes(t, scene{row.name, func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			for i := range 10 {
				in.wantSent(foreign(i), fromIP(row.inside(i)))
			}
			in.clock.Advance(5 * time.Minute)
			in.wantRefused(foreign(11), model.ErrTooMany, 3600, fromIP(row.last))
			in.wantSent(foreign(11), fromIP(row.outside))
			in.wantAlarms(`{"action":"deny","key":"` + row.key + `","redeemed":"0","sent":"10","what":"block","window":"1h0m0s"}`)
		}})
	}
}

// TestGuardJudgesRegions: outside of China a group is the region.
func TestGuardJudgesRegions(t *testing.T) {
	runScenes(t, scene{"numbers of Hong Kong", func(t *testing.T, in *instance) {
		in.detectPumping(code.ActionDeny)
		in.codes.Numbers.Regions = []string{"CN", "HK", "US"}
		for i := range 10 {
			in.wantSent(fmt.Sprintf("+852 9123456%d", i), fromIP(elsewhere(i)))
		}
		in.clock.Advance(5 * time.Minute)
		in.wantRefused("+852 61234567", model.ErrTooMany, 3600, fromIP(elsewhere(99)))
		in.wantSent("+1 415 555 0123", fromIP(elsewhere(99)))
		in.wantSent(alice, fromIP(elsewhere(99)))
		in.wantAlarms(`{"action":"deny","key":"HK","redeemed":"0","sent":"10","what":"prefix","window":"1h0m0s"}`)
	}})
}

func TestGuardActs(t *testing.T) {
	suspicious := func(in *instance, action code.Action) {
		in.detectPumping(action)
		in.pump(10, 0)
		in.clock.Advance(5 * time.Minute)
	}
	runScenes(t,
		scene{"record changes no answer", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionRecord)
			for i := range 20 {
				if sent := in.wantSent(pumped(50+i), fromIP(elsewhere(50))); sent.ResendAfter != 0 {
					t.Errorf("resendAfter is %d", sent.ResendAfter)
				}
			}
		}},
		scene{"once in a window, whoever sees it", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionRecord)
			other := in.another()
			told := other.detectPumping(code.ActionRecord)
			in.wantSent(pumped(50), fromIP(elsewhere(50)))
			other.wantSent(pumped(51), fromIP(elsewhere(51)))
			in.clock.Advance(time.Hour - ms)
			in.wantSent(pumped(52), fromIP(elsewhere(52)))
			in.pump(10, 0)
			in.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10))
			if len(*told) != 0 {
				t.Errorf("the other instance was told %v", *told)
			}
			in.clock.Advance(5 * time.Minute)
			other.wantSent(pumped(53), fromIP(elsewhere(53)))
			in.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10), fmt.Sprintf(prefixAlarm, "record", 0, 11)) // what was sent during the first
		}},
		scene{"once over 32 requests at once on two instances", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionRecord)
			other := in.another()
			other.detectPumping(code.ActionRecord)
			for _, err := range race(32, func(i int) error {
				_, err := []*instance{in, other}[i%2].sendCode(pumped(50+i), fromIP(elsewhere(50+i)))
				return err
			}) {
				wantFailure(t, err, nil)
			}
			in.wantAlarms(fmt.Sprintf(prefixAlarm, "record", 0, 10))
		}},
		scene{"deny refuses to send, for exactly one window", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionDeny)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			in.clock.Advance(10 * time.Minute)
			in.wantRefused(pumped(0), model.ErrTooMany, 3000, fromIP(elsewhere(51)))
			in.clock.Advance(50*time.Minute - time.Second)
			in.wantRefused(pumped(50), model.ErrTooMany, 1, fromIP(elsewhere(50)))
			in.clock.Advance(time.Second)
			in.wantSent(pumped(50), fromIP(elsewhere(50)))
			in.wantAlarms(fmt.Sprintf(prefixAlarm, "deny", 0, 10))
		}},
		scene{"deny holds over a restart and another instance", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionDeny)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			in.restart()
			in.detectPumping(code.ActionDeny)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			other := in.another()
			other.detectPumping(code.ActionDeny)
			other.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
		}},
		scene{"deny stops nothing but sending, and charges nothing", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			in.pump(10, 0)
			in.clock.Advance(4 * time.Minute)
			code := in.receiveCode(pumped(50), fromIP(elsewhere(50)))
			in.clock.Advance(time.Minute)
			in.quotas.Limits.Cooldown = time.Minute
			for range 5 {
				in.wantRefused(pumped(51), model.ErrTooMany, 3600, fromIP(elsewhere(51)))
			}
			_, err := in.tryLogIn(pumped(50), code)
			wantFailure(t, err, nil)
			if n := in.count("SELECT COUNT(*) FROM codes"); n != 11 {
				t.Errorf("%d codes, want 11: a denied one was stored", n)
			}
		}},
		scene{"the longest alarm is told", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionDeny)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			in.clock.Advance(30 * time.Minute)
			for i := range 10 {
				in.wantSent(foreign(i), fromIP("203.0.113.1"))
			}
			in.clock.Advance(5 * time.Minute)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			in.wantRefused(pumped(50), model.ErrTooMany, 3600-35*60, fromIP(elsewhere(50)))
		}},
		scene{"the longest alarm is told, whichever it is", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionDeny)
			for i := range 10 {
				in.wantSent(foreign(i), fromIP("203.0.113.1"))
			}
			in.clock.Advance(5 * time.Minute)
			in.wantRefused(foreign(11), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			in.pump(10, 0)
			in.clock.Advance(5 * time.Minute)
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP("203.0.113.1"))
			in.wantRefused(foreign(11), model.ErrTooMany, 3300, fromIP("203.0.113.1"))
		}},
		scene{"an alarm that cannot be logged is not raised", func(t *testing.T, in *instance) {
			suspicious(in, code.ActionDeny)
			restore := in.failEvents(model.EventPumping)
			_, err := in.sendCode(pumped(50), fromIP(elsewhere(50)))
			wantFailure(t, err, model.ErrUnavailable)
			restore()
			in.wantRefused(pumped(50), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			in.wantAlarms(fmt.Sprintf(prefixAlarm, "deny", 0, 10))
		}},
		scene{"known, unknown and banned numbers are denied alike", func(t *testing.T, in *instance) {
			in.logIn(pumped(60))
			banned := in.logIn(pumped(61))
			in.clock.Advance(2 * time.Hour)
			in.sql("UPDATE users SET banned_until = ? WHERE id = ?", model.Forever, banned.User.User.ID)
			suspicious(in, code.ActionDeny)
			for _, i := range []int{60, 61, 62} {
				in.wantRefused(pumped(i), model.ErrTooMany, 3600, fromIP(elsewhere(50)))
			}
		}},
	)
}

// TestGuardKeepsNumbers: what a code's row keeps of its number must not, beside
// the masked one in the log, be the whole number.
func TestGuardKeepsNumbers(t *testing.T) {
	runScenes(t, scene{"a dump", func(t *testing.T, in *instance) {
		in.detectPumping(code.ActionRecord)
		in.wantSent(alice)
		in.wantSent(pumped(1))
		in.wantSent(bob)
		keys := in.texts("SELECT prefix_key FROM codes ORDER BY seq, id")
		slices.Sort(keys)
		if keys = slices.Compact(keys); len(keys) != 2 {
			t.Errorf("prefixes are %q, want one for two of the three numbers", keys)
		}
		for _, text := range keys {
			if len(text) != 22 {
				t.Errorf("%q is no keyed hash", text)
			}
		}
		if n := in.count("SELECT COUNT(*) FROM codes WHERE block_key = '192.0.2.0/24'"); n != 3 {
			t.Errorf("%d blocks, want 3", n)
		}
	}})
}

func TestBudgetWarns(t *testing.T) {
	const warning = `{"budget":"10","sent":"%d","what":"budget","window":"24h0m0s"}`
	start := func(in *instance) *code.Budget {
		budget := &code.Budget{Alarms: in.alarms(), Now: in.clock.Now}
		budget.SetLimits(code.Limits{DailyBudget: 10, HourlyShare: 25})
		return budget
	}
	count := func(t *testing.T, b *code.Budget, want int64) {
		t.Helper()
		wantFailure(t, b.Count(t.Context()), nil)
		if b.Sent() != want {
			t.Errorf("%d messages, want %d", b.Sent(), want)
		}
	}
	runScenes(t,
		scene{"at four fifths, once in a day", func(t *testing.T, in *instance) {
			b, other := start(in), start(in)
			in.pump(7, 7)
			count(t, b, 7)
			in.wantAlarms()
			in.pump(1, 0)
			count(t, b, 8)
			count(t, b, 8)
			count(t, other, 8)
			in.pump(2, 0)
			in.clock.Advance(aDay - ms)
			count(t, b, 10)
			in.wantAlarms(fmt.Sprintf(warning, 8))
			in.clock.Advance(ms)
			count(t, b, 0)
			in.pump(9, 0)
			count(t, other, 9)
			in.wantAlarms(fmt.Sprintf(warning, 8), fmt.Sprintf(warning, 9))
		}},
		scene{"at four fifths of what the reserve leaves", func(t *testing.T, in *instance) {
			b := start(in)
			b.SetLimits(code.Limits{DailyBudget: 10, HourlyShare: 100, Reserve: 30})
			in.pump(5, 5)
			count(t, b, 5)
			in.wantAlarms()
			in.pump(1, 1)
			count(t, b, 6)
			in.wantAlarms(fmt.Sprintf(warning, 6))
		}},
		scene{"by many at once", func(t *testing.T, in *instance) {
			in.pump(9, 0)
			for _, err := range race(16, func(int) error { return start(in).Count(t.Context()) }) {
				wantFailure(t, err, nil)
			}
			in.wantAlarms(fmt.Sprintf(warning, 9))
		}},
		scene{"messages that were refused are none", func(t *testing.T, in *instance) {
			b := start(in)
			in.phone.fail = model.ErrSendRefused
			for i := range 9 {
				_, err := in.sendCode(pumped(i))
				wantFailure(t, err, model.ErrProvider)
			}
			count(t, b, 0)
			in.wantAlarms()
		}},
		scene{"no budget", func(t *testing.T, in *instance) {
			b := start(in)
			b.SetLimits(code.Limits{})
			in.pump(20, 0)
			count(t, b, 20)
			in.wantAlarms()
		}},
	)
}
