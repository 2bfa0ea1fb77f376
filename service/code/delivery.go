package code

import (
	"context"
	"errors"
	"slices"
	"time"

	"menshen/model"
)

// Provider is a sender and its name.
type Provider struct {
	Name    string
	Gateway Gateway
}

// AnyRegion stands for all regions in a route.
const AnyRegion = "*"

// Route names the providers for the numbers of some regions.
type Route struct {
	Regions   []string   // ISO 3166, or AnyRegion
	Providers []Provider // in order of preference
}

// Outcome is a provider's answer to one message, in the words of the metric.
type Outcome string

// The outcomes.
const (
	OutcomeSent      Outcome = "sent"      // the provider accepted the message
	OutcomeRefused   Outcome = "refused"   // a definite refusal
	OutcomeThrottled Outcome = "throttled" // a definite refusal, because a limit of the provider is reached
	OutcomeUnknown   Outcome = "unknown"   // no definite answer: the message may arrive
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{OutcomeSent, OutcomeRefused, OutcomeThrottled, OutcomeUnknown}
}

const (
	// RequestTime bounds a whole request for a code.
	RequestTime = 8 * time.Second
	// sendTime bounds the sending by all providers. The steps before may leave less of
	// RequestTime, but at least fallbackTime. The storageTime after the sending is
	// reserved.
	sendTime = 3 * time.Second
	// fallbackTime is the least time for a further provider: with less, its definite
	// outcome would mostly become an unknown one.
	fallbackTime = time.Second
	// admitTime bounds the admission.
	admitTime = RequestTime - fallbackTime - storageTime
)

// Delivery hands messages to the providers and records the outcome.
type Delivery struct {
	Tx       Tx
	Store    Store
	Messages MessageStore
	Quotas   *Quotas
	Routes   []Route // the first with the number's region is used
	Now      func() time.Time
	// OnOutcome receives the answer of each provider that was asked. It may be nil and
	// must not block.
	OnOutcome func(provider string, outcome Outcome)
	// OnRecorded receives the attempts whose rows were written, and OnCost the cost of a
	// message that was accepted. They may be nil.
	OnRecorded func(ctx context.Context, messages []model.TracedMessage)
	OnCost     func(provider, region string, cost float64)
	Prices     Prices
	// OnError receives the errors of the providers that refused a message, if a later
	// one accepted it. It may be nil and must not block.
	OnError func(err error)
}

// delivery is a code whose message is to be sent.
type delivery struct {
	code    model.Code
	message model.Message
	account int64  // of the number; 0: none
	mobile  []byte // key of the account
}

// first returns the provider that is asked first for numbers of the region.
func (d *Delivery) first(region string) string {
	providers := d.providers(region)
	if len(providers) == 0 {
		return ""
	}
	return providers[0].Name
}

// deliver hands the message to the providers, outside of any transaction, until ctx
// ends, less the time for recording the outcome. It goes on if the client disconnects,
// because the message is paid for.
//
// Errors: model.ErrProvider if the outcome is unknown or all providers refused. If one of
// them named a limit, it is model.ErrCooldown, ErrDailyLimit or ErrTooMany instead, with a
// wait after which our own limits allow a code too. valid reports whether the code may be
// redeemed.
func (d *Delivery) deliver(ctx context.Context, send delivery) (valid bool, err error) {
	settlement, attempts := d.sendFirst(ctx, send)
	ctx, cancel := settleContext(ctx)
	defer cancel()
	settlement.At = model.TimeOf(d.Now())
	err = d.record(ctx, send, settlement, attempts)
	if settlement.Delivery == model.DeliveryRefused {
		d.Quotas.full.forget()
	}
	if settlement.Delivery == model.DeliveryAccepted {
		return true, nil // an accepted message is a success, even if the outcome could not be recorded
	}
	failure, failed := model.ErrProvider, errorsOf(attempts)
	if limit := limitOf(failed); limit != nil && settlement.Delivery == model.DeliveryRefused {
		code := send.code
		code.SentAt = settlement.At // wait counts from now and includes the refused code's charge of its address
		wait, unread := d.Quotas.wait(ctx, code)
		failure, err = limit.After(max(wait, seconds(limit))), errors.Join(err, unread)
	}
	return settlement.Delivery == model.DeliveryUnknown, failure.Wrap(errors.Join(append(failed, err)...))
}

// skip records that the code of a test number needs no message.
func (d *Delivery) skip(ctx context.Context, send delivery) error {
	d.report(model.ProviderTest, OutcomeSent)
	ctx, cancel := settleContext(ctx)
	defer cancel()
	return d.Messages.Insert(ctx, send.knownSince(), send.traced(model.ProviderTest, model.MessageTest))
}

// settleContext bounds the recording of the outcome. Its time does not depend on what
// was used before, because a refused message stays charged until its outcome is
// recorded.
func settleContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storageTime)
}

// sendFirst asks the providers in their order until one accepts the message. Only a
// definite refusal leads to the next one: after an unknown outcome a second message
// could arrive as well.
func (d *Delivery) sendFirst(ctx context.Context, send delivery) (settlement model.Settlement, attempts []attempt) {
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Add(-storageTime))
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, sendTime)
	defer cancel()
	end, _ = ctx.Deadline()
	early, cancel := context.WithDeadline(ctx, end.Add(-fallbackTime))
	defer cancel()
	settlement.Delivery = model.DeliveryRefused
	for i, provider := range d.providers(send.message.Region) {
		if i > 0 && early.Err() != nil {
			break
		}
		sent, err := provider.Gateway.Send(ctx, send.message)
		this := attempt{provider: provider.Name, sent: sent, err: err, outcome: OutcomeOf(err)}
		d.report(provider.Name, this.outcome)
		attempts, settlement.Provider = append(attempts, this), provider.Name
		switch this.outcome {
		case OutcomeSent:
			settlement.Delivery = model.DeliveryAccepted
			if len(attempts) > 1 && d.OnError != nil {
				d.OnError(errors.Join(errorsOf(attempts)...))
			}
			return settlement, attempts
		case OutcomeUnknown:
			settlement.Delivery = model.DeliveryUnknown
			return settlement, attempts
		case OutcomeRefused, OutcomeThrottled:
			settlement.Delivery = model.DeliveryRefused
		}
	}
	return settlement, attempts
}

// providers returns those for numbers of the region.
func (d *Delivery) providers(region string) []Provider {
	for _, route := range d.Routes {
		if slices.Contains(route.Regions, region) || slices.Contains(route.Regions, AnyRegion) {
			return route.Providers
		}
	}
	return nil
}

// OutcomeOf returns the outcome of a message from the error of [Gateway.Send].
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

// limitOf returns the limit that a provider named in its refusal. Of several it returns
// the one that ends first, because the next try may succeed there. It returns nil if
// there is none.
func limitOf(refusals []error) *model.Failure {
	var first *model.Failure
	for _, refusal := range refusals {
		if limit, ok := errors.AsType[*model.Failure](refusal); ok && (first == nil || limit.RetryAfter() < first.RetryAfter()) {
			first = limit
		}
	}
	return first
}

func (d *Delivery) report(provider string, outcome Outcome) {
	if d.OnOutcome != nil {
		d.OnOutcome(provider, outcome)
	}
}
