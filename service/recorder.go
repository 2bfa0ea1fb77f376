package service

import (
	"context"

	"menshen/model"
)

// EventRecorder is Tx and EventLog in one. OnEvent receives each event once, after its
// transaction, or the outer one of a nested transaction, has been committed.
type EventRecorder struct {
	Tx  Tx
	Log EventLog
	// OnEvent may be nil. It must not block.
	OnEvent func(event model.Event)
}

type pendingKey struct{}

// Within is [Tx.Within].
func (r EventRecorder) Within(ctx context.Context, act func(ctx context.Context) error) error {
	var pending []model.Event
	err := r.Tx.Within(ctx, func(ctx context.Context) error {
		pending = nil // of a try that was rolled back
		return act(context.WithValue(ctx, pendingKey{}, &pending))
	})
	if err == nil {
		r.passOn(ctx, pending)
	}
	return err
}

// Append is [EventLog.Append].
func (r EventRecorder) Append(ctx context.Context, events ...model.Event) error {
	err := r.Log.Append(ctx, events...)
	if err == nil {
		r.passOn(ctx, events)
	}
	return err
}

// passOn hands events to the transaction of the context, or to OnEvent when there is
// none that could roll them back.
func (r EventRecorder) passOn(ctx context.Context, events []model.Event) {
	if pending, inside := ctx.Value(pendingKey{}).(*[]model.Event); inside {
		*pending = append(*pending, events...)
		return
	}
	if r.OnEvent == nil {
		return
	}
	for _, event := range events {
		r.OnEvent(event)
	}
}
