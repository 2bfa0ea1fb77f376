package code

import (
	"context"
	"math"

	"menshen/model"
)

// knownFor is how long a number that redeemed a code counts as known.
const knownFor = 30 * day

// Price is what a provider takes for a segment of a message to a region.
type Price struct {
	Provider, Region string
	Segment          float64
}

// Prices are the prices of messages. The first match counts.
type Prices []Price

// Of returns what segments to a region cost, in millionths of the price's unit. A message has at
// least one segment.
func (p Prices) Of(provider, region string, segments int) int64 {
	for _, price := range p {
		if price.Provider == provider && price.Region == region {
			return int64(math.Round(price.Segment*1e6)) * int64(max(1, segments))
		}
	}
	return 0
}

// attempt is one try to have a message sent by a provider.
type attempt struct {
	provider string
	sent     model.Sent
	err      error
	outcome  Outcome
}

// errorsOf returns the errors of the attempts that failed.
func errorsOf(attempts []attempt) (failed []error) {
	for _, a := range attempts {
		if a.err != nil {
			failed = append(failed, a.err)
		}
	}
	return failed
}

// states are those of messages by the outcome of their attempt. It is read-only.
var states = map[Outcome]model.MessageState{
	OutcomeSent: model.MessageAccepted, OutcomeRefused: model.MessageRefused, OutcomeThrottled: model.MessageThrottled,
	OutcomeUnknown: model.MessageUnknown,
}

// traced is the row of an attempt to send the message.
func (s delivery) traced(provider string, state model.MessageState) model.TracedMessage {
	return model.TracedMessage{
		At: s.code.SentAt, CodeID: s.code.ID, NumberKey: s.code.NumberKey, MobileKey: s.mobile, Mobile: s.message.Mobile.String(), UserID: s.account,
		CompanyType: s.message.CompanyType, ProductType: s.message.ProductType, Purpose: s.message.Purpose, Region: s.message.Region,
		Provider: provider, State: state,
	}
}

func (s delivery) knownSince() model.Time { return s.code.SentAt.Add(-knownFor) }

// record writes the attempts, and the outcome unless the code says it already: that its first
// provider took the message. So a code that is sent costs one statement here.
func (d *Delivery) record(ctx context.Context, send delivery, settlement model.Settlement, attempts []attempt) error {
	messages := make([]model.TracedMessage, 0, len(attempts))
	for _, a := range attempts {
		m := send.traced(a.provider, states[a.outcome])
		m.MessageID = model.VendorMessageID(a.sent.MessageID, send.message.Mobile)
		m.Reason = model.VendorText(model.VendorCodeOf(a.err))
		if a.outcome == OutcomeSent {
			m.Cost = d.Prices.Of(a.provider, send.message.Region, a.sent.Segments)
		}
		messages = append(messages, m)
	}
	err := d.write(ctx, send, settlement, messages)
	if err == nil && d.OnRecorded != nil {
		d.OnRecorded(ctx, messages)
	}
	for _, m := range messages {
		if m.Cost > 0 && d.OnCost != nil {
			d.OnCost(m.Provider, m.Region, float64(m.Cost)/1e6)
		}
	}
	return err
}

func (d *Delivery) write(ctx context.Context, send delivery, settlement model.Settlement, messages []model.TracedMessage) error {
	if settlement.Delivery == model.DeliveryAccepted && settlement.Provider == send.code.Provider {
		return d.Messages.Insert(ctx, send.knownSince(), messages...)
	}
	return d.Tx.Within(ctx, func(ctx context.Context) error {
		if err := d.Store.Settle(ctx, send.code.ID, settlement); err != nil {
			return err
		}
		return d.Messages.Insert(ctx, send.knownSince(), messages...)
	})
}
