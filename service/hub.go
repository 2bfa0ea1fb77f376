package service

import (
	"sync"

	"menshen/model"
)

// Hub wakes those who wait for the end of a session in this process. Telling
// never waits for a listener: an end is told by closing a channel. The nil Hub
// has nobody to tell.
type Hub struct {
	mu        sync.Mutex
	listeners map[string]map[chan struct{}]struct{}
	streams   map[int64]int // open streams by user
	total     int
	stopped   chan struct{}
	stopOnce  sync.Once
}

// Limits of open streams.
const (
	streamsPerUser = 5
	streamsInAll   = 20_000
)

// NewHub is a hub without listeners.
func NewHub() *Hub {
	return &Hub{
		listeners: map[string]map[chan struct{}]struct{}{}, streams: map[int64]int{}, stopped: make(chan struct{}),
	}
}

// listen returns a channel that is closed when the session ends, and what to
// call when that is no longer of interest. Listen first, then read the state.
func (h *Hub) listen(sessionID string) (ended <-chan struct{}, leave func()) {
	ch := make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[sessionID] == nil {
		h.listeners[sessionID] = map[chan struct{}]struct{}{}
	}
	h.listeners[sessionID][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners[sessionID], ch)
		if len(h.listeners[sessionID]) == 0 {
			delete(h.listeners, sessionID)
		}
	}
}

// tell wakes the session's listeners.
func (h *Hub) tell(sessionID string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.listeners[sessionID] {
		close(ch)
	}
	delete(h.listeners, sessionID)
}

// tellAll wakes every listener: what it waits for may have been missed.
func (h *Hub) tellAll() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, listeners := range h.listeners {
		for ch := range listeners {
			close(ch)
		}
	}
	clear(h.listeners)
}

// enter counts a stream of the user in; beyond the limits it is
// model.ErrTooMany. leave counts it out again.
func (h *Hub) enter(userID int64) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[userID] >= streamsPerUser || h.total >= streamsInAll {
		return nil, model.ErrTooMany
	}
	h.streams[userID]++
	h.total++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.total--
		if h.streams[userID]--; h.streams[userID] == 0 {
			delete(h.streams, userID)
		}
	}, nil
}

// Stop tells everybody who waits that this process ends.
func (h *Hub) Stop() { h.stopOnce.Do(func() { close(h.stopped) }) }

// Streams is the number of open streams, for metrics.
func (h *Hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}
