package service

import (
	"slices"
	"sync"

	"menshen/model"
)

// Bounds of an Inbox: messages that it keeps, its followers, and messages that one
// follower may be behind.
const (
	inboxSize      = 200
	inboxFollowers = 64
	inboxBehind    = 32
)

// InboxMessage is a message in clear, as its receiver would read it.
type InboxMessage struct {
	model.Message
	At   model.Time
	Text string
}

// Inbox keeps the last messages of the provider "log" in memory, for the pages of
// development. It is safe for concurrent use.
type Inbox struct {
	mu        sync.Mutex
	kept      []InboxMessage // oldest first
	followers map[chan InboxMessage]struct{}
	stopped   bool
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return &Inbox{followers: map[chan InboxMessage]struct{}{}} }

// Add keeps a message and sends it to the followers. A follower that is too far behind is
// dropped, and never waited for.
func (b *Inbox) Add(m InboxMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kept) == inboxSize {
		b.kept = slices.Delete(b.kept, 0, 1)
	}
	b.kept = append(b.kept, m)
	for follower := range b.followers {
		select {
		case follower <- m:
		default:
			b.drop(follower)
		}
	}
}

// List returns the kept messages to a number, "" for all numbers, newest first.
func (b *Inbox) List(e164 string) []InboxMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []InboxMessage{}
	for _, m := range slices.Backward(b.kept) {
		if e164 == "" || m.Mobile.E164() == e164 {
			list = append(list, m)
		}
	}
	return list
}

// Follow returns a channel that receives each new message until leave is called. It is
// closed when the process stops, and for a follower that is too far behind.
//
// Errors: model.ErrTooMany.
func (b *Inbox) Follow() (messages <-chan InboxMessage, leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.followers) == inboxFollowers {
		return nil, nil, model.ErrTooMany
	}
	follower := make(chan InboxMessage, inboxBehind)
	b.followers[follower] = struct{}{}
	if b.stopped {
		b.drop(follower)
	}
	return follower, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(follower)
	}, nil
}

// Stop ends all followers, later ones too.
func (b *Inbox) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for follower := range b.followers {
		b.drop(follower)
	}
}

// drop ends a follower, unless it has ended. The caller holds the lock.
func (b *Inbox) drop(follower chan InboxMessage) {
	if _, follows := b.followers[follower]; follows {
		delete(b.followers, follower)
		close(follower)
	}
}
