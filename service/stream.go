package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// CheckAndWait is Check that holds an answer of yes until it turns, the token
// expires, wait is over or the process stops.
func (s *Sessions) CheckAndWait(ctx context.Context, claims model.Claims, deviceNumber string, wait time.Duration, caller Caller) (CheckResult, error) {
	if wait == 0 {
		return s.checkInTime(ctx, claims, deviceNumber, caller)
	}
	ended, leave := s.Hub.listen(claims.SessionID)
	defer leave()
	result, err := s.checkInTime(ctx, claims, deviceNumber, caller)
	if err != nil || !result.IsLogin {
		return result, err
	}
	timer := time.NewTimer(min(wait, s.untilExpiry(claims)))
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-s.Hub.stopped:
		return result, nil
	case <-ctx.Done():
		return result, nil
	}
	again, err := s.checkInTime(ctx, claims, deviceNumber, caller)
	if again.State == StateActive {
		again.State = result.State
	}
	return again, err
}

// checkInTime is Check whose work on the database is bounded.
func (s *Sessions) checkInTime(ctx context.Context, claims model.Claims, deviceNumber string, caller Caller) (CheckResult, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	return s.Check(ctx, claims, deviceNumber, caller)
}

// untilExpiry is how long until the token has certainly expired.
func (s *Sessions) untilExpiry(claims model.Claims) time.Duration {
	return claims.ExpiresAt.Sub(model.TimeOf(s.Now())) + time.Millisecond
}

// Stream follows one session for its client.
type Stream struct {
	Ended   <-chan struct{} // closed when the session has ended
	Stopped <-chan struct{} // closed when the process stops
	Expiry  time.Duration   // until the token expires
	Leave   func()          // to be called when the stream is over
	State   func(ctx context.Context) (*Ended, error)
}

// Follow opens a stream on the session of verified claims. State reads how the
// session stands: nil while it lives. The state is to be read once the stream
// is open, for an end in between is told by nobody.
//
// Errors: model.ErrTokenExpired for an expired token of a live session,
// ErrTooMany beyond the limits of open streams.
func (s *Sessions) Follow(ctx context.Context, claims model.Claims) (Stream, error) {
	ended, leave := s.Hub.listen(claims.SessionID)
	stream := Stream{
		Ended: ended, Stopped: s.Hub.stopped, Expiry: s.untilExpiry(claims), Leave: leave,
		State: func(ctx context.Context) (*Ended, error) { return s.ending(ctx, claims) },
	}
	state, err := stream.State(ctx)
	if err == nil && state == nil && claims.Expired(model.TimeOf(s.Now())) {
		err = model.ErrTokenExpired
	}
	var out func()
	if err == nil {
		out, err = s.Hub.enter(claims.UserID)
	}
	if err != nil {
		leave()
		return Stream{}, err
	}
	stream.Leave = func() { out(); leave() }
	return stream, nil
}

// ending is how the session ended, nil while it lives.
func (s *Sessions) ending(ctx context.Context, claims model.Claims) (*Ended, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	session, err := s.current(ctx, claims)
	if err != nil || session.EndedAt == 0 {
		return nil, err
	}
	last, err := s.lastLogin(ctx, session)
	if err != nil {
		return nil, err
	}
	return &Ended{Reason: session.EndReason, LastLoginTime: last}, nil
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
