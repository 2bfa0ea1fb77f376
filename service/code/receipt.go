package code

import (
	"context"
	"errors"
	"sync"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

const (
	// EarlyEvery is the time between two looks for messages of receipts that were early.
	EarlyEvery = 2 * time.Second
	earlyTime  = 2 * time.Second // of a look
	earlyBatch = 200
	mostEarly  = 10_000 // that an instance remembers
)

// Receipts records what vendors report on messages later. A receipt may come before the row
// of its message, which is written when the vendor has answered: then it is kept until the
// row is there. Receipts may be repeated and come in any order, at any instance.
type Receipts struct {
	Tx     Tx
	Store  MessageStore
	Events EventLog
	Now    func() time.Time
	// OnReceipt receives each receipt that said something new. It may be nil and must not
	// block.
	OnReceipt func(provider string, state model.MessageState)
	// OnError receives the first of consecutive errors of Run. It may be nil and must not
	// block.
	OnError func(err error)

	mu    sync.Mutex
	early map[string]bool // vendors' ids of the receipts that this instance keeps
}

// Take records receipts. One of an unknown message is forgotten some minutes later.
func (r *Receipts) Take(ctx context.Context, receipts ...model.Receipt) error {
	for _, receipt := range receipts {
		if receipt.MessageID == "" || len(receipt.MessageID) > model.MaxMessageID {
			continue // no message has such an id
		}
		now := model.TimeOf(r.Now())
		receipt.Reason = model.VendorText(receipt.Reason)
		if receipt.At <= 0 || receipt.At > now {
			receipt.At = now
		}
		found, err := r.apply(ctx, receipt)
		if err == nil && !found {
			err = r.keep(ctx, receipt, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keep keeps an early receipt. It looks for the message once more afterwards, since an instance that
// wrote the message in between could not see the receipt.
func (r *Receipts) keep(ctx context.Context, receipt model.Receipt, now model.Time) error {
	if err := r.Store.KeepEarly(ctx, receipt, now); err != nil {
		return err
	}
	r.mu.Lock()
	if r.early == nil || len(r.early) >= mostEarly {
		r.early = map[string]bool{}
	}
	r.early[receipt.MessageID] = true
	r.mu.Unlock()
	return r.release(ctx, receipt)
}

// release applies a kept receipt, and forgets it if its message is there.
func (r *Receipts) release(ctx context.Context, receipt model.Receipt) error {
	found, err := r.apply(ctx, receipt)
	if err != nil || !found {
		return err
	}
	return r.Store.ForgetEarly(ctx, receipt)
}

// apply records the receipt with its event, and reports whether there is a message with its
// id.
func (r *Receipts) apply(ctx context.Context, receipt model.Receipt) (found bool, err error) {
	message, err := r.Store.ByVendor(ctx, receipt.Provider, receipt.MessageID)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if message.State == model.MessageDelivered || message.State == receipt.State {
		return true, nil // nothing new
	}
	changed := false
	err = r.Tx.Within(ctx, func(ctx context.Context) (err error) {
		if changed, err = r.Store.Report(ctx, message.ID, receipt); err != nil || !changed {
			return err
		}
		return r.Events.Append(ctx, model.Event{
			At: model.TimeOf(r.Now()), Kind: model.EventReceipt, UserID: message.UserID, CompanyType: new(message.CompanyType), Actor: model.ActorSystem,
			Detail: model.EventDetail("provider", receipt.Provider, "messageId", receipt.MessageID, "state", string(receipt.State), "reason", receipt.Reason),
		})
	})
	if err == nil && changed && r.OnReceipt != nil {
		r.OnReceipt(receipt.Provider, receipt.State)
	}
	return err == nil, err
}

// Recorded applies the receipts that this instance took before the rows of their messages
// were written.
func (r *Receipts) Recorded(ctx context.Context, messages []model.TracedMessage) {
	r.mu.Lock()
	early := false
	for _, m := range messages {
		early = early || r.early[m.MessageID]
		delete(r.early, m.MessageID)
	}
	r.mu.Unlock()
	if early {
		_ = r.Look(ctx) // Run looks again, and reports a fault that lasts
	}
}

// Look applies the kept receipts whose messages are there by now, also those of other
// instances.
func (r *Receipts) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, earlyTime)
	defer cancel()
	early, err := r.Store.Early(ctx, earlyBatch)
	for _, receipt := range early {
		err = errors.Join(err, r.release(ctx, receipt))
	}
	return err
}

// Run looks at each interval until ctx ends.
func (r *Receipts) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, r.Look, r.OnError)
}
