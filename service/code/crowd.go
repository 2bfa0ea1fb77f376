package code

import "context"

// Crowd bounds how many requests of strangers use the database at once: requests for codes
// that pass the gate of their block or address, which none of the known pool does, and
// attempts that have nothing to be compared with. They wait for each other, and would
// otherwise do so with every connection that the instance has.
type Crowd interface {
	// Enter waits for a place, in which addresses take turns. The caller must call leave.
	Enter(ctx context.Context) (leave func(), err error)
}

// inCrowd runs act with a place of the crowd; nil has no bound.
func inCrowd(ctx context.Context, c Crowd, act func() error) error {
	if c == nil {
		return act()
	}
	leave, err := c.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return act()
}
