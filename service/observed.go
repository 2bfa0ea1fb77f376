package service

import (
	"context"

	"menshen/model"
)

// Observed is Tx and EventLog in one, for whoever counts what happens: See is
// told each line of the log once, after its transaction was committed. A try that
// was rolled back tells nothing, and a transaction inside another tells with it.
type Observed struct {
	Tx  Tx
	Log EventLog
	See func(line model.Event) // is not to wait
}

type seenKey struct{}

// Within is [Tx.Within].
func (o Observed) Within(ctx context.Context, act func(ctx context.Context) error) error {
	var lines []model.Event
	err := o.Tx.Within(ctx, func(ctx context.Context) error {
		lines = nil // of a try that was rolled back
		return act(context.WithValue(ctx, seenKey{}, &lines))
	})
	if err == nil {
		o.tell(ctx, lines)
	}
	return err
}

// Append is [EventLog.Append].
func (o Observed) Append(ctx context.Context, events ...model.Event) error {
	err := o.Log.Append(ctx, events...)
	if err == nil {
		o.tell(ctx, events)
	}
	return err
}

// tell hands lines to the transaction of the context, or to the observer when
// there is none that could undo them.
func (o Observed) tell(ctx context.Context, lines []model.Event) {
	if pending, inside := ctx.Value(seenKey{}).(*[]model.Event); inside {
		*pending = append(*pending, lines...)
		return
	}
	for _, line := range lines {
		o.See(line)
	}
}
