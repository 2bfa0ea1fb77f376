package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Stream follows one session for its client.
type Stream struct {
	Ended       <-chan struct{} // closed when the session has ended
	Stopped     <-chan struct{} // closed when the process stops
	EndedBefore *Ended          // how the session had ended when the stream was opened; nil: it was active
	CheckIn     time.Duration   // State must be read after this time, at the latest

	sessions *Sessions
	claims   model.Claims
	listener *listener
	closed   func()
}

// Follow opens a stream on the session of verified claims, which counts as use of the
// token. It subscribes first and reads the state then, so that no end in between is
// missed. The caller must call Leave when the stream is over.
//
// Errors: model.ErrTokenExpired for an expired token of an active session,
// model.ErrTooMany beyond the limits of open streams.
func (s *Sessions) Follow(ctx context.Context, claims model.Claims) (Stream, error) {
	l := s.Hub.subscribe(claims)
	stream := Stream{Ended: l.ended, Stopped: s.Hub.stopped, sessions: s, claims: claims, listener: l}
	if err := stream.open(ctx); err != nil {
		s.Hub.unsubscribe(l)
		return Stream{}, err
	}
	return stream, nil
}

func (s *Stream) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	var session model.Session
	session, s.EndedBefore, s.CheckIn, err = s.read(ctx)
	switch {
	case err != nil:
	case s.EndedBefore != nil: // it sends that event at once and closes: it needs no place
		s.closed, err = s.sessions.Hub.open(s.claims.UserID, nil, nil)
	case s.CheckIn == 0:
		err = model.ErrTokenExpired
	default:
		s.closed, err = s.sessions.takePlace(ctx, s.listener, session)
	}
	return err
}

// takePlace takes one of the user's places for a stream on the session. If there is none
// and the stream's token was not replaced, a stream whose token was replaced makes room.
func (s *Sessions) takePlace(ctx context.Context, l *listener, session model.Session) (closeStream func(), err error) {
	closeStream, err = s.Hub.open(session.UserID, l, nil)
	if err == nil || l.gen < session.Gen {
		return closeStream, err
	}
	for _, other := range s.Hub.streamsOf(session.UserID) {
		newest := session
		if other.sessionID != session.ID {
			newest, err = s.byID(ctx, other.sessionID)
			if err != nil && !errors.Is(err, model.ErrNotFound) {
				return nil, err
			}
		}
		if other.gen >= newest.Gen {
			continue
		}
		if closeStream, err = s.Hub.open(session.UserID, l, other); err == nil {
			return closeStream, nil
		}
	}
	return nil, model.ErrTooMany
}

// OnWake registers a callback that runs after Ended or Stopped closes, for callers
// blocked in a read. It must not block.
func (s *Stream) OnWake(wake func()) { s.sessions.Hub.onWake(s.listener, wake) }

// State reads how the session ended, nil while it is active, and after which time
// State must be read again; that is 0 once the token has expired.
func (s *Stream) State(ctx context.Context) (ended *Ended, checkIn time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	_, ended, checkIn, err = s.read(ctx)
	return ended, checkIn, err
}

// read is State with the session.
func (s *Stream) read(ctx context.Context) (session model.Session, ended *Ended, checkIn time.Duration, err error) {
	session, err = s.sessions.loadCurrent(ctx, s.claims)
	if err != nil {
		return session, nil, 0, err
	}
	if session.EndedAt == 0 {
		if s.claims.Expired(model.TimeOf(s.sessions.Now())) {
			return session, nil, 0, nil
		}
		session, err = s.sessions.confirm(ctx, session, s.claims)
		return session, nil, s.sessions.until(validUntil(session, s.claims)), err
	}
	last, err := s.sessions.lastLogin(ctx, session)
	if err != nil {
		return session, nil, 0, err
	}
	return session, &Ended{Reason: session.EndReason, LastLoginTime: last}, 0, nil
}

// Leave ends the stream, which counts as open until then. It must be called once.
func (s *Stream) Leave() {
	s.sessions.Hub.unsubscribe(s.listener)
	s.closed()
}
