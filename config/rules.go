package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// forever bounds durations that nothing else bounds: the end of anything
	// that starts now stays far inside what a time in milliseconds can hold.
	forever = 10 * year
)

// rules checks a configuration whose types are right. Every broken rule is a
// problem of its own key.
type rules struct {
	*Config
	*report
}

func (r *rules) check() {
	r.oneOf("env", r.Env, EnvDev, EnvTest, EnvProduction)
	r.notEmpty("data_dir", r.DataDir)
	r.server()
	r.database()
	r.sms()
	r.codes()
	r.guard()
	r.challenge()
	r.limits()
	r.tokens()
	r.secrets()
	r.companies()
	r.products()
	r.clients()
	r.admins()
	r.oneOf("log.level", r.Log.Level, "debug", "info", "warn", "error")
	r.oneOf("log.format", r.Log.Format, "console", "json")
	r.tracing()
}

// span is what a number or a duration may be, both ends included. Production
// has a floor of its own.
type span[T int | time.Duration] struct{ least, leastInProduction, most T }

func (s span[T]) holds(value T, production bool) (least T, ok bool) {
	least = s.least
	if production {
		least = s.leastInProduction
	}
	return least, least <= value && value <= s.most
}

func (r *rules) number(key string, value int, s span[int]) {
	least, ok := s.holds(value, r.Production())
	switch {
	case ok:
	case value == 0 && s.least == 0:
		r.switchedOff(key)
	default:
		r.breaks(key, "%d is out of range %d…%d", value, least, s.most)
	}
}

func (r *rules) duration(key string, value time.Duration, s span[time.Duration]) {
	least, ok := s.holds(value, r.Production())
	switch {
	case ok:
	case value == 0 && s.least == 0:
		r.switchedOff(key)
	default:
		r.breaks(key, "%s is out of range %s…%s", brief(value), brief(least), brief(s.most))
	}
}

func (r *rules) switchedOff(key string) {
	r.breaks(key, "0 switches it off, which production refuses")
}

func (r *rules) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r.breaks(key, "must be one of %s", strings.Join(allowed, ", "))
	}
}

func (r *rules) notEmpty(key, value string) {
	if value == "" {
		r.breaks(key, "must not be empty")
	}
}

// unique answers whether a value is new among the items before it, by the
// path of the first that has it. Items that could not be read do not count.
type unique[T comparable] map[T]string

func (u unique[T]) add(r *rules, key string, value T) {
	if !r.sound(key) {
		return
	}
	if first, taken := u[value]; taken {
		r.breaks(key, "is the same as %s", first)
		return
	}
	u[value] = key
}

func (r *rules) codes() {
	c := r.Code
	r.number("code.length", c.Length, span[int]{6, 6, 10})
	r.duration("code.ttl", c.TTL, span[time.Duration]{time.Second, time.Minute, 10 * time.Minute})
	r.number("code.max_attempts", c.MaxAttempts, span[int]{1, 1, 100})
	r.duration("code.cooldown", c.Cooldown, span[time.Duration]{0, 10 * time.Second, day})
	r.number("code.per_mobile_hour", c.PerMobileHour, span[int]{0, 1, 1_000_000})
	r.number("code.per_mobile_day", c.PerMobileDay, span[int]{0, 1, 1_000_000})
	r.number("code.per_ip_hour", c.PerIPHour, span[int]{0, 1, 1_000_000})
	r.number("code.per_ip_day", c.PerIPDay, span[int]{0, 1, 1_000_000})
	r.number("code.daily_budget", c.DailyBudget, span[int]{0, 1, 1_000_000_000})
	r.number("code.fails_per_mobile_day", c.FailsPerMobileDay, span[int]{0, 1, 1_000_000})
	r.testNumbers()
}

func (r *rules) testNumbers() {
	numbers := unique[Secret]{}
	for i, n := range r.Code.TestNumbers {
		key := item("code.test_numbers", i)
		if !mobile(string(n.Mobile)) {
			r.breaks(key+".mobile", "must be a mobile number: 6 to 15 digits")
		}
		numbers.add(r, key+".mobile", n.Mobile)
		if !digits(string(n.Code)) || len(n.Code) != r.Code.Length {
			r.breaks(key+".code", "must be as many digits as code.length says: %d", r.Code.Length)
		}
	}
}

// mobile is a rough check; whether the number suits sms.regions is judged where
// numbers are parsed.
func mobile(text string) bool {
	text = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(text)
	text = strings.TrimPrefix(text, "+")
	return digits(text) && 6 <= len(text) && len(text) <= 15
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func (r *rules) limits() {
	perMinute := span[int]{0, 0, 1_000_000}
	r.number("limits.login", r.Limits.Login, perMinute)
	r.number("limits.refresh", r.Limits.Refresh, perMinute)
	r.number("limits.check", r.Limits.Check, perMinute)
	r.number("limits.other", r.Limits.Other, perMinute)
}

var (
	accessTTL  = span[time.Duration]{time.Second, time.Minute, forever}
	refreshTTL = span[time.Duration]{time.Second, time.Hour, forever}
)

func (r *rules) tokens() {
	t := r.Token
	r.notEmpty("token.issuer", t.Issuer)
	if len(t.Audience) == 0 {
		r.breaks("token.audience", "must not be empty")
	}
	for i, audience := range t.Audience {
		r.notEmpty(item("token.audience", i), audience)
	}
	r.oneOf("token.algorithm", t.Algorithm, "ES256", "EdDSA", "RS256")
	r.duration("token.key_activation", t.KeyActivation, span[time.Duration]{0, time.Minute, 30 * day})
	r.duration("token.access_ttl", t.AccessTTL, accessTTL)
	r.duration("token.refresh_ttl", t.RefreshTTL, refreshTTL)
	r.duration("token.idle_ttl", t.IdleTTL, refreshTTL)
	r.duration("token.reuse_grace", t.ReuseGrace, span[time.Duration]{0, time.Second, day})
}

func (r *rules) companies() {
	if len(r.Companies) == 0 {
		r.breaks("companies", "must not be empty")
	}
	types := unique[int32]{}
	for i, c := range r.Companies {
		key := item("companies", i)
		types.add(r, key+".type", c.Type)
		r.oneOf(key+".registration", c.Registration, RegistrationOpen, RegistrationClosed)
	}
}

func (r *rules) products() {
	if len(r.Products) == 0 {
		r.breaks("products", "must not be empty")
	}
	types, leaders := unique[int32]{}, map[string]int{}
	for i, p := range r.Products {
		key := item("products", i)
		types.add(r, key+".type", p.Type)
		if !group(p.Group) {
			r.breaks(key+".group", "must be 1 to 32 characters of a–z, 0–9, _ and -")
		}
		r.number(key+".max_sessions", p.MaxSessions, span[int]{1, 1, 100})
		r.oneOf(key+".on_conflict", p.OnConflict, OnConflictReplace, OnConflictReject)
		// Zero is what an object has that leaves it to token.*.
		if p.AccessTTL != 0 {
			r.duration(key+".access_ttl", p.AccessTTL, accessTTL)
		}
		if p.RefreshTTL != 0 {
			r.duration(key+".refresh_ttl", p.RefreshTTL, refreshTTL)
		}
		if leader, known := leaders[p.Group]; known {
			r.agree(leader, i)
		} else {
			leaders[p.Group] = i
		}
	}
}

// agree compares a product with the first one of its group: a group is one set
// of slots and can have one policy only.
func (r *rules) agree(leader, other int) {
	a, b := r.Products[leader], r.Products[other]
	first, key := item("products", leader), item("products", other)
	if !r.sound(first+".group") || !r.sound(key+".group") {
		return
	}
	if a.MaxSessions != b.MaxSessions && r.sound(first+".max_sessions") {
		r.breaks(key+".max_sessions", "must be that of %s, which is of the same group", first)
	}
	if a.OnConflict != b.OnConflict && r.sound(first+".on_conflict") {
		r.breaks(key+".on_conflict", "must be that of %s, which is of the same group", first)
	}
}

func group(name string) bool {
	return len(name) >= 1 && len(name) <= 32 &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// brief prints a duration without the zero units that time.Duration adds.
func brief(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func port(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}
