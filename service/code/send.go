// Package code sends verification codes and checks them.
//
//	Sender ── Admission ── Pumping    are the codes of this prefix or address block redeemed?
//	   │          ├─────── Bursts     are there suddenly many?
//	   │          ├─────── Challenge  is there a person?
//	   │          └─────── Quotas     how many of the number, the address, the deployment?
//	   └───── Delivery                providers, in order of preference
//	Verifier                          attempts, and the redemption of the right one
package code

import (
	"context"
	"time"

	"menshen/model"
	"menshen/service/phone"
	"menshen/service/random"
	"menshen/service/vault"
)

// TestNumber is a number for the reviewers of app stores: it has a fixed code and no
// message is sent.
type TestNumber struct {
	Mobile model.Mobile
	Code   model.Secret
	Until  time.Time
}

// Sender makes verification codes and sends them.
type Sender struct {
	Catalog     model.Catalog
	Numbers     phone.Numbers
	TestNumbers []TestNumber
	Vault       *vault.Vault
	Length      int // of a code, in digits
	TTL         time.Duration
	NewCode     func(length int) string // random.Digits, except in tests
	Admission   *Admission
	Delivery    *Delivery
	Now         func() time.Time
}

const day = 24 * time.Hour

// storageTime bounds the check for pumping, the limits, and the recording of the outcome.
const storageTime = model.StorageTime

// SendRequest is a request for a code.
type SendRequest struct {
	CompanyType int32
	ProductType int32
	Mobile      string
	Purpose     model.Purpose
	Language    string       // of the message, model.LanguageZhCN or LanguageEn
	Challenge   model.Secret // answer to a challenge; "" when none was given
	Challenger  string       // the vendor of the challenge, one of those on offer; "": the first one
	Credential  model.Secret // of the device; "" when none was given
	Caller      model.Caller
	// Operator is the name of the operator who asks for the code, for the user with the id
	// UserID: the product counts for nothing then. "" if a client asks.
	Operator string
	UserID   int64
}

// SendResult is the life of the code, and after how many seconds the next one would be
// granted.
type SendResult struct {
	Expire      model.Time
	ResendAfter int64
	Ticket      model.Secret // "": the code is not valid
}

// product returns the product of a request, the first one for an operator.
func (s *Sender) product(r SendRequest) (model.Product, error) {
	if r.Operator != "" {
		return s.Catalog.Products[0], nil
	}
	_, product, err := s.Catalog.Find(r.CompanyType, r.ProductType)
	return product, err
}

// Send makes a code and hands it to the provider. Response and work are the same for
// known, unknown and banned numbers. Of parallel requests for one number no more pass
// than its limits allow.
//
// Errors: model.ErrMalformed, ErrMobile, ErrCooldown, ErrDailyLimit, ErrTooMany (with
// ChallengeDemand if a challenge must or may be passed first), ErrProvider.
// After a definite refusal by all providers the code is dead, its predecessor valid and
// the number not charged. After a time-out the code stays valid and is charged, and the
// result has its ticket beside the error. The response comes within RequestTime.
func (s *Sender) Send(ctx context.Context, r SendRequest) (SendResult, error) {
	product, err := s.product(r)
	if err != nil {
		return SendResult{}, err
	}
	mobile, err := s.Numbers.Parse(r.Mobile)
	if err != nil {
		return SendResult{}, err
	}
	now := model.TimeOf(s.Now())
	c := candidate{
		mobile: mobile, challenge: given{answer: r.Challenge, vendor: r.Challenger}, credential: r.Credential, caller: r.Caller, operator: r.Operator, account: model.User{ID: r.UserID},
	}
	expires, text := now.Add(s.TTL), model.Secret(s.NewCode(s.Length))
	var prefixKey, blockKey string // a code without a message belongs to no group
	region := s.Numbers.Region(mobile)
	provider, handed := s.Delivery.first(region), model.DeliveryPending
	test := s.testNumber(mobile, now)
	if test != nil {
		text, expires = test.Code, min(expires, model.TimeOf(test.Until))
		provider, handed = model.ProviderTest, model.DeliveryAccepted
	} else {
		c.prefix = s.Numbers.Prefix(mobile)
		prefixKey, blockKey = s.Vault.PrefixKey(c.prefix), model.AddressBlock(r.Caller.IP)
	}
	ticket, ticketHash := newTicket()
	c.code = model.Code{
		ID: random.ID(), CompanyType: r.CompanyType, Purpose: r.Purpose,
		NumberKey: s.Vault.NumberKey(mobile), CodeMAC: s.Vault.CodeMAC(vault.PlainCode{Purpose: r.Purpose, CompanyType: r.CompanyType, Mobile: mobile, Code: text}),
		IPKey: model.AddressKey(r.Caller.IP), PrefixKey: prefixKey, BlockKey: blockKey, SentAt: now, ExpiresAt: expires,
		TicketHash: ticketHash, Delivery: handed, Provider: provider,
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTime)
	defer cancel()
	admitted, resendAfter, err := s.Admission.admit(ctx, c)
	if err != nil {
		return SendResult{}, err
	}
	result := SendResult{Expire: expires, ResendAfter: resendAfter, Ticket: ticket}
	send := delivery{
		code: admitted.code, account: admitted.account.ID, mobile: s.Vault.MobileKey(r.CompanyType, mobile),
		message: model.Message{
			ID: "msg_" + random.TextID(), Mobile: mobile, Code: text, CompanyType: r.CompanyType, ProductType: product.Type,
			Region: region, Domain: product.Domain, AppHash: product.AppHash,
			Purpose: r.Purpose, Language: r.Language, Expire: expires, Life: s.TTL,
		},
	}
	if test != nil {
		if err := s.Delivery.skip(ctx, send); err != nil {
			return SendResult{}, err
		}
		return result, nil
	}
	valid, err := s.Delivery.deliver(ctx, send)
	if !valid {
		result.Ticket = ""
	}
	return result, err
}

// testNumber returns the test number that equals mobile and is valid now, or nil.
func (s *Sender) testNumber(mobile model.Mobile, now model.Time) *TestNumber {
	for i, test := range s.TestNumbers {
		if test.Mobile == mobile && now < model.TimeOf(test.Until) {
			return &s.TestNumbers[i]
		}
	}
	return nil
}
