package service_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

// The ways to request a code in each pool, if the open one is used up.
func (in *instance) pools(c client) map[model.SendPool][]func(r *code.SendRequest) {
	return map[model.SendPool][]func(r *code.SendRequest){
		model.SendOpen: {}, model.SendKnown: {bearing(c.Credential)}, model.SendChallenged: {answering("right")},
	}
}

// passChallenges lets every answer pass.
func (in *instance) passChallenges() {
	asker, _ := in.requireChallenge()
	asker.always = true
}

// wantOffer requests a code, which must be refused with the offer of a challenge.
func (in *instance) wantOffer(want *model.Failure, seconds int64, mobile string, change ...func(r *code.SendRequest)) {
	in.t.Helper()
	_, err := in.sendCode(mobile, change...)
	wantWait(in.t, err, want, seconds)
	text, _ := json.Marshal(model.AsFailure(err).Data())
	if string(text) != onlyTurnstile {
		in.t.Errorf("the data is %s", text)
	}
}

func TestPools(t *testing.T) {
	runScenes(t,
		scene{"each has a cooldown", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.quotas.Limits.Cooldown, in.quotas.Limits.PerMobileHour = time.Minute, 2
			in.passChallenges()
			in.clock.Advance(time.Hour)
			in.wantSent(alice)
			in.clock.Advance(time.Minute)
			if sent := in.wantSent(alice); sent.ResendAfter != 3540 {
				t.Errorf("resendAfter of the open pool is %d, want 3540", sent.ResendAfter)
			}
			if sent := in.wantSent(alice, bearing(c.Credential)); sent.ResendAfter != 60 {
				t.Errorf("resendAfter of the known pool is %d, want 60", sent.ResendAfter)
			}
			in.wantRefused(alice, model.ErrCooldown, 60, bearing(c.Credential))
			in.wantSent(alice, answering("right"))
			in.wantRefused(alice, model.ErrDailyLimit, 3600, answering("right")) // half of two in an hour
			in.wantOffer(model.ErrCooldown, 3540, alice)
		}},
		scene{"a cooldown offers no challenge", func(t *testing.T, in *instance) {
			in.defaults()
			in.passChallenges()
			in.wantSent(alice)
			_, err := in.sendCode(alice, answering("right"))
			wantWait(t, err, model.ErrCooldown, 60)
			if data := model.AsFailure(err).Data(); data != nil {
				t.Errorf("the data is %v", data)
			}
		}},
		scene{"the cooldown of the challenged one", func(_ *testing.T, in *instance) {
			in.quotas.Limits.Cooldown, in.quotas.Limits.PerMobileDay = time.Minute, 4
			in.passChallenges()
			for range 4 {
				in.wantSent(alice)
				in.clock.Advance(time.Minute)
			}
			in.wantPool(model.SendChallenged, alice, answering("right"))
			in.wantRefused(alice, model.ErrCooldown, 60, answering("right"))
			in.clock.Advance(time.Minute)
			in.wantPool(model.SendChallenged, alice, answering("right"))
			in.wantRefused(alice, model.ErrDailyLimit, 24*3600-60, answering("right"))
		}},
		scene{"half of one is none", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerMobileDay = 1
			in.passChallenges()
			in.wantSent(alice)
			in.wantOffer(model.ErrDailyLimit, 24*3600, alice)
			in.wantRefused(alice, model.ErrDailyLimit, 24*3600, answering("right"))
		}},
		scene{"without a challenge there is none to pass", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerMobileDay = 2
			in.wantSent(alice)
			in.wantSent(alice)
			_, err := in.sendCode(alice, answering("right"))
			wantWait(t, err, model.ErrDailyLimit, 24*3600)
			if data := model.AsFailure(err).Data(); data != nil {
				t.Errorf("the data is %v", data)
			}
		}},
		scene{"a wrong answer is the refusal anew", func(_ *testing.T, in *instance) {
			in.quotas.Limits.PerMobileDay = 2
			in.requireChallenge()
			in.wantSent(alice)
			in.wantSent(alice)
			in.wantOffer(model.ErrDailyLimit, 24*3600, alice, answering("wrong"))
		}},
		scene{"one for all credentials of the number", func(_ *testing.T, in *instance) {
			one, other := in.logIn(alice), in.logIn(alice, inCompany(1))
			in.defaults()
			in.wantPool(model.SendKnown, alice, bearing(one.Credential))
			in.wantRefused(alice, model.ErrCooldown, 60, bearing(other.Credential), forCompany(1))
		}},
		scene{"never more than two and a half times the day", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(25 * time.Hour)
			in.defaults()
			in.quotas.Limits.PerIPDay, in.quotas.Limits.PerIPHour = 0, 0
			in.passChallenges()
			before := len(in.phone.messages())
			for range 143 { // a day, less ten minutes
				for pool, change := range in.pools(c) {
					if _, err := in.sendCode(alice, change...); err == nil && pool == model.SendKnown {
						result, err := in.tryLogIn(alice, in.phone.last())
						wantFailure(t, err, nil)
						c = in.clientOf(result)
					}
				}
				in.clock.Advance(10 * time.Minute)
			}
			if n := len(in.phone.messages()) - before; n != 25 {
				t.Errorf("%d messages, want 25", n)
			}
		}},
		scene{"three unredeemed codes end the known one, until a code is redeemed", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(time.Minute)
			in.phone.fail = model.ErrSendRefused
			in.phone.during = func(context.Context) { in.failLogins(alice, 1) }
			for range 3 { // not sent, so no miss
				_, err := in.sendCode(alice, bearing(c.Credential))
				wantFailure(t, err, model.ErrProvider)
			}
			in.phone.fail, in.phone.during = nil, nil
			for range 3 { // of strangers
				in.wantPool(model.SendOpen, alice)
			}
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			in.clock.Advance(time.Minute)
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			in.clock.Advance(4 * time.Minute) // the first two have ended
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			in.clock.Advance(time.Minute)
			in.wantPool(model.SendOpen, alice, bearing(c.Credential))
			other := in.receiveCode(alice, forCompany(1))
			in.wantPool(model.SendOpen, alice, bearing(c.Credential))
			_, err := in.tryLogIn(alice, other, inCompany(1))
			wantFailure(t, err, nil)
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
		}},
		scene{"redeemed codes keep the known one", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			for i := range 12 {
				in.wantPool(model.SendKnown, alice, bearing(c.Credential))
				_, err := in.tryLogIn(alice, in.phone.last())
				wantFailure(t, err, nil)
				if i%4 == 3 {
					in.clock.Advance(10 * time.Minute)
				}
			}
		}},
	)
}

// TestKnownPoolIsApart: what strangers at the address, in the block or in the prefix do
// refuses no known device, and it leaves their shares alone.
func TestKnownPoolIsApart(t *testing.T) {
	for name, limits := range map[string]code.Limits{
		"address": {PerIPHour: 3}, "day of an address": {PerIPDay: 3}, "block": {PerBlockHour: 3}, "day of a block": {PerBlockDay: 3},
	} {
		runScenes(t, scene{name, func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.sql("DELETE FROM codes")
			limits.MaxAttempts = 5
			in.quotas.Limits = limits
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			for i := range 3 {
				in.wantSent(numbered(i))
				in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			}
			_, err := in.sendCode(numbered(9))
			wantFailure(t, err, model.ErrTooMany)
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
		}})
	}
	runScenes(t,
		scene{"an alarm, and its challenge", func(_ *testing.T, in *instance) {
			c := in.logIn(pumped(60))
			in.detectPumping(code.ActionDeny)
			in.pump(10, 0)
			in.clock.Advance(5 * time.Minute)
			_, err := in.sendCode(pumped(60))
			wantFailure(in.t, err, model.ErrTooMany)
			in.wantPool(model.SendKnown, pumped(60), bearing(c.Credential))
			in.admission.Pumping.Rules.Action = code.ActionChallenge
			asker, _ := in.requireChallenge()
			in.wantPool(model.SendKnown, pumped(60), bearing(c.Credential), answering("wrong"))
			if asker.asked != 0 {
				in.t.Error("the provider was asked")
			}
		}},
		scene{"it is of no group", func(_ *testing.T, in *instance) {
			c := in.logIn(pumped(60))
			told := in.detectPumping(code.ActionDeny)
			for range 2 {
				for range 2 {
					in.wantSent(pumped(60), bearing(c.Credential))
				}
				_, err := in.tryLogIn(pumped(60), in.phone.last())
				wantFailure(in.t, err, nil)
			}
			if n := in.count("SELECT COUNT(*) FROM codes WHERE send_pool = ? AND (ip_key <> '' OR prefix_key <> '' OR block_key <> '')", model.SendKnown); n != 0 || len(*told) != 0 {
				in.t.Errorf("%d known codes are of a group, alarms %v", n, *told)
			}
		}},
	)
}

// TestShares: an hour closes the deployment before the day does, and the reserve is for
// known devices.
func TestShares(t *testing.T) {
	runScenes(t, scene{"hour, day and reserve", func(t *testing.T, in *instance) {
		var known []client
		for i := range 20 {
			known = append(known, in.logIn(numbered(60+i)))
		}
		in.sql("DELETE FROM codes")
		in.quotas.Limits.DailyBudget, in.quotas.Limits.HourlyShare, in.quotas.Limits.Reserve = 17, 60, 25
		next := 0
		open := func(most int) (n int) {
			for ; n <= most; n++ {
				next++
				if _, err := in.sendCode(numbered(next), fromIP(ipNumbered(next))); err != nil {
					wantFailure(t, err, model.ErrTooMany)
					return n
				}
			}
			return n
		}
		reserved := func(most int) (n int) {
			for ; n <= most; n++ {
				if _, err := in.sendCode(numbered(60+len(known)-1), bearing(known[len(known)-1].Credential)); err != nil {
					wantFailure(t, err, model.ErrTooMany)
					return n
				}
				known = known[:len(known)-1]
			}
			return n
		}
		var got []int
		got = append(got, open(20), reserved(20)) // of ten in an hour three, rounded up, are reserved
		in.clock.Advance(time.Hour)
		got = append(got, open(20), reserved(20)) // of seventeen in a day five
		if want := []int{7, 3, 2, 5}; !slices.Equal(got, want) {
			t.Errorf("granted %v, want %v", got, want)
		}
		in.wantRefused(alice, model.ErrTooMany, 23*3600, fromIP("203.0.113.1"))
	}})
}

// TestBlockLimits: neighbouring addresses share what one may use, and redeemed codes weigh
// a tenth.
func TestBlockLimits(t *testing.T) {
	redeemed := func(in *instance, mobile, ip string) {
		in.t.Helper()
		code := in.receiveCode(mobile, fromIP(ip))
		_, err := in.tryLogIn(mobile, code)
		wantFailure(in.t, err, nil)
	}
	runScenes(t,
		scene{"hour and day of IPv4 by /24", func(_ *testing.T, in *instance) {
			in.quotas.Limits.PerBlockHour, in.quotas.Limits.PerBlockDay = 2, 3
			in.wantSent(numbered(0), fromIP("192.0.2.1"))
			in.wantSent(numbered(1), fromIP("192.0.2.255"))
			in.wantRefused(alice, model.ErrTooMany, 3600, fromIP("::ffff:192.0.2.7"))
			in.wantSent(alice, fromIP("192.0.3.1"))
			in.clock.Advance(time.Hour)
			in.wantSent(numbered(2), fromIP("192.0.2.2"))
			in.wantRefused(bob, model.ErrTooMany, 23*3600, fromIP("192.0.2.3"))
		}},
		scene{"IPv6 by /48", func(_ *testing.T, in *instance) {
			in.quotas.Limits.PerBlockHour = 2
			in.wantSent(numbered(0), fromIP("2001:db8:1:1::1"))
			in.wantSent(numbered(1), fromIP("2001:db8:1:2::1"))
			in.wantRefused(alice, model.ErrTooMany, 3600, fromIP("2001:db8:1:ffff::1"))
			in.wantSent(alice, fromIP("2001:db8:2::1"))
		}},
		scene{"redeemed codes of an address", func(_ *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 2
			for i := range 19 { // nineteen tenths
				redeemed(in, numbered(i), "192.0.2.1")
			}
			in.wantSent(alice) // 29 tenths
			in.wantRefused(bob, model.ErrTooMany, 3600)
		}},
		scene{"redeemed codes of a block", func(_ *testing.T, in *instance) {
			in.quotas.Limits.PerBlockDay = 1
			for i := range 9 {
				redeemed(in, numbered(i), "192.0.2."+twoDigits(i))
			}
			redeemed(in, numbered(9), "192.0.2.99") // ten tenths
			in.wantRefused(alice, model.ErrTooMany, 24*3600)
		}},
		scene{"redeemed codes of the budget weigh as all do", func(_ *testing.T, in *instance) {
			in.quotas.Limits.DailyBudget = 3
			for i := range 3 {
				redeemed(in, numbered(i), "192.0.2.1")
			}
			in.wantRefused(alice, model.ErrTooMany, 24*3600)
		}},
	)
}

// TestPoolRaces: parallel requests of one pool send one message, those of two pools two.
func TestPoolRaces(t *testing.T) {
	for name, split := range map[string]int{"known": 0, "open and known": 32} {
		runScenes(t, scene{name, func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(time.Hour)
			in.defaults()
			other := in.another()
			other.defaults()
			before := len(in.phone.messages())
			errs := race(64, func(i int) error {
				var change []func(r *code.SendRequest)
				if i >= split {
					change = append(change, bearing(c.Credential))
				}
				_, err := []*instance{in, other}[i%2].sendCode(alice, change...)
				return err
			})
			want := map[bool]int{true: 1, false: 2}[split == 0]
			wantWinners(t, errs, want, model.ErrCooldown)
			if n := len(in.phone.messages()) - before; n != want {
				t.Errorf("%d messages, want %d", n, want)
			}
			if n := in.count("SELECT COUNT(*) - COUNT(DISTINCT seq) FROM codes"); n != 0 {
				t.Errorf("%d codes have the order of another", n)
			}
		}})
	}
}
