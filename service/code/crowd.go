package code

import (
	"context"

	"menshen/model"
)

// Crowd bounds how many requests of strangers use the database at once: requests for codes
// but those of the known pool, and attempts that have nothing to be compared with. They wait
// for each other at gates, and would otherwise do so with every connection that the instance
// has. The capacity is the bound; a nil Crowd has none.
type Crowd chan struct{}

// within runs act, once there is a place.
func (c Crowd) within(ctx context.Context, act func() error) error {
	if c == nil {
		return act()
	}
	select {
	case c <- struct{}{}:
	case <-ctx.Done():
		return model.ErrUnavailable.Wrap(ctx.Err())
	}
	defer func() { <-c }()
	return act()
}
