package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
	"menshen/service/vault"
)

const (
	// FollowUpEvery is the time between two looks for tasks that are due.
	FollowUpEvery = 2 * time.Second

	// A task is due followUpPause after its last turn. After turns that failed the pause
	// doubles, up to followUpRest. One instance has the turn for turnLease at most, and begins
	// no further batch after turnTime.
	followUpPause = 10 * time.Second
	followUpRest  = 10 * time.Minute
	turnTime      = 20 * time.Second
	turnLease     = 2 * time.Minute
	stopTime      = 700 * time.Millisecond // for what must be recorded while the program stops

	followUpBatch    = 200 // messages that are read at once
	followUpBatches  = 50  // of a turn
	followUpParallel = 8   // requests to a vendor at once

	// followUpPast is how far back a task looks when it was off, or failed for long. It is less
	// than a code is kept.
	followUpPast = 24 * time.Hour

	// redemptionAge is more than the longest life of a code, so that what became of it is
	// settled.
	redemptionAge = 11 * time.Minute
)

// receiptAges are how old a message is when its vendor is asked for the receipt, as long as
// there is none. The list is read-only.
var receiptAges = []time.Duration{time.Minute, 10 * time.Minute, 2 * time.Hour, 24 * time.Hour}

// VendorTasks are what is done at a vendor about messages that it took. A task that is nil is
// off. Their errors wrap a model.VendorCode if the vendor answered about the message: not when
// the vendor is down, throttles, or refuses the caller.
type VendorTasks struct {
	Provider string
	// Pull returns receipts that the vendor keeps until they are taken, and reports whether
	// there may be more. The vendor hands out each of them once.
	Pull func(ctx context.Context) (receipts []model.Receipt, more bool, err error)
	// Ask returns the receipt of a message to the number, nil if there is none yet.
	Ask func(ctx context.Context, message model.TracedMessage, number model.Mobile) (*model.Receipt, error)
	// Redeemed reports that the code of the message was redeemed. It may be repeated.
	Redeemed func(ctx context.Context, message model.TracedMessage) error
}

// FollowUps work at vendors about messages that were sent: they fetch receipts, and report
// redeemed codes. No request waits for them. Each task has turns, and one instance at a time
// has the turn. An instance that stops within its turn may leave it unfinished; the next turn
// then repeats a part, which is harmless. What a vendor hands out once is recorded before the
// stop.
type FollowUps struct {
	Store    FollowUpStore
	Users    Users
	Vault    *vault.Vault
	Receipts *Receipts
	Now      func() time.Time
	// OnTurn receives what became of each turn of a task. It may be nil and must not block.
	OnTurn func(provider, task string, err error)
	// OnError receives the first of consecutive errors: of a task over all instances, and of
	// the storage. It may be nil and must not block.
	OnError func(err error)

	vendors atomic.Pointer[[]VendorTasks]

	mu      sync.Mutex
	untaken []model.Receipt // pulled, but not yet recorded
}

// SetVendors changes the tasks. Before the first call there are none.
func (f *FollowUps) SetVendors(vendors []VendorTasks) { f.vendors.Store(&vendors) }

// Run looks at each interval for tasks that are due, until ctx ends.
func (f *FollowUps) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, f.Look, f.OnError)
}

// Look takes the turn of each task that is due, at all vendors at once.
func (f *FollowUps) Look(ctx context.Context) error {
	vendors := f.vendors.Load()
	if vendors == nil {
		return nil
	}
	if err := f.record(ctx, nil); err != nil {
		return err
	}
	errs := make([]error, len(*vendors))
	var wait sync.WaitGroup
	for i, vendor := range *vendors {
		wait.Go(func() {
			for _, task := range f.tasks(vendor) {
				errs[i] = errors.Join(errs[i], f.turn(ctx, task))
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// task is one kind of work at a vendor. do brings the turn forward, and reports whether there
// is more to do at once.
type task struct {
	provider, kind, name string
	do                   func(ctx context.Context, turn *model.FollowUp) (more bool, err error)
}

// The kinds of tasks.
const (
	TaskReceipts    = "receipts"
	TaskRedemptions = "redemptions"
)

func (f *FollowUps) tasks(vendor VendorTasks) (all []task) {
	add := func(kind, name string, do func(context.Context, *model.FollowUp) (bool, error)) {
		all = append(all, task{vendor.Provider, kind, vendor.Provider + " " + name, do})
	}
	if vendor.Pull != nil {
		add(TaskReceipts, TaskReceipts, func(ctx context.Context, _ *model.FollowUp) (bool, error) { return f.pull(ctx, vendor) })
	}
	if vendor.Ask != nil {
		for _, age := range receiptAges {
			add(TaskReceipts, TaskReceipts+" "+age.String(), f.walk(vendor.Provider, age, f.asking(vendor)))
		}
	}
	if vendor.Redeemed != nil {
		add(TaskRedemptions, TaskRedemptions, f.walk(vendor.Provider, redemptionAge, reporting(vendor)))
	}
	return all
}

// turn takes the turn of a task if it is due. Its error is one of the storage: those of the
// vendor go to OnError.
func (f *FollowUps) turn(ctx context.Context, task task) error {
	now := model.TimeOf(f.Now())
	turn, ours, err := f.Store.Claim(ctx, task.name, now, now.Add(turnLease))
	if err != nil || !ours {
		return err
	}
	more, failed := task.do(ctx, &turn)
	due := model.TimeOf(f.Now())
	switch {
	case ctx.Err() != nil: // the program stops: another instance goes on
	case failed != nil:
		if turn.Failures == 0 && f.OnError != nil {
			f.OnError(fmt.Errorf("%s: %w", task.name, failed))
		}
		turn.Failures++
		due = due.Add(min(followUpRest, followUpPause<<min(turn.Failures, 10)))
	default:
		turn.Failures = 0
		if !more {
			due = due.Add(followUpPause)
		}
	}
	if f.OnTurn != nil && ctx.Err() == nil {
		f.OnTurn(task.provider, task.kind, failed)
	}
	ctx, cancel := outlasting(ctx)
	defer cancel()
	return f.Store.Release(ctx, turn, due)
}

// outlasting returns a context that ends stopTime after ctx.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })
	return longer, func() { stop(); cancel() }
}

// pull takes the receipts that the vendor keeps.
func (f *FollowUps) pull(ctx context.Context, vendor VendorTasks) (more bool, err error) {
	began := f.Now()
	for range followUpBatches {
		if ctx.Err() != nil || f.Now().Sub(began) >= turnTime {
			break
		}
		receipts, more, err := pullOnce(ctx, vendor)
		if err == nil {
			err = f.record(ctx, receipts)
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// pullOnce outlasts ctx: the vendor may have handed out the receipts already.
func pullOnce(ctx context.Context, vendor VendorTasks) ([]model.Receipt, bool, error) {
	ctx, cancel := outlasting(ctx)
	defer cancel()
	return vendor.Pull(ctx)
}

// record records receipts that the vendor will not repeat. Those that the storage cannot take
// wait in this process for the next call, which Look makes.
func (f *FollowUps) record(ctx context.Context, receipts []model.Receipt) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := outlasting(ctx)
	defer cancel()
	f.untaken = append(f.untaken, receipts...)
	for len(f.untaken) > 0 {
		failed := f.Receipts.Take(ctx, f.untaken[0])
		if errors.Is(failed, model.ErrUnavailable) {
			return failed
		}
		f.untaken, err = f.untaken[1:], errors.Join(err, failed)
	}
	return err
}

// walk returns a task that visits the provider's messages once they have an age, in the order
// of their times. It stops at the first one that fails, to try it again in the next turn. One
// about which the vendor answers with an error again is left out, so that the others do not
// wait for it. Failures count since the last message that went through or was left out.
func (f *FollowUps) walk(provider string, age time.Duration, visit func(context.Context, model.TracedMessage) error) func(context.Context, *model.FollowUp) (bool, error) {
	return func(ctx context.Context, turn *model.FollowUp) (bool, error) {
		began, again := f.Now(), turn.Failures > 0
		for range followUpBatches {
			until := model.TimeOf(f.Now()).Add(-age)
			if oldest := until.Add(-followUpPast); turn.At < oldest {
				turn.At, turn.MessageID = oldest, 0
			}
			messages, err := f.Store.Sent(ctx, *turn, provider, until, followUpBatch)
			if err != nil {
				return false, err
			}
			for group := range slices.Chunk(messages, followUpParallel) {
				for i, err := range visitAll(ctx, group, visit) {
					if err != nil && (!again || model.VendorCodeOf(err) == "") {
						return false, err
					}
					turn.At, turn.MessageID, turn.Failures, again = group[i].At, group[i].ID, 0, false
					if err != nil {
						return false, err
					}
				}
				if f.Now().Sub(began) >= turnTime {
					return true, nil
				}
			}
			if len(messages) < followUpBatch {
				turn.At, turn.MessageID = until, math.MaxInt64
				return false, nil
			}
		}
		return true, nil
	}
}

// visitAll visits the messages at once, and returns their errors.
func visitAll(ctx context.Context, messages []model.TracedMessage, visit func(context.Context, model.TracedMessage) error) []error {
	errs := make([]error, len(messages))
	var wait sync.WaitGroup
	for i, message := range messages {
		wait.Go(func() { errs[i] = visit(ctx, message) })
	}
	wait.Wait()
	return errs
}

// asking asks for the receipt of a message that has none.
func (f *FollowUps) asking(vendor VendorTasks) func(context.Context, model.TracedMessage) error {
	return func(ctx context.Context, message model.TracedMessage) error {
		open := message.State == model.MessageAccepted || message.State == model.MessageUnknown
		if !open || message.MessageID == "" {
			return nil
		}
		number, err := f.numberOf(ctx, message)
		if err != nil || number == (model.Mobile{}) {
			return err
		}
		receipt, err := vendor.Ask(ctx, message, number)
		if err != nil || receipt == nil {
			return err
		}
		return f.Receipts.Take(ctx, *receipt)
	}
}

// reporting reports the message if its code was redeemed.
func reporting(vendor VendorTasks) func(context.Context, model.TracedMessage) error {
	return func(ctx context.Context, message model.TracedMessage) error {
		if message.RedeemedAt == 0 || message.MessageID == "" {
			return nil
		}
		return vendor.Redeemed(ctx, message)
	}
}

// numberOf is the number to which the message went, empty if it is not known any more: it is
// kept with an account alone, and an account may have changed its number.
func (f *FollowUps) numberOf(ctx context.Context, message model.TracedMessage) (model.Mobile, error) {
	if message.UserID == 0 {
		return model.Mobile{}, nil
	}
	user, err := f.Users.ByID(ctx, message.UserID)
	if errors.Is(err, model.ErrNotFound) {
		return model.Mobile{}, nil
	}
	if err != nil {
		return model.Mobile{}, err
	}
	number, err := f.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil || !bytes.Equal(f.Vault.NumberKey(number), message.NumberKey) {
		return model.Mobile{}, nil //nolint:nilerr // no number opens; the janitor reports broken seals
	}
	return number, nil
}
