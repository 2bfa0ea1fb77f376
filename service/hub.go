package service

import (
	"context"
	"slices"
	"sync"

	"menshen/model"
)

// Hub notifies the listeners in this process of the end of sessions. A notification
// closes a channel and never blocks. Notify and NotifyAll do nothing on a nil Hub. A
// Hub is safe for concurrent use.
type Hub struct {
	mu        sync.Mutex
	listeners map[string]map[*listener]struct{}
	next      chan struct{}         // closed at the next end of any session
	held      int                   // checks that are held now
	streams   map[int64][]*listener // streams that have one of their user's places
	total     int                   // open streams
	streamEnd chan struct{}         // notifies Wait that a stream ended (buffered, 1)
	stopped   chan struct{}         // closed when the process stops
	stopOnce  sync.Once
}

// listener waits for the end of one session.
type listener struct {
	sessionID string
	gen       int64 // of its access token
	ended     chan struct{}
	held      bool   // counts among the held checks
	onWake    func() // may be nil; called after ended or Hub.stopped is closed
}

// Limits of open streams and of held checks. A stream beyond them is refused; a
// check beyond them is answered at once. A place that an older token holds is given to a
// newer one: the holder of an old token must not keep out the session's owner.
const (
	streamsPerUser = 5
	streamsInAll   = 20_000
	heldPerSession = 16
	heldInAll      = 20_000
)

// NewHub returns a hub without listeners.
func NewHub() *Hub {
	return &Hub{
		listeners: map[string]map[*listener]struct{}{}, next: make(chan struct{}), streams: map[int64][]*listener{},
		streamEnd: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// ending is closed when the process stops. It is nil for a nil Hub.
func (h *Hub) ending() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.stopped
}

// subscribe listens for the end of the token's session until unsubscribe. Subscribe first,
// then read the state.
func (h *Hub) subscribe(claims model.Claims) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.add(claims, false)
}

// hold is subscribe for a check that is to be held, nil if there is no room. At the limit
// of its session the check with the oldest token makes room, if that token is older.
func (h *Hub) hold(claims model.Claims) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held >= heldInAll {
		return nil
	}
	var oldest *listener
	places := 0
	for l := range h.listeners[claims.SessionID] {
		if !l.held {
			continue
		}
		if places++; oldest == nil || l.gen < oldest.gen {
			oldest = l
		}
	}
	if places >= heldPerSession {
		if oldest.gen >= claims.Gen {
			return nil
		}
		h.dismiss(oldest)
	}
	h.held++
	return h.add(claims, true)
}

// add adds a listener; mu is held.
func (h *Hub) add(claims model.Claims, held bool) *listener {
	l := &listener{sessionID: claims.SessionID, gen: claims.Gen, ended: make(chan struct{}), held: held}
	if h.listeners[l.sessionID] == nil {
		h.listeners[l.sessionID] = map[*listener]struct{}{}
	}
	h.listeners[l.sessionID][l] = struct{}{}
	return l
}

// dismiss notifies one listener, which must make room; mu is held.
func (h *Hub) dismiss(l *listener) {
	if _, listens := h.listeners[l.sessionID][l]; listens {
		l.notify()
		h.drop(l)
	}
}

// drop removes a listener; mu is held.
func (h *Hub) drop(l *listener) {
	delete(h.listeners[l.sessionID], l)
	if len(h.listeners[l.sessionID]) == 0 {
		delete(h.listeners, l.sessionID)
	}
}

func (h *Hub) unsubscribe(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.held {
		h.held--
	}
	h.drop(l)
}

// onWake registers a callback that runs when the listener is notified and when the
// process stops. Events before the call are not replayed; check the channels
// afterwards. wake must not block.
func (h *Hub) onWake(l *listener, wake func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.onWake = wake
}

// nextEnd returns a channel that is closed at the next end of any session.
func (h *Hub) nextEnd() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// notifyAny notifies those that wait for any end; mu is held.
func (h *Hub) notifyAny() {
	close(h.next)
	h.next = make(chan struct{})
}

// Notify notifies the session's listeners, and those that wait for any end.
func (h *Hub) Notify(sessionID string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners[sessionID] {
		l.notify()
	}
	delete(h.listeners, sessionID)
	h.notifyAny()
}

func (l *listener) notify() {
	close(l.ended)
	if l.onWake != nil {
		l.onWake()
	}
}

// NotifyAll notifies every listener, because an end may have been missed.
func (h *Hub) NotifyAll() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, listeners := range h.listeners {
		for l := range listeners {
			l.notify()
		}
	}
	clear(h.listeners)
	h.notifyAny()
}

// open counts a stream of the user in, and returns closeStream, which counts it out. The
// stream takes one of the user's places, if all are taken that of old, which may be nil.
// With l nil it needs none. If there is no place, the error is model.ErrTooMany.
func (h *Hub) open(userID int64, l, old *listener) (closeStream func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l != nil {
		full := len(h.streams[userID]) >= streamsPerUser
		if h.total >= streamsInAll || full && !h.leave(userID, old) {
			return nil, model.ErrTooMany
		}
		if full {
			h.dismiss(old)
		}
		h.streams[userID] = append(h.streams[userID], l)
	}
	h.total++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.total--
		h.leave(userID, l)
		select {
		case h.streamEnd <- struct{}{}:
		default: // Wait has an earlier notification to take, and counts then
		}
	}, nil
}

// leave frees the place of a stream and reports whether it had one; mu is held.
func (h *Hub) leave(userID int64, l *listener) bool {
	i := slices.Index(h.streams[userID], l)
	if i < 0 {
		return false
	}
	h.streams[userID] = slices.Delete(h.streams[userID], i, i+1)
	if len(h.streams[userID]) == 0 {
		delete(h.streams, userID)
	}
	return true
}

// streamsOf lists the streams that have one of the user's places.
func (h *Hub) streamsOf(userID int64) []*listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.streams[userID])
}

// Stop notifies every stream and held check that this process stops.
func (h *Hub) Stop() {
	h.stopOnce.Do(func() {
		close(h.stopped)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, listeners := range h.listeners {
			for l := range listeners {
				if l.onWake != nil {
					l.onWake()
				}
			}
		}
	})
}

// Wait returns when no stream is open any more, or with the error of ctx. It is not safe
// for concurrent use.
func (h *Hub) Wait(ctx context.Context) error {
	for h.Streams() > 0 {
		select {
		case <-h.streamEnd:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Held is the number of checks that are held now, for metrics.
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
