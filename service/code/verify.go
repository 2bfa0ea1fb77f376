package code

import (
	"context"
	"errors"
	"strconv"
	"time"

	"menshen/model"
	"menshen/service/vault"
)

// Verifier counts the attempts on codes, compares them, and redeems the right ones.
type Verifier struct {
	Tx       Tx
	Store    Store
	Events   EventLog
	Accounts Accounts
	Vault    *vault.Vault
	Quotas   *Quotas
	Guesses  *Guesses // nil: unlimited
	Crowd    Crowd    // nil: no bound
	// TicketRequired refuses every attempt without a good ticket.
	TicketRequired bool
	Now            func() time.Time
	// OnAttempt receives each attempt that was compared: the provider that sent the code,
	// and whether the attempt was right. One that was not, because no code lives, has no
	// provider. It may be nil and must not block.
	OnAttempt func(provider string, right bool)
}

// Attempt is a code as a client typed it.
type Attempt struct {
	CompanyType int32
	Purpose     model.Purpose
	Mobile      model.Mobile
	Code        model.Secret
	Tickets     []model.Secret // of this code, and possibly of others
	Caller      model.Caller
}

func (a Attempt) plain() vault.PlainCode {
	return vault.PlainCode{Purpose: a.Purpose, CompanyType: a.CompanyType, Mobile: a.Mobile, Code: a.Code}
}

// target is the code that an attempt is compared with, or the refusal of the attempt.
type target struct {
	Attempt
	numberKey []byte
	code      model.Code
	pool      model.AttemptPool
	gated     bool  // parallel attempts could reach the limit of failures
	refusal   error // nil: compare
}

// outcome is how the judgement of attempts ended.
type outcome struct {
	refusal error
	judged  target // the last one that was judged
	right   []bool // of each attempt that was compared
}

// Redeem judges the attempts in their order. If all are right, it uses up their codes and
// runs act. All this is one transaction of tx. Of parallel calls with one right code
// exactly one succeeds; all others get model.ErrCode.
//
// An attempt with the ticket of a live code is compared with that code, any other with
// the newest code of its company, number and purpose. Wrong, expired, used, exhausted and
// never sent codes are model.ErrCode, at one cost. Without a good ticket,
// model.ErrTooManyFailures and ErrTooMany come before it.
//
// Each attempt that is compared is counted, on the condition that its pool has attempts
// left, in a transaction that is committed before anything that depends on the comparison
// leaves Redeem. The count stays if an attempt is refused or act returns a failure below
// 50000: then what act did is undone, the codes stay unused and Redeem returns the failure.
// Any other error undoes all. A client that hangs up undoes nothing. So no race, crash or
// retry gains a comparison.
func (v *Verifier) Redeem(ctx context.Context, tx Tx, act func(ctx context.Context) error, attempts ...Attempt) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	targets := make([]target, len(attempts))
	for i, a := range attempts {
		var err error
		if targets[i], err = v.aim(ctx, a); err != nil {
			return err
		}
	}
	if refusal := targets[0].refusal; refusal != nil {
		if errors.Is(refusal, model.ErrCode) { // the others show that nothing was compared
			if err := v.pretend(ctx, targets[0]); err != nil {
				return err
			}
		}
		return v.report(targets, outcome{refusal: refusal, judged: targets[0]})
	}
	var out outcome
	lost := -1 // the target whose code others have used up
	err := tx.Within(ctx, func(ctx context.Context) (err error) {
		if out, err = v.judge(ctx, targets); err != nil {
			return err
		}
		if out.refusal != nil {
			return v.spare(ctx, targets, out.right)
		}
		if lost, err = v.use(ctx, targets); err != nil {
			return err
		}
		return act(ctx)
	})
	if failure, refused := errors.AsType[*model.Failure](err); refused && failure.Status() < 500 {
		out.refusal = err
		out, err = v.refuse(ctx, targets, out, lost)
	}
	if err != nil {
		return err
	}
	if out.refusal == nil {
		v.Quotas.full.forget()
	}
	return v.report(targets, out)
}

// detach keeps the deadline of ctx, but not its cancellation by a client that hangs up.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !bounded {
		return context.WithTimeout(ctx, storageTime)
	}
	return context.WithDeadline(ctx, deadline)
}

// aim finds the code to compare the attempt with, outside of any transaction: an attempt
// that cannot succeed locks no row that others need.
func (v *Verifier) aim(ctx context.Context, a Attempt) (target, error) {
	now := model.TimeOf(v.Now())
	t := target{Attempt: a, numberKey: v.Vault.NumberKey(a.Mobile), refusal: model.ErrCode}
	codes, err := v.Quotas.recent(ctx, t.numberKey, now)
	if err != nil {
		return t, err
	}
	for _, code := range codes {
		if code.CompanyType == a.CompanyType && code.Purpose == a.Purpose && a.bears(code, now) {
			t.code, t.pool = code, model.AttemptTicket
			if int(code.TicketAttempts) < v.Quotas.Limits.MaxAttempts {
				t.refusal = nil
			}
			return t, nil
		}
	}
	if wait := v.Quotas.failuresWait(codes, now); wait > 0 && !v.TicketRequired {
		t.refusal = model.ErrTooManyFailures.After(wait)
	} else if wait := v.Guesses.wait(t, now); wait > 0 {
		t.refusal = model.ErrTooMany.After(wait)
	} else if newest := v.newest(codes, a, now); newest != nil && !v.TicketRequired {
		t.code, t.gated, t.refusal = *newest, v.Quotas.mayLock(codes, now), nil
	}
	return t, nil
}

// newest returns the code that an attempt without a ticket is compared with, nil if none
// lives: only the newest of its company and purpose that no provider refused may be
// valid. codes must be newest first.
func (v *Verifier) newest(codes []model.Code, a Attempt, now model.Time) *model.Code {
	for i, code := range codes {
		if code.CompanyType == a.CompanyType && code.Purpose == a.Purpose && code.DeadAt == 0 {
			if code.UsedAt == 0 && now < code.ExpiresAt && int(code.Attempts) < v.Quotas.Limits.MaxAttempts {
				return &codes[i]
			}
			return nil
		}
	}
	return nil
}

// pretend does the work of a wrong attempt on a live code: one comparison, and in one
// transaction a look for the account and a write each for the count, the event and its
// fold. It writes one of 64 rows, so that it leaves nothing behind, and attempts on a live
// code do not wait for it.
func (v *Verifier) pretend(ctx context.Context, t target) error {
	v.Vault.CodeMatches(make([]byte, 32), t.plain())
	row := "pretend|" + strconv.Itoa(int(t.numberKey[0]%64))
	return inCrowd(ctx, v.Crowd, func() error {
		return v.Tx.Within(ctx, func(ctx context.Context) error {
			if _, err := v.accountOf(ctx, t.Attempt); err != nil {
				return err
			}
			for range 3 {
				if err := v.Store.Gate(ctx, []byte(row), model.TimeOf(v.Now())); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// accountOf returns the account of the attempt's number, one without an id if there is
// none.
func (v *Verifier) accountOf(ctx context.Context, a Attempt) (model.User, error) {
	account, err := v.Accounts.ByNumber(ctx, a.CompanyType, v.Vault.MobileKey(a.CompanyType, a.Mobile))
	if errors.Is(err, model.ErrNotFound) || account.DeletedAt != 0 { // a deleted one keeps its number if it is banned
		return model.User{}, nil
	}
	return account, err
}

// judge compares the attempts in their order, up to the first that is refused, and counts
// those that it compared. If all are right it counts none: use does, in the statement that
// redeems the code.
func (v *Verifier) judge(ctx context.Context, targets []target) (out outcome, err error) {
	for i, t := range targets {
		out.judged, out.refusal = t, t.refusal
		if out.refusal == nil && t.gated {
			out.refusal, err = v.enter(ctx, t)
		}
		if err != nil {
			return out, err
		}
		if out.refusal != nil {
			return v.count(ctx, targets[:i], out)
		}
		right := v.Vault.CodeMatches(t.code.CodeMAC, t.plain())
		out.right = append(out.right, right)
		if !right {
			out.refusal = model.ErrCode
			if out, err = v.count(ctx, targets[:i+1], out); err == nil && len(out.right) > i {
				err = v.recordFailure(ctx, t)
			}
			return out, err
		}
	}
	return out, nil
}

// count counts the attempts that were compared. If others were first and used up a code
// or its attempts, the comparison has not happened: the refusal is model.ErrCode, whatever
// it showed.
func (v *Verifier) count(ctx context.Context, compared []target, out outcome) (outcome, error) {
	for i, t := range compared {
		counted, err := v.Store.CountAttempt(ctx, t.code.ID, t.pool, v.Quotas.Limits.MaxAttempts)
		if err != nil {
			return out, err
		}
		if !counted {
			return outcome{refusal: model.ErrCode, judged: t, right: out.right[:i]}, nil
		}
	}
	return out, nil
}

// enter passes the gate of the number's failures, behind which parallel attempts count
// each other, and counts again.
func (v *Verifier) enter(ctx context.Context, t target) (refusal, err error) {
	now := model.TimeOf(v.Now())
	if err := v.Store.Gate(ctx, failuresGate(t.numberKey), now); err != nil {
		return nil, err
	}
	codes, err := v.Quotas.recent(ctx, t.numberKey, now)
	if err != nil {
		return nil, err
	}
	if wait := v.Quotas.failuresWait(codes, now); wait > 0 {
		return model.ErrTooManyFailures.After(wait), nil
	}
	return nil, nil
}

func (v *Verifier) recordFailure(ctx context.Context, t target) error {
	account, err := v.accountOf(ctx, t.Attempt)
	if err != nil {
		return err
	}
	return v.Events.Append(ctx, model.Event{
		At: model.TimeOf(v.Now()), Kind: model.EventCodeFailed, UserID: account.ID, CompanyType: new(t.CompanyType), Actor: model.ActorUser, IP: t.Caller.IP, Device: t.Caller.Device,
		RequestID: t.Caller.RequestID, Detail: model.EventDetail("mobile", t.Mobile.String(), "purpose", string(t.Purpose)),
	}.Folded(time.Minute, string(t.numberKey), model.AddressBlock(t.Caller.IP)))
}

// use counts the attempts and uses up their codes. If others have used up one of them, or
// its attempts, it returns which and model.ErrCode.
func (v *Verifier) use(ctx context.Context, targets []target) (lost int, err error) {
	now := model.TimeOf(v.Now())
	for i, t := range targets {
		used, err := v.Store.Use(ctx, t.code.ID, t.pool, v.Quotas.Limits.MaxAttempts, now)
		if err != nil {
			return -1, err
		}
		if !used {
			return i, model.ErrCode
		}
	}
	return -1, nil
}

// refuse counts right attempts whose use was undone, because of out.refusal or because
// others were first at the code of the target lost. To count them in a second transaction
// spares every other login a savepoint.
func (v *Verifier) refuse(ctx context.Context, targets []target, out outcome, lost int) (outcome, error) {
	if lost >= 0 {
		out = outcome{refusal: model.ErrCode, judged: targets[lost], right: out.right[:lost]}
		targets = targets[:lost]
	}
	if len(targets) == 0 {
		return out, nil
	}
	counted := out
	err := v.Tx.Within(ctx, func(ctx context.Context) (err error) {
		if counted, err = v.count(ctx, targets, out); err != nil {
			return err
		}
		return v.spare(ctx, targets, counted.right)
	})
	return counted, err
}

// spare marks those attempts of a refusal that were right as no failures of their number.
func (v *Verifier) spare(ctx context.Context, targets []target, right []bool) error {
	for i, t := range targets[:len(right)] {
		if right[i] && t.pool == model.AttemptOpen {
			if err := v.Store.Spare(ctx, t.code.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// report reports the counted attempts, and counts a refusal of the code against the
// address. It returns the refusal, model.ErrTooMany if the address has had enough of them
// by attempts at the same time.
func (v *Verifier) report(targets []target, out outcome) error {
	refusal := out.refusal
	if errors.Is(refusal, model.ErrCode) && out.judged.pool == model.AttemptOpen {
		if wait := v.Guesses.add(out.judged, model.TimeOf(v.Now())); wait > 0 {
			refusal = model.ErrTooMany.After(wait)
		}
	}
	if v.OnAttempt == nil {
		return refusal
	}
	if len(out.right) == 0 && errors.Is(out.refusal, model.ErrCode) {
		v.OnAttempt("", false)
	}
	for i, right := range out.right {
		v.OnAttempt(targets[i].code.Provider, right)
	}
	return refusal
}
