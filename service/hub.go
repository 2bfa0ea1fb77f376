package service

import (
	"context"
	"sync"

	"menshen/model"
)

// Hub wakes those who wait for the end of a session in this process. Telling
// never waits for a listener: an end is told by closing a channel. The nil Hub
// has nobody to tell.
type Hub struct {
	mu        sync.Mutex
	listeners map[string]map[*listener]struct{}
	next      chan struct{} // closed at the next end of any session; nil: nobody wants to know
	held      int           // checks that are held now
	streams   map[int64]int // open streams by user
	total     int
	left      chan struct{} // has room for the news that a stream is over
	stopped   chan struct{}
	stopOnce  sync.Once
}

// listener is one who waits for the end of a session.
type listener struct {
	ended chan struct{}
	wake  func() // called after ended or stopped is closed; nil: who waits on the channels needs no call
}

// Limits of open streams and of checks that are held. Beyond those of streams
// one is refused, beyond those of checks one is answered at once.
const (
	streamsPerUser = 5
	streamsInAll   = 20_000
	heldPerSession = 16 // listeners of a session, its streams included
	heldInAll      = 20_000
)

// NewHub is a hub without listeners.
func NewHub() *Hub {
	return &Hub{
		listeners: map[string]map[*listener]struct{}{}, streams: map[int64]int{},
		left: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// add listens for the end of the session until remove. Listen first, then read
// the state.
func (h *Hub) add(sessionID string) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addLocked(sessionID)
}

func (h *Hub) addLocked(sessionID string) *listener {
	l := &listener{ended: make(chan struct{})}
	if h.listeners[sessionID] == nil {
		h.listeners[sessionID] = map[*listener]struct{}{}
	}
	h.listeners[sessionID][l] = struct{}{}
	return l
}

func (h *Hub) remove(sessionID string, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(sessionID, l)
}

func (h *Hub) removeLocked(sessionID string, l *listener) {
	delete(h.listeners[sessionID], l)
	if len(h.listeners[sessionID]) == 0 {
		delete(h.listeners, sessionID)
	}
}

// hold listens for a check that is to be held, and returns a channel that is
// closed when the session ends and what to call when that is no longer of
// interest. It reports no room when as many are held as may be.
func (h *Hub) hold(sessionID string) (ended <-chan struct{}, leave func(), room bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners[sessionID]) >= heldPerSession || h.held >= heldInAll {
		return nil, nil, false
	}
	l := h.addLocked(sessionID)
	h.held++
	return l.ended, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.held--
		h.removeLocked(sessionID, l)
	}, true
}

// rouse has wake called once the listener is told and when the process stops.
// Of what came before the call it tells nothing: look at the channels after it.
// wake must not wait.
func (h *Hub) rouse(l *listener, wake func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.wake = wake
}

// anyEnd returns a channel that is closed at the next end of any session. Take it
// first, then read the state.
func (h *Hub) anyEnd() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = make(chan struct{})
	}
	return h.next
}

// tellNext wakes those who wait for any end; the lock is held.
func (h *Hub) tellNext() {
	if h.next != nil {
		close(h.next)
		h.next = nil
	}
}

// tell wakes the session's listeners, and those who wait for any.
func (h *Hub) tell(sessionID string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners[sessionID] {
		l.tell()
	}
	delete(h.listeners, sessionID)
	h.tellNext()
}

func (l *listener) tell() {
	close(l.ended)
	if l.wake != nil {
		l.wake()
	}
}

// tellAll wakes every listener: what it waits for may have been missed.
func (h *Hub) tellAll() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, listeners := range h.listeners {
		for l := range listeners {
			l.tell()
		}
	}
	clear(h.listeners)
	h.tellNext()
}

// enter counts a stream of the user in; beyond the limits it is
// model.ErrTooMany. leave counts it out again.
func (h *Hub) enter(userID int64) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[userID] >= streamsPerUser || h.total >= streamsInAll {
		return nil, model.ErrTooMany
	}
	return h.count(userID), nil
}

// pass is enter without the limits, for a stream that is told at once that its
// session has ended: refused, it would never hear.
func (h *Hub) pass(userID int64) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count(userID)
}

// count is called with mu held.
func (h *Hub) count(userID int64) (leave func()) {
	h.streams[userID]++
	h.total++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.total--
		if h.streams[userID]--; h.streams[userID] == 0 {
			delete(h.streams, userID)
		}
		select {
		case h.left <- struct{}{}:
		default: // Wait has not taken the last news yet, and counts then
		}
	}
}

// Stop tells everybody who waits that this process ends.
func (h *Hub) Stop() {
	h.stopOnce.Do(func() {
		close(h.stopped)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, listeners := range h.listeners {
			for l := range listeners {
				if l.wake != nil {
					l.wake()
				}
			}
		}
	})
}

// Wait waits until no stream is open any more: who stops the hub waits for the
// streams, which no server knows. It returns the error of ctx when that ends
// before. One caller at a time.
func (h *Hub) Wait(ctx context.Context) error {
	for h.Streams() > 0 {
		select {
		case <-h.left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Held is the number of checks that are held, for metrics.
func (h *Hub) Held() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// Streams is the number of open streams, for metrics.
func (h *Hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}
