package service

import (
	"context"
	"time"

	"menshen/model"
)

// CodeRules are the limits of codes. A limit of 0 is off.
type CodeRules struct {
	Length            int
	TTL               time.Duration
	MaxAttempts       int           // comparisons per code
	Cooldown          time.Duration // between two codes for one number
	PerMobileHour     int
	PerMobileDay      int
	PerIPHour         int // address, IPv6 by /64
	PerIPDay          int
	DailyBudget       int // messages of the whole deployment
	FailsPerMobileDay int // wrong comparisons with a live code, over all codes
}

// TestNumber is a number for reviewers of app stores: it has a fixed code and
// never reaches a provider.
type TestNumber struct {
	Mobile model.Mobile
	Code   model.Secret
	Until  time.Time
}

// Codes sends verification codes and counts the attempts on them.
type Codes struct {
	Tx          Tx
	Store       CodeStore
	Events      EventLog
	Providers   []Provider // in order of preference
	Vault       *Vault
	Numbers     Numbers
	Catalog     Catalog
	Guard       *Guard     // nil: none
	Challenge   *Challenge // nil: none is ever demanded
	Rules       CodeRules
	TestNumbers []TestNumber
	Now         func() time.Time
	NewCode     func(length int) string // RandomCode but in tests
	// Count, if set, is told how each provider that was asked answered.
	Count func(provider string, outcome Outcome)
	// Report, if set, is told why a provider refused what the next one took.
	Report func(err error)
	// Compared, if set, is told of each attempt that was counted: who had sent the
	// live code, "" when there was none, and whether it was the right one.
	Compared func(provider string, right bool)

	far believed[countedFor] // limits that are far
}

const day = 24 * time.Hour

// storageTime bounds each piece of work on the database: the guard's, the limits',
// the noting of the outcome.
const storageTime = 1800 * time.Millisecond

// SendRequest asks for a code.
type SendRequest struct {
	CompanyType int32
	ProductType int32
	Mobile      string
	Purpose     model.Purpose
	Language    string       // of the message, model.LanguageZhCN or LanguageEn
	Challenge   model.Secret // answer to a challenge; "" when none was given
	Caller      Caller
}

// SendResult tells how long the code lives and after how many seconds the next
// one would be granted.
type SendResult struct {
	Expire      model.Time
	ResendAfter int64
}

// Send makes a code and hands it to the provider. The answer and the work are
// the same for known, unknown and banned numbers. Of parallel requests for one
// number the limits let through as many as they say.
//
// Errors: model.ErrMalformed, ErrMobile, ErrCooldown, ErrDailyLimit,
// ErrTooManyFailures, ErrTooMany (with ChallengeDemand when a challenge is to be
// passed first), ErrProvider. After a definite refusal of all providers the code
// is dead, its predecessor valid and the number not charged; after a time-out
// the code stays valid and is charged. See deliver. The answer comes within 8 s,
// whoever is slow.
func (c *Codes) Send(ctx context.Context, r SendRequest) (SendResult, error) {
	if _, _, err := c.Catalog.find(r.CompanyType, r.ProductType); err != nil {
		return SendResult{}, err
	}
	mobile, err := c.Numbers.Parse(r.Mobile)
	if err != nil {
		return SendResult{}, err
	}
	now := model.TimeOf(c.Now())
	expires := now.Add(c.Rules.TTL)
	test := c.testNumber(mobile, now)
	text := model.Secret(c.NewCode(c.Rules.Length))
	var prefix, block string // a message that is not sent belongs to no group
	if test != nil {
		text, expires = test.Code, min(expires, model.TimeOf(test.Until))
	} else {
		prefix, block = c.Vault.PrefixKey(c.Numbers.Prefix(mobile)), model.AddressBlock(r.Caller.IP)
	}
	code := model.Code{
		ID: newID(), CompanyType: r.CompanyType, Purpose: r.Purpose,
		NumberKey: c.Vault.NumberKey(mobile), CodeMAC: c.Vault.CodeMAC(r.Purpose, r.CompanyType, mobile, text),
		IPKey: model.AddressKey(r.Caller.IP), PrefixKey: prefix, BlockKey: block, SentAt: now, ExpiresAt: expires,
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTime)
	defer cancel()
	resendAfter, err := c.admit(ctx, code, r, mobile)
	if err != nil {
		return SendResult{}, err
	}
	result := SendResult{Expire: code.ExpiresAt, ResendAfter: resendAfter}
	if test != nil {
		c.count(model.ProviderTest, OutcomeSent)
		ctx, cancel := settling(ctx)
		defer cancel()
		return result, c.Store.Settle(ctx, code.ID, model.Settlement{Delivery: model.DeliveryAccepted, Provider: model.ProviderTest, At: now})
	}
	return result, c.deliver(ctx, code, model.Message{
		ID: "msg_" + newName(), Mobile: mobile, Code: text, CompanyType: r.CompanyType, ProductType: r.ProductType,
		Purpose: r.Purpose, Language: r.Language, Expire: code.ExpiresAt, Life: c.Rules.TTL,
	})
}

// admit stores the code unless the guard or a limit refuses it, and returns after
// how many seconds the next one would be granted. A challenge that was answered
// is verified first, between transactions; one that was not is demanded last, so
// that nobody passes it for a request that a limit refuses anyway.
func (c *Codes) admit(ctx context.Context, code model.Code, r SendRequest, mobile model.Mobile) (resendAfter int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, admitTime)
	defer cancel()
	storing, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	demanded, err := c.guarded(storing, code, r, mobile)
	if err != nil {
		return 0, err
	}
	if demanded && r.Challenge != "" {
		if err := c.Challenge.verify(ctx, r.Challenge, r.Caller.IP); err != nil {
			return 0, err
		}
		demanded = false
		storing, cancel = context.WithTimeout(ctx, storageTime)
		defer cancel()
	}
	var asked bool
	err = c.Tx.Within(storing, func(ctx context.Context) error {
		resendAfter, err = c.grant(ctx, code, r, mobile)
		if asked = err == nil && demanded; asked {
			err = c.Challenge.demand()
		}
		return err
	})
	if asked {
		c.Challenge.Told(ChallengeDemanded, nil)
	}
	return resendAfter, err
}

// grant decides within the transaction whether the code may be sent, and if so
// stores it and returns after how many seconds the next one would be granted.
func (c *Codes) grant(ctx context.Context, code model.Code, r SendRequest, mobile model.Mobile) (int64, error) {
	near, err := c.grantAddress(ctx, code)
	if err != nil {
		return 0, err
	}
	if err := c.Store.Gate(ctx, numberGate(code.NumberKey), code.SentAt); err != nil {
		return 0, err
	}
	codes, err := c.Store.Recent(ctx, code.NumberKey, code.SentAt.Add(-day), c.history())
	if err != nil {
		return 0, err
	}
	if refusal := c.numberRefusal(codes, code.SentAt); refusal != nil {
		return 0, refusal
	}
	code.Seq = int64(code.SentAt)
	if len(codes) > 0 {
		code.Seq = max(code.Seq, codes[0].Seq+1)
	}
	if err := c.Store.Insert(ctx, code); err != nil {
		return 0, err
	}
	wait, err := c.addressWait(ctx, code, near)
	if err != nil {
		return 0, err
	}
	var resendAfter int64
	if wait > 0 {
		resendAfter = model.ErrTooMany.After(wait).RetryAfter()
	}
	if next := c.numberRefusal(append([]model.Code{code}, codes...), code.SentAt); next != nil {
		resendAfter = max(resendAfter, next.RetryAfter())
	}
	return resendAfter, c.Events.Append(ctx, model.Event{
		At: code.SentAt, Kind: model.EventCodeSent, Actor: "user", IP: r.Caller.IP, RequestID: r.Caller.RequestID,
		Detail: detail("mobile", mobile.String(), "purpose", string(r.Purpose)),
	})
}

// history is how many of a number's codes the limits need to see.
func (c *Codes) history() int {
	return max(500, c.Rules.PerMobileHour, c.Rules.PerMobileDay, c.Rules.FailsPerMobileDay) + 1
}

// numberRefusal is the refusal whose wait is the longest among the limits of
// the number, nil when none refuses. codes are newest first.
func (c *Codes) numberRefusal(codes []model.Code, now model.Time) *model.Failure {
	var longest time.Duration
	var refusal *model.Failure
	consider := func(wait time.Duration, f *model.Failure) {
		if wait > longest {
			longest, refusal = wait, f.After(wait)
		}
	}
	consider(windowWait(codes, now, c.Rules.Cooldown, 1), model.ErrCooldown)
	consider(windowWait(codes, now, time.Hour, c.Rules.PerMobileHour), model.ErrCooldown)
	consider(windowWait(codes, now, day, c.Rules.PerMobileDay), model.ErrDailyLimit)
	consider(c.failuresWait(codes, now), model.ErrTooManyFailures)
	return refusal
}

// windowWait is how long until fewer than most codes lie in the rolling window.
// Refused codes were never sent and do not count.
func windowWait(codes []model.Code, now model.Time, window time.Duration, most int) time.Duration {
	for _, code := range codes {
		if code.Delivery == model.DeliveryRefused || most <= 0 || window == 0 { // 0 is off, even for a code of a faster clock
			continue
		}
		if most--; most == 0 {
			return code.SentAt.Add(window).Sub(now)
		}
	}
	return 0
}

// failuresWait is how long until the number has fewer failed comparisons than
// allowed. A code's failures leave the window a day after the code's end, so
// that no rolling day ever holds more.
func (c *Codes) failuresWait(codes []model.Code, now model.Time) time.Duration {
	if c.Rules.FailsPerMobileDay == 0 {
		return 0
	}
	failures := 0
	for _, code := range codes { // newest first: the code that makes the sum full frees it again
		failures += int(code.Attempts)
		if code.UsedAt != 0 {
			failures--
		}
		if failures >= c.Rules.FailsPerMobileDay {
			return code.ExpiresAt.Add(day).Sub(now)
		}
	}
	return 0
}

// attempt counts an attempt on the newest code of the number and compares. What
// the comparison said is told only once the count is committed, in a transaction
// apart from what the code is redeemed for: no rollback and no parallel request
// wins another guess. It returns the code when it is right, to be redeemed
// by CodeStore.Use. Wrong, expired, used, exhausted and never sent are one
// answer, model.ErrCode, at one cost. Too many failures:
// model.ErrTooManyFailures, without comparison.
func (c *Codes) attempt(ctx context.Context, company int32, purpose model.Purpose, mobile model.Mobile, text model.Secret, caller Caller) (model.Code, error) {
	now := model.TimeOf(c.Now())
	numberKey := c.Vault.NumberKey(mobile)
	var live model.Code
	var right bool
	err := c.Tx.Within(ctx, func(ctx context.Context) error {
		live = model.Code{CodeMAC: make([]byte, 32)} // what an earlier try found may be dead by now
		if err := c.Store.Gate(ctx, numberGate(numberKey), now); err != nil {
			return err
		}
		codes, err := c.Store.Recent(ctx, numberKey, now.Add(-day), c.history())
		if err != nil {
			return err
		}
		if wait := c.failuresWait(codes, now); wait > 0 {
			return model.ErrTooManyFailures.After(wait)
		}
		if newest := newestCode(codes, company, purpose); newest != nil && c.comparable(*newest, now) {
			live = *newest
		}
		if err := c.Store.CountAttempt(ctx, live.ID); err != nil {
			return err
		}
		right = c.Vault.CodeMatches(live.CodeMAC, purpose, company, mobile, text) && live.ID != 0
		if right {
			return nil
		}
		return c.Events.Append(ctx, model.Event{
			At: now, Kind: model.EventCodeFailed, Actor: actorUser, IP: caller.IP, Device: caller.Device, RequestID: caller.RequestID,
			Detail: detail("mobile", mobile.String(), "purpose", string(purpose)),
		})
	})
	if err == nil && c.Compared != nil {
		c.Compared(live.Provider, right)
	}
	if err == nil && !right {
		err = model.ErrCode
	}
	return live, err
}

// newestCode is the only code that may be valid: the newest of its company and
// purpose that no provider refused.
func newestCode(codes []model.Code, company int32, purpose model.Purpose) *model.Code {
	for i, code := range codes {
		if code.CompanyType == company && code.Purpose == purpose && code.DeadAt == 0 {
			return &codes[i]
		}
	}
	return nil
}

func (c *Codes) comparable(code model.Code, now model.Time) bool {
	return code.UsedAt == 0 && now < code.ExpiresAt && int(code.Attempts) < c.Rules.MaxAttempts
}

// testNumber is the test number that mobile is at now, nil when it is none.
func (c *Codes) testNumber(mobile model.Mobile, now model.Time) *TestNumber {
	for i, test := range c.TestNumbers {
		if test.Mobile == mobile && now < model.TimeOf(test.Until) {
			return &c.TestNumbers[i]
		}
	}
	return nil
}

func numberGate(numberKey []byte) []byte { return append([]byte("number|"), numberKey...) }
