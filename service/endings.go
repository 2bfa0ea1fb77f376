package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Endings is the one way in which sessions end: in a transaction, with an event. It drops
// the session from the cache before the commit and notifies listeners after it. Other
// instances learn of the end from the event log. The first end is final.
type Endings struct {
	Tx     Tx
	Store  SessionStore
	Events EventLog
	Cache  *SessionCache // may be nil
	Hub    *Hub          // may be nil
	Now    func() time.Time
}

// endSpec says how a session ends.
type endSpec struct {
	reason model.Reason
	by     string // label of the newer device
	actor  string // of the event
	note   string // an operator's reason, for the event
	at     model.Time
	caller model.Caller
}

// expired is how a session ends that has come to its idle or absolute end.
func expired(at model.Time) endSpec {
	return endSpec{reason: model.ReasonExpired, actor: model.ActorSystem, at: at}
}

type endedKey struct{}

// Within runs act in one transaction, and after its commit reports the sessions that
// ended in it to this process.
func (e *Endings) Within(ctx context.Context, act func(ctx context.Context) error) error {
	var ended []string
	err := e.Tx.Within(context.WithValue(ctx, endedKey{}, &ended), func(ctx context.Context) error {
		ended = ended[:0] // of a try that was rolled back
		return act(ctx)
	})
	if err != nil {
		return err
	}
	for _, id := range ended {
		e.Hub.Notify(id)
	}
	return nil
}

// byID reads a session. If it has ended, byID marks it ended in the cache, so this process
// never again answers active for it. Another instance may have ended it, or a transaction
// of this one whose commit is being answered.
func (e *Endings) byID(ctx context.Context, id string) (model.Session, error) {
	session, err := e.Store.ByID(ctx, id)
	if err == nil && session.EndedAt != 0 {
		e.Cache.markEnded(id)
	}
	return session, err
}

// recordEnd appends the event of an end, in the transaction that Within runs. The
// session leaves the cache before the commit: others may learn of the end from the
// database before this process has learnt that it was committed. If it is rolled back,
// the session is read from the database for a while.
func (e *Endings) recordEnd(ctx context.Context, line model.Event) error {
	ended, ok := ctx.Value(endedKey{}).(*[]string)
	if !ok {
		return errors.New("session ended outside of Endings.Within")
	}
	*ended = append(*ended, line.SessionID)
	e.Cache.markEnded(line.SessionID)
	return e.Events.Append(ctx, line)
}

// end ends a session with its event, in the transaction of the context, and reports
// whether it was still active.
func (e *Endings) end(ctx context.Context, session model.Session, how endSpec) (bool, error) {
	ended, err := e.Store.End(ctx, session.ID, how.reason, how.by, how.at)
	if err != nil {
		return false, err
	}
	if !ended { // by another
		e.Cache.markEnded(session.ID)
		return false, nil
	}
	line := event(endKinds[how.reason], session, how.at, how.caller)
	line.Actor = how.actor
	switch {
	case how.by != "":
		line.Detail = model.EventDetail("by", how.by)
	case how.note != "":
		line.Detail = model.EventDetail("reason", how.note)
	}
	return true, e.recordEnd(ctx, line)
}

// endSeen ends a session for reason with the event line, unless its row has changed
// since it was read, and reports whether it did.
func (e *Endings) endSeen(ctx context.Context, seen model.Session, reason model.Reason, line model.Event) (bool, error) {
	ended, err := e.Store.EndSeen(ctx, seen, reason, line.At)
	if err != nil || !ended {
		return false, err
	}
	return true, e.recordEnd(ctx, line)
}

// expire ends sessions that have come to their idle or absolute end, in one transaction.
// It leaves a session whose end a refresh has moved since it was read.
func (e *Endings) expire(ctx context.Context, now model.Time, seen ...model.Session) error {
	return e.Within(ctx, func(ctx context.Context) error {
		for _, session := range seen {
			line := event(model.EventExpired, session, now, model.Caller{})
			line.Actor = model.ActorSystem
			if _, err := e.endSeen(ctx, session, model.ReasonExpired, line); err != nil {
				return err
			}
		}
		return nil
	})
}

// endLive ends a session and returns how many it ended, 0 or 1. One that is past its
// idle or absolute end has expired instead, and counts as 0.
func (e *Endings) endLive(ctx context.Context, session model.Session, how endSpec) (int, error) {
	if session.EndedAt == 0 && session.Expired(how.at) {
		_, err := e.end(ctx, session, expired(how.at))
		return 0, err
	}
	ended, err := e.end(ctx, session, how)
	if !ended {
		return 0, err
	}
	return 1, err
}

// endAll is endLive for the user's sessions that match.
func (e *Endings) endAll(ctx context.Context, userID int64, matches func(model.Session) bool, how endSpec) (int, error) {
	sessions, err := e.Store.Active(ctx, userID, "")
	if err != nil {
		return 0, err
	}
	count := 0
	for _, session := range sessions {
		if !matches(session) {
			continue
		}
		ended, err := e.endLive(ctx, session, how)
		if err != nil {
			return 0, err
		}
		count += ended
	}
	return count, nil
}

// failure is the refusal of a session that has ended: model.ErrDisplaced or
// model.ErrSessionEnded, with their data.
func (e *Endings) failure(ctx context.Context, session model.Session) error {
	last, err := e.lastLogin(ctx, session)
	if err != nil {
		return err
	}
	ended := Ended{Reason: session.EndReason, LastLoginTime: last}
	if session.EndReason != model.ReasonDisplaced {
		return model.ErrSessionEnded.With(ended)
	}
	displaced := Displaced{Ended: ended}
	if session.EndedBy != "" {
		displaced.By = &session.EndedBy
	}
	return model.ErrDisplaced.With(displaced)
}

// lastLogin is the time of the newest login in the session's user and group, read
// fresh; 0 when none is known.
func (e *Endings) lastLogin(ctx context.Context, session model.Session) (model.Time, error) {
	sequence, err := e.Store.LoginSequence(ctx, session.UserID, session.ProductGroup)
	if errors.Is(err, model.ErrNotFound) {
		return 0, nil
	}
	return sequence.LoginAt, err
}

// Ended is the data of model.ErrSessionEnded.
type Ended struct {
	Reason        model.Reason `json:"reason"`
	LastLoginTime model.Time   `json:"lastLoginTime"`
}

// Displaced is the data of model.ErrDisplaced. By is the label of the newer
// device, nil when it has none.
type Displaced struct {
	Ended
	By *string `json:"by"`
}

// event returns an event about a session.
func event(kind model.Kind, s model.Session, now model.Time, caller model.Caller) model.Event {
	return model.Event{
		At: now, Kind: kind, UserID: s.UserID, CompanyType: new(s.CompanyType), SessionID: s.ID, Actor: model.ActorUser,
		IP: caller.IP, Device: caller.Device, RequestID: caller.RequestID,
	}
}

// endKinds are the kinds of events that record an end, by its reason. The map is never
// written to.
var endKinds = map[model.Reason]model.Kind{
	model.ReasonDisplaced: model.EventDisplaced, model.ReasonRelogin: model.EventRelogin, model.ReasonLoggedOut: model.EventLogout,
	model.ReasonKicked: model.EventKick, model.ReasonBanned: model.EventBan, model.ReasonReuse: model.EventReuse, model.ReasonExpired: model.EventExpired,
}
