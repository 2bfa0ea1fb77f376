package code

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"menshen/model"
	"menshen/service/vault"
)

// Admission decides whether a code may be sent, in which pool, and stores it.
type Admission struct {
	Tx        Tx
	Events    EventLog
	Accounts  Accounts
	Vault     *vault.Vault
	Quotas    *Quotas
	Pumping   *Pumping   // nil: no alarms
	Bursts    *Bursts    // nil: no alarms of bursts
	Challenge *Challenge // nil: no challenges
	Crowd     Crowd      // nil: no bound
}

// candidate is a requested code.
type candidate struct {
	code       model.Code
	mobile     model.Mobile
	prefix     string // of the number, in clear; "" when no message is to be sent
	challenge  given
	credential model.Secret
	caller     model.Caller
	account    model.User // of the number; zero if it has none
	operator   string     // who asks, for account; "": a client
}

// admit stores the code unless an alarm or a limit refuses it. It returns the code with
// its pool and account, and after how many seconds the next one of the pool would be granted. It
// verifies the answer to a challenge first, outside of any transaction. It demands a
// missing answer last, so that no client solves a challenge in vain.
func (a *Admission) admit(ctx context.Context, c candidate) (admitted candidate, resendAfter int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, admitTime)
	defer cancel()
	storing, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	if c, err = a.recognise(storing, c); err != nil {
		return c, 0, err
	}
	answered := c.challenge.answer != "" && a.Challenge != nil && c.code.SendPool == model.SendOpen
	if !answered {
		stored, resendAfter, err := a.store(storing, c, nil)
		if !errors.Is(err, errSuspicious) {
			return stored, resendAfter, err
		}
	}
	demanded, err := a.screen(storing, c)
	if err != nil {
		return c, 0, err
	}
	if answered {
		if c.challenge.to, err = a.refusalAnew(storing, c, demanded); err == nil && c.challenge.to != nil {
			demanded, c.code.SendPool = false, model.SendChallenged
			err = a.Challenge.verify(ctx, c.challenge, c.asker())
		}
		if err != nil {
			return c, 0, err
		}
		storing, cancel = context.WithTimeout(ctx, storageTime)
		defer cancel()
	}
	return a.store(storing, c, &demanded)
}

// asker is the client as challenges know it.
func (c candidate) asker() model.Asker {
	return model.Asker{Number: c.code.NumberKey, IP: c.caller.IP, At: c.code.SentAt}
}

// refusalAnew returns what the request would be refused with, and the demand of a
// challenge, if it bore no answer. It returns nil if no challenge would be demanded.
// The hour or the day of the number's open pool may refuse it, so that only the challenged
// pool can serve it. demanded is the judgement of screen.
func (a *Admission) refusalAnew(ctx context.Context, c candidate, demanded bool) (*model.Failure, error) {
	codes, err := a.Quotas.recent(ctx, c.code.NumberKey, c.code.SentAt)
	if err != nil {
		return nil, err
	}
	refusal := a.Quotas.numberRefusal(codes, c.code.SendPool, c.code.SentAt)
	switch {
	case refusal != nil && refusal.exhausted:
		return refusal.Failure, nil
	case demanded:
		return model.ErrTooMany, nil
	}
	return nil, nil
}

// recognise finds the pool of the request, and the number's account if the request bears
// a credential. Requests of operators are of the known pool. A request of that pool is
// counted for no address and belongs to no group.
func (a *Admission) recognise(ctx context.Context, c candidate) (candidate, error) {
	if c.operator != "" {
		return c.known(), nil
	}
	if c.credential == "" {
		return c, nil
	}
	var err error
	c.account, err = a.Accounts.ByNumber(ctx, c.code.CompanyType, a.Vault.MobileKey(c.code.CompanyType, c.mobile))
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return c, err
	}
	if c.account.DeletedAt != 0 { // it keeps its number because it is banned
		c.account = model.User{}
	}
	if !a.Vault.CredentialMatches(c.credential, c.account, c.code.SentAt) {
		return c, nil
	}
	codes, err := a.Quotas.recent(ctx, c.code.NumberKey, c.code.SentAt)
	if err != nil || knownSpent(codes, c.code.SentAt) {
		return c, err
	}
	return c.known(), nil
}

// known moves the code to the known pool.
func (c candidate) known() candidate {
	c.code.SendPool = model.SendKnown
	c.code.IPKey, c.code.BlockKey, c.code.PrefixKey = "", "", ""
	return c
}

// errSuspicious is the error of store if screen must judge the request first.
var errSuspicious = errors.New("to be screened")

// store stores the code with its event unless a limit refuses it, or a challenge is
// demanded. demanded is the judgement of screen. Without one, store asks for it only if
// counts show that there is something to judge. stored is c with the account of its number.
func (a *Admission) store(ctx context.Context, c candidate, demanded *bool) (stored candidate, resendAfter int64, err error) {
	var asked bool
	crowd := a.Crowd
	if !a.Quotas.passesGates(c.code) {
		crowd = nil
	}
	err = inCrowd(ctx, crowd, func() (err error) {
		if a.Quotas.isSuspect(c.code) {
			err = a.Quotas.look(ctx, c.code)
		}
		if err == nil {
			asked, resendAfter, err = a.reserve(ctx, &c, demanded)
		}
		return err
	})
	if err == nil {
		a.Bursts.note(c)
	}
	demanding := model.ErrTooMany
	if refused, is := errors.AsType[*refusal](err); is && refused.exhausted && a.Challenge != nil && c.code.SendPool == model.SendOpen {
		asked, demanding = true, refused.Failure
	}
	if asked {
		a.Challenge.report(ChallengeDemanded, nil)
		err = a.Challenge.demand(ctx, demanding, c.asker(), a.Challenge.Vendors)
	}
	return c, resendAfter, err
}

// reserve is the transaction of store. It sets the account of c. asked reports whether it
// demanded a challenge.
func (a *Admission) reserve(ctx context.Context, c *candidate, demanded *bool) (asked bool, resendAfter int64, err error) {
	known := c.account.ID
	err = a.Tx.Within(ctx, func(ctx context.Context) error {
		c.account.ID = known // of a transaction that runs again
		near, err := a.Quotas.enterScopes(ctx, c.code)
		if err != nil {
			return err
		}
		found, err := a.survey(ctx, *c, near, demanded != nil)
		if err != nil {
			return err
		}
		c.account.ID = max(known, found.AccountID)
		resendAfter, err = a.Quotas.reserve(ctx, c.code, near, found.Sent)
		if err == nil {
			err = a.Events.Append(ctx, model.Event{
				At: c.code.SentAt, Kind: model.EventCodeSent, UserID: c.account.ID, CompanyType: new(c.code.CompanyType), Actor: cmp.Or(c.operator, model.ActorUser), IP: c.caller.IP, RequestID: c.caller.RequestID,
				Detail: model.EventDetail("mobile", c.mobile.String(), "purpose", string(c.code.Purpose), model.DetailCode, strconv.FormatInt(c.code.ID, 10)),
			})
		}
		if asked = err == nil && demanded != nil && *demanded; asked {
			err = model.ErrTooMany // nothing is stored
		}
		return err
	})
	return asked, resendAfter, err
}

// survey reads at once what decides about the code, but for its number's codes: the
// account, the counts of the scopes near a limit, and whether screen must judge the
// request, unless it has.
func (a *Admission) survey(ctx context.Context, c candidate, near []scope, screened bool) (model.SendFindings, error) {
	ask := model.SendSurvey{Spans: spans(near, c.code.SentAt)}
	if c.account.ID == 0 {
		ask.CompanyType, ask.MobileKey = c.code.CompanyType, a.Vault.MobileKey(c.code.CompanyType, c.mobile)
	}
	if !screened {
		a.Pumping.ask(&ask, c)
	}
	found, err := a.Quotas.Store.Survey(ctx, ask)
	if err != nil || screened {
		return found, err
	}
	suspicious := a.Pumping.suspects(found)
	if !suspicious && a.Challenge != nil && len(c.groups()) > 0 {
		suspicious, err = a.Quotas.mayBeNearLimit(ctx, c.code, found.Sent)
	}
	if err == nil && suspicious {
		err = errSuspicious
	}
	return found, err
}

// screen checks for signs of abuse, before the limits and outside of any transaction. It
// returns model.ErrTooMany if an alarm denies the code. It reports whether a challenge
// must be passed: because an alarm demands it, or because so much of a limit of the
// address, its block or the deployment is used that a program may be sending the requests.
func (a *Admission) screen(ctx context.Context, c candidate) (bool, error) {
	if len(c.groups()) == 0 {
		return false, nil // a known device, or no message is sent, so that pumping earns nothing
	}
	remaining, err := a.Pumping.check(ctx, c)
	switch {
	case err != nil:
		return false, err
	case remaining > 0 && a.Pumping.Rules.Action == ActionDeny:
		return false, a.Quotas.tooMany(ctx, c.code, remaining)
	case a.Challenge == nil:
		return false, nil
	case remaining > 0 && a.Pumping.Rules.Action == ActionChallenge:
		return true, nil
	}
	return a.Quotas.nearLimit(ctx, c.code)
}
