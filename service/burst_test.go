package service_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service/code"
)

// detectBursts is detectPumping with an alarm if the codes of a minute, of which hardly
// any are redeemed, are five times as many as usual.
func (in *instance) detectBursts(action code.Action) *[]code.Alarm {
	told := in.detectPumping(action)
	pumping := in.admission.Pumping
	pumping.Rules.Burst = 5
	in.admission.Bursts = &code.Bursts{Alarms: pumping.Alarms, Now: in.clock.Now}
	in.admission.Bursts.SetRules(pumping.Rules)
	return told
}

// look lets time pass, and looks for bursts as often as an instance does.
func (in *instance) look(during time.Duration) {
	in.t.Helper()
	for ; during > 0; during -= code.BurstEvery {
		in.clock.Advance(min(during, code.BurstEvery))
		wantFailure(in.t, in.admission.Bursts.Judge(in.t.Context()), nil)
	}
}

// burst requests n codes from one block, for numbers of different prefixes.
func (in *instance) burst(from, n int) {
	in.t.Helper()
	for i := range n {
		in.wantSent(foreign(from+i), fromIP(inBlock(i)))
	}
}

func inBlock(i int) string { return fmt.Sprintf("203.0.113.%d", i%256) }

// burstAlarm is the alarm of the block of burst.
func burstAlarm(action code.Action, sent, redeemed int, usual string) string {
	return fmt.Sprintf(`{"action":%q,"burst":"1m0s","key":"203.0.113.0/24","redeemed":"%d","sent":"%d","usual":%q,"what":"block","window":"1h0m0s"}`,
		action, redeemed, sent, usual)
}

const typing = 25 * time.Second // younger codes are not judged

func TestBursts(t *testing.T) {
	runScenes(t,
		scene{"an alarm within 30 seconds, though no request follows", func(t *testing.T, in *instance) {
			told := in.detectBursts(code.ActionRecord)
			in.burst(0, 10)
			in.look(typing - ms)
			in.wantAlarms()
			in.look(30*time.Second - typing)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
			want := []code.Alarm{{
				What: "block", Key: "203.0.113.0/24", Sent: 10, Action: code.ActionRecord, Window: time.Hour, Burst: time.Minute,
			}}
			if diff := cmp.Diff(want, *told); diff != "" {
				t.Errorf("told:\n%s", diff)
			}
		}},
		scene{"a prefix, named in clear", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.pump(10, 0)
			in.look(30 * time.Second)
			in.wantAlarms(`{"action":"record","burst":"1m0s","key":"+861380013","redeemed":"0","sent":"10","usual":"0.00","what":"prefix","window":"1h0m0s"}`)
		}},
		scene{"one less than the least", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 9)
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"in just a minute", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 1)
			in.clock.Advance(time.Minute - code.BurstEvery)
			in.burst(1, 9)
			in.look(30 * time.Second)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
		scene{"in a minute and a second", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 1)
			in.clock.Advance(61 * time.Second)
			in.burst(1, 9)
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"a known device belongs to no burst", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			var devices []model.Secret
			for i := range 12 {
				devices = append(devices, in.logIn(foreign(i)).Credential)
			}
			in.clock.Advance(aDay)
			for i, credential := range devices {
				in.wantSent(foreign(i), fromIP(inBlock(i)), onKnownDevice(credential))
			}
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"messages that were refused are none", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.phone.fail = model.ErrSendRefused
			for i := range 12 {
				_, err := in.sendCode(foreign(i), fromIP(inBlock(i)))
				wantFailure(t, err, model.ErrProvider)
			}
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"off", func(t *testing.T, in *instance) {
			for _, rules := range []code.PumpingRules{{Percent: 20}, {Burst: 5}, {}} {
				in.detectBursts(code.ActionRecord)
				rules.Action, rules.Window, rules.Least = code.ActionRecord, time.Hour, 10
				in.admission.Bursts.SetRules(rules)
				in.burst(0, 10)
				in.look(2 * time.Minute)
				in.sql("DELETE FROM codes")
			}
			in.admission.Bursts = nil
			in.burst(0, 10)
			in.wantAlarms()
		}},
	)
}

func onKnownDevice(credential model.Secret) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Credential = credential }
}

// TestBurstsOfUsers: many honest users at once are no alarm.
func TestBurstsOfUsers(t *testing.T) {
	// crowd lets many users request a code, each after the one before, and redeem it after
	// a time of typing.
	crowd := func(in *instance, users int, apart time.Duration, typing func(i int) time.Duration) {
		in.t.Helper()
		codes := map[int]model.Secret{}
		for at, sent := time.Duration(0), 0; len(codes) > 0 || sent < users; at += time.Second {
			for ; sent < users && time.Duration(sent)*apart <= at; sent++ {
				codes[sent] = in.receiveCode(foreign(sent), fromIP(inBlock(sent)))
			}
			for i, code := range codes {
				if at >= time.Duration(i)*apart+typing(i) {
					_, err := in.tryLogIn(foreign(i), code)
					wantFailure(in.t, err, nil)
					delete(codes, i)
				}
			}
			in.look(time.Second)
		}
	}
	runScenes(t,
		scene{"60 at once, who take 10 to 40 seconds", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			crowd(in, 60, 0, func(i int) time.Duration { return time.Duration(10+i%31) * time.Second })
			in.wantAlarms()
		}},
		scene{"one in two seconds, who all take 30 seconds", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			crowd(in, 60, 2*time.Second, func(int) time.Duration { return 30 * time.Second })
			in.wantAlarms()
		}},
		scene{"just as many redeemed as must be", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.pump(10, 2)
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"one redeemed too few", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.pump(10, 1)
			in.look(30 * time.Second)
			in.wantAlarms(`{"action":"record","burst":"1m0s","key":"+861380013","redeemed":"1","sent":"10","usual":"0.00","what":"prefix","window":"1h0m0s"}`)
		}},
	)
}

// TestBurstsAndUsual: a group is compared with its own day.
func TestBurstsAndUsual(t *testing.T) {
	// usually inserts codes of the block, sent in the day before but not in the last two
	// hours, as far back as ago.
	usually := func(in *instance, codes int, ago time.Duration) {
		in.t.Helper()
		in.burst(50, 1)
		in.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, prefix_key, block_key)
SELECT n.i, c.company_type, c.purpose, c.number_key, n.i, c.code_mac, c.ip_key, c.sent_at - ?, c.expires_at - ?, '', c.block_key
FROM codes c, `+tenThousand+` n WHERE n.i <= ?`, ago.Milliseconds(), ago.Milliseconds(), codes-1)
		in.sql("UPDATE codes SET sent_at = sent_at - ?, expires_at = expires_at - ? WHERE prefix_key <> ''", ago.Milliseconds(), ago.Milliseconds())
	}
	runScenes(t,
		scene{"five times as many", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			usually(in, 2880, 2*time.Hour) // two a minute
			in.burst(0, 10)
			in.look(30 * time.Second)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "2.00"))
		}},
		scene{"nearly five times as many", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			usually(in, 2881, 2*time.Hour)
			in.burst(0, 10)
			in.look(2 * time.Minute)
			in.wantAlarms()
		}},
		scene{"what was usual longer ago does not count", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			usually(in, 2881, aDay+time.Minute)
			in.burst(0, 10)
			in.look(30 * time.Second)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
	)
}

func TestBurstsOfInstances(t *testing.T) {
	runScenes(t,
		scene{"once over instances, whose codes count together", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			other := in.another()
			other.detectBursts(code.ActionRecord)
			in.burst(0, 5)
			other.burst(5, 5)
			in.clock.Advance(30 * time.Second)
			for _, err := range race(16, func(i int) error {
				return []*instance{in, other}[i%2].admission.Bursts.Judge(t.Context())
			}) {
				wantFailure(t, err, nil)
			}
			in.look(2 * time.Minute)
			other.look(10 * time.Minute)
			in.wantSent(foreign(20), fromIP(inBlock(20))) // all have expired: no second alarm
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
		scene{"an alarm for each window", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 10)
			in.look(30 * time.Second)
			in.clock.Advance(30 * time.Minute)
			in.burst(10, 10)
			in.look(2 * time.Minute)
			in.clock.Advance(time.Hour)
			in.burst(20, 12)
			in.look(30 * time.Second)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"), burstAlarm(code.ActionRecord, 12, 0, "0.01"))
		}},
		scene{"an instance judges what it sent", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 10)
			sender := *in
			in.restart()
			in.detectBursts(code.ActionRecord)
			in.wantSent(foreign(20), fromIP(elsewhere(1)))
			in.look(30 * time.Second)
			in.wantAlarms()
			sender.look(code.BurstEvery)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
		scene{"after a restart, with the next code of the group", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 10)
			in.restart()
			in.detectBursts(code.ActionRecord)
			in.clock.Advance(40 * time.Second)
			in.burst(10, 1)
			in.look(code.BurstEvery)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
		scene{"a clock that is set back", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionRecord)
			in.burst(0, 10)
			in.clock.Advance(-time.Hour)
			in.look(2 * time.Minute)
			in.wantAlarms()
			in.burst(10, 10)
			in.look(30 * time.Second)
			in.wantAlarms(burstAlarm(code.ActionRecord, 10, 0, "0.00"))
		}},
	)
}

// TestBurstsAct: the alarm of a burst has the effect of any other.
func TestBurstsAct(t *testing.T) {
	runScenes(t,
		scene{"deny, for one window", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionDeny)
			in.burst(0, 10)
			in.look(27 * time.Second)
			in.wantRefused(foreign(11), model.ErrTooMany, 3600, fromIP(inBlock(11)))
			in.wantSent(foreign(11), fromIP(elsewhere(11)))
			in.clock.Advance(time.Hour - ms)
			in.wantRefused(foreign(11), model.ErrTooMany, 1, fromIP(inBlock(11)))
			in.clock.Advance(ms)
			in.wantSent(foreign(12), fromIP(inBlock(12)))
			in.wantAlarms(burstAlarm(code.ActionDeny, 10, 0, "0.00"))
		}},
		scene{"challenge", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionChallenge)
			in.requireChallenge()
			in.burst(0, 10)
			in.wantSent(foreign(10), fromIP(inBlock(10)))
			in.look(30 * time.Second)
			in.wantChallenge(foreign(11), fromIP(inBlock(11)))
			in.wantSent(foreign(11), fromIP(inBlock(11)), answering("right"))
		}},
		scene{"an alarm that cannot be logged is raised later", func(t *testing.T, in *instance) {
			in.detectBursts(code.ActionDeny)
			in.burst(0, 10)
			restore := in.failEvents(model.EventPumping)
			in.clock.Advance(30 * time.Second)
			wantFailure(t, in.admission.Bursts.Judge(t.Context()), model.ErrUnavailable)
			in.wantSent(foreign(11), fromIP(inBlock(11)))
			restore()
			in.look(code.BurstEvery)
			in.wantRefused(foreign(12), model.ErrTooMany, 3600, fromIP(inBlock(12)))
		}},
	)
}
