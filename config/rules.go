package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// forever bounds durations, so that no end exceeds a time in milliseconds.
	forever = 10 * year
	// testNumberLife is the longest time until the end of a test number in production.
	testNumberLife = 366 * day
)

// rules checks the values of a configuration whose types are right.
type rules struct {
	*Config
	*report
	now time.Time
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
	r.retention()
	r.tokens()
	r.secrets()
	r.companies()
	r.products()
	r.templates()
	r.clients()
	r.admins()
	r.oneOf("log.level", r.Log.Level, "debug", "info", "warn", "error")
	r.oneOf("log.format", r.Log.Format, "console", "json")
	if r.Production() && r.Dev.Open {
		r.breaks("dev.open", "production has no pages of development")
	}
	r.tracing()
}

// span is a range, both ends included.
type span[T int | time.Duration] struct{ least, leastInProduction, most T }

// within checks that a value lies in its range.
func within[T int | time.Duration](r *rules, key string, value T, s span[T]) {
	least := s.least
	if r.Production() {
		least = s.leastInProduction
	}
	switch {
	case least <= value && value <= s.most:
	case value == 0 && s.least == 0:
		r.breaks(key, "0 switches it off, which production refuses")
	default:
		r.breaks(key, "%s is out of range %s…%s", brief(value), brief(least), brief(s.most))
	}
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

// unique maps each value of a list to the key of the first item that has it. Items with
// a problem do not count.
type unique[T comparable] map[T]string

func (u unique[T]) add(r *rules, key string, value T) {
	if !r.valid(key) {
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
	within(r, "code.length", c.Length, span[int]{6, 6, 10})
	within(r, "code.ttl", c.TTL, span[time.Duration]{time.Second, time.Minute, 10 * time.Minute})
	within(r, "code.max_attempts", c.MaxAttempts, span[int]{1, 1, 100})
	within(r, "code.cooldown", c.Cooldown, span[time.Duration]{0, 10 * time.Second, day})
	within(r, "code.per_mobile_hour", c.PerMobileHour, span[int]{0, 1, 1_000_000})
	within(r, "code.per_mobile_day", c.PerMobileDay, span[int]{0, 1, 1_000_000})
	within(r, "code.per_ip_hour", c.PerIPHour, span[int]{0, 1, 1_000_000})
	within(r, "code.per_ip_day", c.PerIPDay, span[int]{0, 1, 1_000_000})
	within(r, "code.per_block_hour", c.PerBlockHour, span[int]{0, 1, 1_000_000})
	within(r, "code.per_block_day", c.PerBlockDay, span[int]{0, 1, 1_000_000})
	within(r, "code.daily_budget", c.DailyBudget, span[int]{0, 1, 1_000_000_000})
	within(r, "code.hourly_share", c.HourlyShare, span[int]{5, 5, 100})
	within(r, "code.reserve", c.Reserve, span[int]{0, 0, 90})
	within(r, "code.fails_per_mobile_day", c.FailsPerMobileDay, span[int]{0, 1, 1_000_000})
	r.oneOf("code.ticket", c.Ticket, TicketOptional, TicketRequired)
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
		if !r.Production() {
			continue
		}
		if plainDigits(string(n.Code)) {
			r.breaks(key+".code", "one digit repeated, or digits in sequence, is what anybody would try: production refuses it")
		}
		if n.Until.Sub(r.now) > testNumberLife {
			r.breaks(key+".until", "is more than 366 days away, which production refuses")
		}
	}
}

// plainDigits reports whether each digit follows from the one before by the same step: 0,
// up or down by one. 0 follows 9.
func plainDigits(code string) bool {
	for _, step := range []int{0, 1, 9} {
		plain := len(code) > 1
		for i := 1; i < len(code); i++ {
			plain = plain && int(code[i]-'0') == (int(code[i-1]-'0')+step)%10
		}
		if plain {
			return true
		}
	}
	return false
}

// mobile is a rough check, before numbers are parsed.
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
	within(r, "limits.login", r.Limits.Login, perMinute)
	within(r, "limits.refresh", r.Limits.Refresh, perMinute)
	within(r, "limits.check", r.Limits.Check, perMinute)
	within(r, "limits.other", r.Limits.Other, perMinute)
	within(r, "limits.guess", r.Limits.Guess, span[int]{0, 0, 1000})
}

func (r *rules) retention() {
	kept := span[time.Duration]{day, day, forever}
	within(r, "retention.sessions", r.Retention.Sessions, kept)
	within(r, "retention.events", r.Retention.Events, kept)
	within(r, "retention.messages", r.Retention.Messages, kept)
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
	within(r, "token.key_activation", t.KeyActivation, span[time.Duration]{0, time.Minute, 30 * day})
	within(r, "token.access_ttl", t.AccessTTL, accessTTL)
	within(r, "token.refresh_ttl", t.RefreshTTL, refreshTTL)
	within(r, "token.idle_ttl", t.IdleTTL, refreshTTL)
	within(r, "token.reuse_grace", t.ReuseGrace, span[time.Duration]{0, time.Second, day})
	r.claims()
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
		if !group.MatchString(p.Group) {
			r.breaks(key+".group", "must be 1 to 32 characters of a–z, 0–9, _ and -")
		}
		within(r, key+".max_sessions", p.MaxSessions, span[int]{1, 1, 100})
		r.oneOf(key+".on_conflict", p.OnConflict, OnConflictReplace, OnConflictReject)
		r.autofill(key, p)
		// Zero: the product leaves it to the section token.
		if p.AccessTTL != 0 {
			within(r, key+".access_ttl", p.AccessTTL, accessTTL)
		}
		if p.RefreshTTL != 0 {
			within(r, key+".refresh_ttl", p.RefreshTTL, refreshTTL)
		}
		if leader, known := leaders[p.Group]; known {
			r.agree(leader, i)
		} else {
			leaders[p.Group] = i
		}
	}
}

// agree compares a product with the first one of its group.
func (r *rules) agree(leader, other int) {
	a, b := r.Products[leader], r.Products[other]
	first, key := item("products", leader), item("products", other)
	if !r.valid(first+".group") || !r.valid(key+".group") {
		return
	}
	if a.MaxSessions != b.MaxSessions && r.valid(first+".max_sessions") {
		r.breaks(key+".max_sessions", "must be that of %s, which is of the same group", first)
	}
	if a.OnConflict != b.OnConflict && r.valid(first+".on_conflict") {
		r.breaks(key+".on_conflict", "must be that of %s, which is of the same group", first)
	}
}

var group = regexp.MustCompile(`\A[a-z0-9_-]{1,32}\z`)

// brief is a number, or a duration without the zero units that time.Duration adds: 5m,
// not 5m0s.
func brief(value any) string {
	text := fmt.Sprint(value)
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
