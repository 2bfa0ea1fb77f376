package config

import "time"

// guardSample bounds guard.least: no more codes of a group are read to judge it.
const guardSample = 2000

func (r *rules) guard() {
	g := r.Guard
	r.oneOf("guard.action", g.Action, GuardRecord, GuardDeny, GuardChallenge)
	within(r, "guard.window", g.Window, span[time.Duration]{time.Second, 15 * time.Minute, day})
	if g.Window <= r.Code.TTL && r.valid("code.ttl") {
		r.breaks("guard.window", "must be longer than code.ttl: codes count once their end has come")
	}
	within(r, "guard.least", g.Least, span[int]{1, 10, guardSample})
	within(r, "guard.percent", g.Percent, span[int]{0, 0, 100})
	if g.Burst != 0 {
		within(r, "guard.burst", g.Burst, span[int]{2, 2, 1000})
	}
}
