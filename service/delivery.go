package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Provider is a sender under the name by which operators know it.
type Provider struct {
	Name   string
	Sender Sender
}

// Outcome is a provider's answer to one message, in the words of the metric.
type Outcome string

// The outcomes.
const (
	OutcomeSent      Outcome = "sent"      // it took the message
	OutcomeRefused   Outcome = "refused"   // a definite no
	OutcomeThrottled Outcome = "throttled" // a definite no, because a limit of its own is reached
	OutcomeUnknown   Outcome = "unknown"   // no clear answer: the message may arrive
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{OutcomeSent, OutcomeRefused, OutcomeThrottled, OutcomeUnknown}
}

const (
	// RequestTime bounds a whole request for a code: the guard, a challenge and the
	// limits, then the sending, then the noting of how it ended. A stop gives
	// accepted requests longer.
	RequestTime = 8 * time.Second
	// sendTime bounds the sending, whoever is asked. What comes before may leave
	// it less of RequestTime, but no less than fallbackTime; storageTime after it
	// is never touched.
	sendTime = 3 * time.Second
	// fallbackTime is the least that a provider must have left: one with less
	// would mostly make an unknown outcome of a definite one.
	fallbackTime = time.Second
	// admitTime is what the guard, a challenge and the limits may take together.
	admitTime = RequestTime - fallbackTime - storageTime
)

// deliver hands the message to the providers until ctx ends, less the time that
// the noting of the outcome may take, outside of any transaction. A client that
// hangs up changes nothing: the message is paid for.
//
// Errors: a definite refusal by all is model.ErrProvider, or the provider's own
// limit (model.ErrCooldown, ErrDailyLimit, ErrTooMany) if one named it; of
// several the one that ends first, with the time after which no limit of ours
// refuses any more either. An unknown outcome is model.ErrProvider.
func (c *Codes) deliver(ctx context.Context, code model.Code, message model.Message) error {
	settlement, failed := c.handOver(ctx, message)
	ctx, cancel := settling(ctx)
	defer cancel()
	settlement.At = model.TimeOf(c.Now())
	err := c.Store.Settle(ctx, code.ID, settlement)
	if settlement.Delivery == model.DeliveryAccepted {
		return nil // a message on its way is a success, even when that could not be noted
	}
	failure := model.ErrProvider
	if limit := limitOf(failed); limit != nil && settlement.Delivery == model.DeliveryRefused {
		code.SentAt = settlement.At // what refuses now, the refused code's charge of its address included
		wait, unread := c.waitOfAll(ctx, code)
		failure, err = limit.After(max(wait, seconds(limit))), errors.Join(err, unread)
	}
	return failure.Wrap(errors.Join(append(failed, err)...))
}

// settling is the time in which the outcome is noted. It begins anew, whatever was
// used up before: an outcome that is not noted charges what was refused.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storageTime)
}

// handOver asks the providers in their order. Only a definite refusal leads to
// the next one: after an unknown outcome a second message could arrive as well.
// The errors are those of all that were asked and did not take it.
func (c *Codes) handOver(ctx context.Context, message model.Message) (settlement model.Settlement, failed []error) {
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Add(-storageTime))
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, sendTime)
	defer cancel()
	end, _ = ctx.Deadline()
	early, cancel := context.WithDeadline(ctx, end.Add(-fallbackTime))
	defer cancel()
	for i, provider := range c.Providers {
		if i > 0 && early.Err() != nil {
			break
		}
		err := provider.Sender.Send(ctx, message)
		outcome := OutcomeOf(err)
		c.count(provider.Name, outcome)
		settlement.Provider = provider.Name
		if outcome == OutcomeSent {
			settlement.Delivery = model.DeliveryAccepted
			if len(failed) > 0 && c.Report != nil {
				c.Report(errors.Join(failed...))
			}
			return settlement, failed
		}
		failed = append(failed, err)
		settlement.Delivery = model.DeliveryRefused
		if outcome == OutcomeUnknown {
			settlement.Delivery = model.DeliveryUnknown
			return settlement, failed
		}
	}
	return settlement, failed
}

// OutcomeOf is the outcome that an answer of [Sender.Send] stands for.
func OutcomeOf(err error) Outcome {
	var limit *model.Failure
	switch {
	case err == nil:
		return OutcomeSent
	case !errors.Is(err, model.ErrSendRefused):
		return OutcomeUnknown
	case errors.As(err, &limit):
		return OutcomeThrottled
	}
	return OutcomeRefused
}

// limitOf is what a client is told of refusals by which a provider named a limit
// of its own: the one that ends first, so that the next try may succeed there. nil
// when none did.
func limitOf(refusals []error) *model.Failure {
	var first *model.Failure
	for _, refusal := range refusals {
		var limit *model.Failure
		if errors.As(refusal, &limit) && (first == nil || limit.RetryAfter() < first.RetryAfter()) {
			first = limit
		}
	}
	return first
}

func (c *Codes) count(provider string, outcome Outcome) {
	if c.Count != nil {
		c.Count(provider, outcome)
	}
}
