package service

import (
	"context"

	"menshen/model"
)

// What tests outside of the package see of its inside.
const (
	ShortWindow, LongWindow = shortWindow, longWindow
	LongEvery, LongestGap   = longEvery, longestGap
	FeedEvery               = feedEvery
)

var EndKinds = endKinds

func (e *Endings) RecordEnd(ctx context.Context, sessionID string) error {
	return e.recordEnd(ctx, model.Event{Kind: model.EventLogout, SessionID: sessionID})
}

func (h *Hub) Listen(session string) (ended <-chan struct{}, leave func()) { return h.listen(session) }

// Listeners returns how many listen for the end of the session; of any, if it is "".
func (h *Hub) Listeners(session string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if session != "" {
		return len(h.listeners[session])
	}
	return len(h.listeners)
}

func (f *Follower) Seen() int { return len(f.seen) }

func (c *SessionCache) Get(id string) (entry any, found bool) { return c.get(id) }

func (c *SessionCache) Put(session model.Session) { c.put(session) }
