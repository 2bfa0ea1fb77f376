package repository

import (
	"container/list"
	"context"
	"sync"

	"menshen/model"
)

// turns has a number of places, and gives them in turns to the addresses that the work is
// for (model.AddressOf): a place that becomes free goes to the next block of addresses
// (IPv4 by /24, IPv6 by /48), there to the next address, there to the one that has waited
// longest. So a caller waits for as many others as there are blocks and neighbours that
// wait, however much work each of them brings. The nil turns has places for all.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting int
	blocks  line
}

func newTurns(places int) *turns { return &turns{free: places} }

// acquire takes a place, and waits for one while all are taken. It returns an error if ctx
// ends first.
func (t *turns) acquire(ctx context.Context) error {
	if t == nil || t.take() {
		return nil
	}
	address := model.AddressOf(ctx)
	block, address := model.AddressBlock(address), model.AddressKey(address)
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	t.waiting++
	own, turn := t.blocks.of(block).of(address), make(chan struct{})
	at := own.waiting.PushBack(turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-turn: // both at once
		t.pass()
	default:
		t.waiting--
		own.waiting.Remove(at)
		own.prune()
	}
	return ctx.Err()
}

// take takes a place if one is free.
func (t *turns) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == 0 {
		return false
	}
	t.free--
	return true
}

// release gives a place back.
func (t *turns) release() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.pass()
	}
}

// pass gives a place to the caller whose turn it is. t.mu must be held.
func (t *turns) pass() {
	if t.waiting == 0 {
		t.free++
		return
	}
	t.waiting--
	close(t.blocks.next())
}

// len returns the number of callers that wait.
func (t *turns) len() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

// line holds callers, the one that has waited longest first, or lines of callers, in the
// order of their turns. None of these lines is empty.
type line struct {
	waiting list.List // of chan struct{}, or of *line
	byKey   map[string]*line
	key     string        // in outer
	outer   *line         // nil: this is the outermost line
	at      *list.Element // of outer.waiting
}

// of returns the line of the key, at the end of l if it is new. A caller must join it.
func (l *line) of(key string) *line {
	if inner := l.byKey[key]; inner != nil {
		return inner
	}
	inner := &line{key: key, outer: l}
	inner.at = l.waiting.PushBack(inner)
	if l.byKey == nil {
		l.byKey = map[string]*line{}
	}
	l.byKey[key] = inner
	return inner
}

// next removes the caller whose turn it is. l must not be empty.
func (l *line) next() chan struct{} {
	first := l.waiting.Front()
	if inner, ok := first.Value.(*line); ok {
		l.waiting.MoveToBack(first)
		return inner.next()
	}
	l.waiting.Remove(first)
	l.prune()
	return first.Value.(chan struct{})
}

// prune removes l from the lines around it if it is empty.
func (l *line) prune() {
	for ; l.outer != nil && l.waiting.Len() == 0; l = l.outer {
		l.outer.waiting.Remove(l.at)
		delete(l.outer.byKey, l.key)
	}
}

// Crowd is turns that a part of the callers takes before those of the connections, so that
// some are left for the others.
type Crowd struct{ turns *turns }

// NewCrowd returns a crowd with a number of places.
func NewCrowd(places int) Crowd { return Crowd{newTurns(places)} }

// Enter waits for a place. The caller must call leave.
func (c Crowd) Enter(ctx context.Context) (leave func(), err error) {
	if err := c.turns.acquire(ctx); err != nil {
		return nil, unavailable("wait for a turn", err)
	}
	return c.turns.release, nil
}
