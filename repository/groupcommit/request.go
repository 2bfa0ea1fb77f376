package groupcommit

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

// errPanicked marks a writer whose act did not return. It does not act again.
var errPanicked = errors.New("act panicked")

// request is a writer in the queue. act and abandon run in the goroutine of the
// writer, run in that of the queue.
type request struct {
	ctx     context.Context
	turn    chan *gorm.DB // unbuffered: received only by a writer that is still there
	acted   chan error
	outcome chan error // buffered: the writer may have left
	err     error      // the result of act
}

// act runs the writer's act. A panic goes on in this goroutine, whose stack shows
// its origin, once the group is committed.
func (r *request) act(tx *gorm.DB, act func(tx *gorm.DB) error) {
	err := errPanicked
	defer func() {
		r.acted <- err
		if errors.Is(err, errPanicked) {
			select {
			case <-r.outcome: //nolint:errcheck // the panic is the result
			case <-r.ctx.Done():
			}
		}
	}()
	err = act(tx)
}

// abandon returns the outcome if it is already known, otherwise why.
func (r *request) abandon(why error) error {
	select {
	case err := <-r.outcome:
		return err
	default:
		return why
	}
}

// run lets the writer act and waits until it has.
func (r *request) run(tx *gorm.DB) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	select {
	case r.turn <- tx:
		if err := <-r.acted; err != nil {
			return err
		}
		return r.ctx.Err() // the caller has left
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}
