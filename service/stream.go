package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// CheckAndWait is Check that holds an answer of yes until it turns, the token
// expires, wait is over or the process stops. A check for which there is no room
// among those that are held is answered at once. Nearly no check asks who caller is.
func (s *Sessions) CheckAndWait(ctx context.Context, claims model.Claims, deviceNumber string, wait time.Duration, caller func() Caller) (CheckResult, error) {
	if wait == 0 {
		return s.checkInTime(ctx, claims, deviceNumber, caller)
	}
	ended, leave, room := s.Hub.hold(claims.SessionID)
	if !room {
		return s.checkInTime(ctx, claims, deviceNumber, caller)
	}
	defer leave()
	over := time.NewTimer(wait)
	defer over.Stop()
	first := CheckResult{}
	for waiting := true; ; {
		result, err := s.checkInTime(ctx, claims, deviceNumber, caller)
		if first.State == "" {
			first = result
		}
		if result.State == StateActive {
			result.State = first.State // a device bound by this very call stays so
		}
		if err != nil || !result.IsLogin || !waiting {
			return result, err
		}
		turn := time.NewTimer(s.until(result.Until))
		select {
		case <-ended:
			waiting = false
		case <-turn.C: // the end has come, unless a refresh has moved it
		case <-over.C:
			waiting = false
		case <-s.Hub.stopped:
			waiting = false
		case <-ctx.Done():
			turn.Stop()
			return result, nil
		}
		turn.Stop()
	}
}

// checkInTime is Check whose work on the database is bounded. A bound costs more
// than an answer that asks no database, which is nearly every one.
func (s *Sessions) checkInTime(ctx context.Context, claims model.Claims, deviceNumber string, caller func() Caller) (CheckResult, error) {
	if result, ok := s.remembered(claims, deviceNumber); ok {
		return result, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	return s.checkStored(ctx, claims, deviceNumber, caller())
}

// until is how long until the instant has certainly passed.
func (s *Sessions) until(end model.Time) time.Duration {
	return end.Sub(model.TimeOf(s.Now())) + time.Millisecond
}

// Stream follows one session for its client.
type Stream struct {
	Ended   <-chan struct{} // closed when the session has ended
	Stopped <-chan struct{} // closed when the process stops
	Was     *Ended          // how the session had ended when the stream was opened; nil: it lived
	Left    time.Duration   // after how long State is to be read, at the latest

	sessions *Sessions
	claims   model.Claims
	listener *listener
	out      func()
}

// Follow opens a stream on the session of verified claims; to open one is to use
// the token. It listens first and reads the state then, so that no end in
// between is missed. Leave is to be called when the stream is over.
//
// Errors: model.ErrTokenExpired for an expired token of a live session,
// ErrTooMany beyond the limits of open streams.
func (s *Sessions) Follow(ctx context.Context, claims model.Claims) (Stream, error) {
	l := s.Hub.add(claims.SessionID)
	was, left, err := s.stands(ctx, claims)
	if err == nil && was == nil && left == 0 {
		err = model.ErrTokenExpired
	}
	var out func()
	switch {
	case err != nil:
	case was != nil:
		out = s.Hub.pass(claims.UserID)
	default:
		out, err = s.Hub.enter(claims.UserID)
	}
	if err != nil {
		s.Hub.remove(claims.SessionID, l)
		return Stream{}, err
	}
	return Stream{
		Ended: l.ended, Stopped: s.Hub.stopped, Was: was, Left: left,
		sessions: s, claims: claims, listener: l, out: out,
	}, nil
}

// Rouse has wake called, from now on, after Ended or Stopped is closed: for who
// waits on something else than the channels. wake must not wait.
func (s *Stream) Rouse(wake func()) { s.sessions.Hub.rouse(s.listener, wake) }

// State reads how the session stands: how it ended, nil while it lives; and
// after how long it may have come to an end by itself, 0 once the token has
// expired.
func (s *Stream) State(ctx context.Context) (ended *Ended, left time.Duration, err error) {
	return s.sessions.stands(ctx, s.claims)
}

// Leave ends the stream, once. It counts as open until then.
func (s *Stream) Leave() {
	s.sessions.Hub.remove(s.claims.SessionID, s.listener)
	s.out()
}

// stands is the State of a stream.
func (s *Sessions) stands(ctx context.Context, claims model.Claims) (*Ended, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	session, err := s.current(ctx, claims)
	if err != nil {
		return nil, 0, err
	}
	if session.EndedAt == 0 {
		if claims.Expired(model.TimeOf(s.Now())) {
			return nil, 0, nil
		}
		session, err = s.confirm(ctx, session, claims)
		return nil, s.until(turns(session, claims)), err
	}
	last, err := s.lastLogin(ctx, session)
	if err != nil {
		return nil, 0, err
	}
	return &Ended{Reason: session.EndReason, LastLoginTime: last}, 0, nil
}

type endedKey struct{}

// atomically runs act in one transaction and, once it is committed, tells this
// process of the sessions that ended in it; others read of them in the log.
func (s *Sessions) atomically(ctx context.Context, act func(ctx context.Context) error) error {
	var ended []string
	err := s.Tx.Within(context.WithValue(ctx, endedKey{}, &ended), func(ctx context.Context) error {
		ended = ended[:0] // of a try that was rolled back
		return act(ctx)
	})
	if err != nil {
		return err
	}
	for _, id := range ended {
		s.Live.end(id)
		s.Hub.tell(id)
	}
	return nil
}

// willTell notes an end of the transaction that atomically runs.
func willTell(ctx context.Context, sessionID string) error {
	ended, ok := ctx.Value(endedKey{}).(*[]string)
	if !ok {
		return errors.New("session ended outside of atomically")
	}
	*ended = append(*ended, sessionID)
	return nil
}
