package service

import (
	"context"
	"sync"

	"menshen/model"
)

// turns lets the changes of one user come one after another. A user who sends many at once
// waits for himself alone: they would wait for one row of the database, each with a
// connection that others need. The zero value is ready for use.
type turns struct {
	mu    sync.Mutex
	users map[int64]*turn
}

// turn is that of one user.
type turn struct {
	place chan struct{}
	wants int // requests that have the turn or wait for it
}

// take waits for the turn of a user. The caller must call done at its end.
func (t *turns) take(ctx context.Context, userID int64) (done func(), err error) {
	own := t.enter(userID)
	select {
	case own.place <- struct{}{}:
		return func() { <-own.place; t.leave(userID, own) }, nil
	case <-ctx.Done():
		t.leave(userID, own)
		return nil, model.ErrUnavailable.Wrap(ctx.Err())
	}
}

func (t *turns) enter(userID int64) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users == nil {
		t.users = map[int64]*turn{}
	}
	own := t.users[userID]
	if own == nil {
		own = &turn{place: make(chan struct{}, 1)}
		t.users[userID] = own
	}
	own.wants++
	return own
}

func (t *turns) leave(userID int64, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.wants--; own.wants == 0 {
		delete(t.users, userID)
	}
}
