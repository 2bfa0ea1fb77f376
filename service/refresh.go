package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"menshen/model"
)

// act is what a refresh does to a session.
type act int

const (
	actRotate   act = iota // the current token is replaced
	actConverge            // the current token is given again; nothing changes
	actRecover             // the answer with the current token was lost: replace it
	actAdopt               // the database is older than the token: follow it
	actStale               // an old pair inside the grace: read your storage again
	actReplay              // an old pair outside the grace: the session ends
)

// refreshOutcomes are the names of the acts in metrics.
var refreshOutcomes = [...]string{"rotate", "converge", "recover", "adopt", "stale", "replay"}

// RefreshOutcomes lists what [Sessions.Refreshed] may be told.
func RefreshOutcomes() []string { return refreshOutcomes[:] }

// decide is the table of refresh. The access token is the rotating half of the
// pair, because the refresh token has no place in the answer: gen is the
// generation of the token presented, session the row as it was read. A
// generation between PrevGen and Gen is an orphan, minted but never seen.
func decide(session model.Session, gen int64, now model.Time, grace time.Duration) act {
	inGrace := now.Sub(session.MintedAt) <= grace
	switch {
	case gen > session.Gen:
		return actAdopt
	case gen == session.Gen:
		return actRotate
	case gen < session.PrevGen && inGrace:
		return actStale
	case gen < session.PrevGen:
		return actReplay
	case inGrace && now < session.CurExp:
		return actConverge
	case inGrace:
		return actRecover // to converge on an expired token helps nobody
	case gen == session.PrevGen && !session.Confirmed:
		return actRecover
	default:
		return actReplay
	}
}

// maxRefreshTries bounds how often a refresh that lost to another decides anew.
const maxRefreshTries = 3

// Refresh answers a token pair with a new access token. Parallel refreshes with
// one pair converge on one new token; a lost answer never ends an honest
// client's session; an older pair outside the grace ends it (RFC 9700 §4.14.2).
// Nothing changes unless the refresh token is right and the access token is
// signed for the same session.
//
// Errors, in the order in which they are judged: model.ErrRefreshToken, ErrToken,
// ErrRefreshToken (of another session), ErrDisplaced, ErrSessionEnded, ErrStalePair.
func (s *Sessions) Refresh(ctx context.Context, access, refresh model.Secret, caller Caller) (IssuedToken, error) {
	claims, foreign := s.Tokens.Verify(string(access))
	if err := s.shieldRefresh(claims, foreign, caller); err != nil {
		return IssuedToken{}, err
	}
	if foreign == nil {
		if token, err := s.renew(ctx, claims, refresh); err != nil || token.Value != "" {
			return token, err
		}
	}
	session, err := s.byRefreshToken(ctx, refresh)
	if err != nil {
		return IssuedToken{}, err
	}
	if foreign != nil {
		return IssuedToken{}, foreign
	}
	if claims.SessionID != session.ID || claims.UserID != session.UserID {
		return IssuedToken{}, model.ErrRefreshToken.Wrap(errors.New("tokens of two sessions"))
	}
	for range maxRefreshTries {
		session, err = s.alive(ctx, claims)
		if err != nil {
			return IssuedToken{}, err
		}
		token, err := s.refreshOnce(ctx, session, claims, caller)
		if !errors.Is(err, errRowMoved) {
			return token, err
		}
	}
	return IssuedToken{}, model.ErrUnavailable.Wrap(errors.New("refresh lost to others too often"))
}

// renew is the refresh as it nearly always is, actRotate on a session far from
// its end, in one conditional update: its condition is all that Refresh asks, so
// that nothing need be read. No token, and nothing changed, when it does not
// hold: then the row is to be read and judged.
func (s *Sessions) renew(ctx context.Context, claims model.Claims, refresh model.Secret) (IssuedToken, error) {
	id, hash, ok := parseRefreshToken(refresh)
	if !ok || id != claims.SessionID {
		return IssuedToken{}, nil
	}
	next := model.Session{
		ID: id, UserID: claims.UserID, CompanyType: claims.CompanyType, ProductType: claims.ProductType,
		RefreshHash: hash, PrevGen: claims.Gen, EndsAt: model.Forever,
	}
	token, err := s.mint(&next, claims.Gen+1, model.TimeOf(s.Now()))
	if err != nil {
		return IssuedToken{}, fmt.Errorf("mint access token: %w", err)
	}
	renewed, err := s.Store.Renew(ctx, next)
	if err != nil || !renewed {
		return IssuedToken{}, err
	}
	s.Live.drop(id)
	s.refreshed(actRotate)
	return token, nil
}

// shieldRefresh limits refreshes before any work on the database: by session,
// once the signature tells which, else by address.
func (s *Sessions) shieldRefresh(claims model.Claims, foreign error, caller Caller) error {
	if foreign != nil {
		return s.AddressShield.take(model.AddressKey(caller.IP))
	}
	return s.RefreshShield.take(claims.SessionID)
}

// errRowMoved says that another request changed the row since it was read.
var errRowMoved = errors.New("session changed meanwhile")

func (s *Sessions) refreshOnce(ctx context.Context, session model.Session, claims model.Claims, caller Caller) (IssuedToken, error) {
	now := model.TimeOf(s.Now())
	what := decide(session, claims.Gen, now, s.ReuseGrace)
	counted := func(token IssuedToken, err error) (IssuedToken, error) {
		if err == nil {
			s.refreshed(what)
		}
		return token, err
	}
	switch what {
	case actConverge:
		return counted(s.signCurrent(session))
	case actRotate:
		return counted(s.replace(ctx, session, session.Gen, session.Gen+1, now))
	case actRecover:
		return counted(s.replaceLoudly(ctx, session, session.PrevGen, session.Gen+1, event(model.EventRecover, session, now, caller)))
	case actAdopt:
		return counted(s.replaceLoudly(ctx, session, claims.Gen, claims.Gen+1, event(model.EventAdopt, session, now, caller)))
	case actStale:
		line := event(model.EventRecover, session, now, caller)
		line.Detail = detail("outcome", "stale pair")
		if err := s.Events.Append(ctx, line); err != nil {
			return IssuedToken{}, err
		}
		s.refreshed(what)
		return IssuedToken{}, model.ErrStalePair
	default:
		return IssuedToken{}, s.replay(ctx, session, claims, event(model.EventReuse, session, now, caller))
	}
}

func (s *Sessions) refreshed(what act) {
	if s.Refreshed != nil {
		s.Refreshed(refreshOutcomes[what])
	}
}

// replace mints the token of generation gen over the row as it was read; it is
// signed before the update, so that no answer is lost to a signing fault.
func (s *Sessions) replace(ctx context.Context, seen model.Session, prevGen, gen int64, now model.Time) (IssuedToken, error) {
	next := seen
	next.PrevGen = prevGen
	token, err := s.mint(&next, gen, now)
	if err != nil {
		return IssuedToken{}, fmt.Errorf("mint access token: %w", err)
	}
	err = s.Store.Rotate(ctx, seen, next)
	if errors.Is(err, model.ErrStalePair) {
		err = errRowMoved
	}
	if err != nil {
		return IssuedToken{}, err
	}
	s.Live.drop(seen.ID)
	return token, nil
}

// replaceLoudly is replace with an event in the same transaction.
func (s *Sessions) replaceLoudly(ctx context.Context, seen model.Session, prevGen, gen int64, line model.Event) (token IssuedToken, err error) {
	err = s.Tx.Within(ctx, func(ctx context.Context) error {
		if token, err = s.replace(ctx, seen, prevGen, gen, line.At); err != nil {
			return err
		}
		return s.Events.Append(ctx, line)
	})
	return token, err
}

// replay ends the session of an old pair, unless the row moved since it was
// read: then the pair is judged anew.
func (s *Sessions) replay(ctx context.Context, seen model.Session, claims model.Claims, line model.Event) error {
	err := s.atomically(ctx, func(ctx context.Context) error {
		ended, err := s.Store.EndSeen(ctx, seen, model.ReasonReuse, line.At)
		if err != nil {
			return err
		}
		if !ended {
			return errRowMoved
		}
		if err := willTell(ctx, seen.ID); err != nil {
			return err
		}
		return s.Events.Append(ctx, line)
	})
	if err != nil {
		return err
	}
	s.refreshed(actReplay)
	_, err = s.alive(ctx, claims)
	return err
}
