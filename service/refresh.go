package service

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"menshen/model"
	"menshen/service/token"
)

// verdict is what a refresh does to a session, in the words of the metric.
type verdict = string

const (
	verdictRotate   verdict = "rotate"   // the current token is replaced
	verdictConverge verdict = "converge" // the current token is returned once more; nothing changes
	verdictRecover  verdict = "recover"  // the client lacks the current token, or it has expired: it is replaced
	verdictAdopt    verdict = "adopt"    // the database is older than the token: follow it
	verdictStale    verdict = "stale"    // an old pair inside the grace: the client must read its storage again
	verdictReplay   verdict = "replay"   // an old pair outside the grace: the session ends
)

// RefreshOutcomes lists what [Sessions.OnRefresh] may receive.
func RefreshOutcomes() []string {
	return []string{verdictRotate, verdictConverge, verdictRecover, verdictAdopt, verdictStale, verdictReplay}
}

// decide is the table of refresh. The access token is the rotating half of the pair,
// because the response has no place for a refresh token. gen is the generation of the
// presented token, session the row as it was read. A generation between PrevGen and Gen
// belongs to a token that was signed and never used.
func decide(session model.Session, gen int64, now model.Time, grace time.Duration) verdict {
	inGrace := now.Sub(session.MintedAt) <= grace
	switch {
	case gen > session.Gen:
		return verdictAdopt
	case gen == session.Gen:
		return verdictRotate
	case gen < session.PrevGen && inGrace:
		return verdictStale
	case gen < session.PrevGen:
		return verdictReplay
	case inGrace && now < session.CurExp:
		return verdictConverge
	case inGrace:
		return verdictRecover // an expired token is of no use to the client
	case gen == session.PrevGen && !session.Confirmed:
		return verdictRecover
	default:
		return verdictReplay
	}
}

// maxTries bounds how often a request is decided when others keep changing the row of its
// session.
const maxTries = 3

var errLostTooOften = errors.New("lost to other requests too often")

// Refresh returns a new access token for a token pair. Parallel refreshes with one pair
// converge on one new token. A lost response never ends an honest client's session. An
// older pair outside the grace ends it (RFC 9700 §4.14.2). Nothing changes unless the
// refresh token is right and the access token is signed for the same session.
//
// Errors, in the order in which they are judged: model.ErrTooMany, ErrRefreshToken, ErrToken,
// ErrRefreshToken (of another session), ErrDisplaced, ErrSessionEnded, ErrStalePair.
func (s *Sessions) Refresh(ctx context.Context, access, refresh model.Secret, caller model.Caller) (IssuedToken, error) {
	claims, foreign := s.Tokens.Verify(string(access))
	if foreign != nil {
		return IssuedToken{}, s.refuseForeign(ctx, foreign, refresh, caller)
	}
	hash, err := s.admitRefresh(ctx, claims, refresh, caller.IP)
	if err != nil {
		return IssuedToken{}, err
	}
	if token, err := s.fastRotate(ctx, claims, hash); err != nil || token.Value != "" {
		return token, err
	}
	session, err := s.byRefreshToken(ctx, refresh)
	if err != nil {
		return IssuedToken{}, err
	}
	if claims.UserID != session.UserID {
		return IssuedToken{}, model.ErrRefreshToken.Wrap(errors.New("tokens of two users"))
	}
	for range maxTries {
		session, err = s.requireActive(ctx, claims)
		if err != nil {
			return IssuedToken{}, err
		}
		token, err := s.refreshOnce(ctx, session, claims, caller)
		if !errors.Is(err, errRowChanged) {
			return token, err
		}
	}
	return IssuedToken{}, model.ErrUnavailable.Wrap(errLostTooOften)
}

// refuseForeign returns why a pair is refused whose access token is not ours: the refresh
// token is judged first.
func (s *Sessions) refuseForeign(ctx context.Context, foreign error, refresh model.Secret, caller model.Caller) error {
	if err := s.AddressLimit.take(model.AddressKey(caller.IP)); err != nil {
		return err
	}
	if _, err := s.byRefreshToken(ctx, refresh); err != nil {
		return err
	}
	return foreign
}

// fastRotate rotates the token in one conditional update, without reading the row. The
// condition contains every check of Refresh. If it does not hold, nothing changes and
// fastRotate returns no token: Refresh must read the row and decide.
func (s *Sessions) fastRotate(ctx context.Context, claims model.Claims, hash []byte) (IssuedToken, error) {
	next := model.Session{
		ID: claims.SessionID, UserID: claims.UserID, CompanyType: claims.CompanyType, ProductType: claims.ProductType,
		RefreshHash: hash, PrevGen: claims.Gen, EndsAt: model.Forever,
	}
	token, err := s.issue(ctx, &next, claims.Gen+1, model.TimeOf(s.Now()))
	if err != nil {
		return IssuedToken{}, fmt.Errorf("issue access token: %w", err)
	}
	renewed, err := s.Store.FastRotate(ctx, next)
	if err != nil || !renewed {
		return IssuedToken{}, err
	}
	s.Cache.remove(claims.SessionID)
	s.refreshed(verdictRotate)
	return token, nil
}

// errRowChanged means that another request changed the row since it was read.
var errRowChanged = errors.New("session changed meanwhile")

func (s *Sessions) refreshOnce(ctx context.Context, session model.Session, claims model.Claims, caller model.Caller) (token IssuedToken, err error) {
	now := model.TimeOf(s.Now())
	what := decide(session, claims.Gen, now, s.ReuseGrace)
	switch what {
	case verdictConverge:
		token, err = s.sign(ctx, session)
	case verdictRotate:
		token, err = s.replace(ctx, session, session.Gen, session.Gen+1, now)
	case verdictRecover:
		token, err = s.replaceWithEvent(ctx, session, session.PrevGen, session.Gen+1, event(model.EventRecover, session, now, caller))
	case verdictAdopt:
		token, err = s.replaceWithEvent(ctx, session, claims.Gen, claims.Gen+1, event(model.EventAdopt, session, now, caller))
	case verdictStale:
		line := event(model.EventRecover, session, now, caller)
		line.Detail = model.EventDetail("outcome", "stale pair")
		err = s.Events.Append(ctx, line.Folded(time.Hour, session.ID))
	default:
		return token, s.replay(ctx, session, claims, event(model.EventReuse, session, now, caller))
	}
	if err == nil {
		s.refreshed(what)
		if what == verdictStale {
			err = model.ErrStalePair
		}
	}
	return token, err
}

func (s *Sessions) refreshed(what verdict) {
	if s.OnRefresh != nil {
		s.OnRefresh(what)
	}
}

// replace signs the token of generation gen and updates the row if it is as it was read.
// It signs before the update, so that a failure to sign leaves the row unchanged.
func (s *Sessions) replace(ctx context.Context, seen model.Session, prevGen, gen int64, now model.Time) (IssuedToken, error) {
	next := seen
	next.PrevGen = prevGen
	token, err := s.issue(ctx, &next, gen, now)
	if err != nil {
		return IssuedToken{}, fmt.Errorf("issue access token: %w", err)
	}
	err = s.Store.Rotate(ctx, seen, next)
	if errors.Is(err, model.ErrStalePair) {
		err = errRowChanged
	}
	if err != nil {
		return IssuedToken{}, err
	}
	s.Cache.remove(seen.ID)
	return token, nil
}

// replaceWithEvent is replace with an event in the same transaction.
func (s *Sessions) replaceWithEvent(ctx context.Context, seen model.Session, prevGen, gen int64, line model.Event) (token IssuedToken, err error) {
	err = s.Tx.Within(ctx, func(ctx context.Context) error {
		if token, err = s.replace(ctx, seen, prevGen, gen, line.At); err != nil {
			return err
		}
		return s.Events.Append(ctx, line)
	})
	return token, err
}

// replay ends the session of an old pair. If the row changed since it was read, replay
// returns errRowChanged and the pair is judged again.
func (s *Sessions) replay(ctx context.Context, seen model.Session, claims model.Claims, line model.Event) error {
	err := s.Within(ctx, func(ctx context.Context) error {
		ended, err := s.endSeen(ctx, seen, model.ReasonReuse, line)
		if err == nil && !ended {
			err = errRowChanged
		}
		return err
	})
	if err != nil {
		return err
	}
	s.refreshed(verdictReplay)
	_, err = s.requireActive(ctx, claims)
	return err
}

// byRefreshToken returns the session of a refresh token. An invalid token of any kind is
// model.ErrRefreshToken.
func (s *Sessions) byRefreshToken(ctx context.Context, refresh model.Secret) (model.Session, error) {
	id, hash, ok := token.ParseRefresh(refresh)
	if !ok {
		return model.Session{}, model.ErrRefreshToken
	}
	session, err := s.readWithRetry(ctx, id)
	if errors.Is(err, model.ErrNotFound) || err == nil && subtle.ConstantTimeCompare(hash, session.RefreshHash) != 1 {
		return session, model.ErrRefreshToken
	}
	return session, err
}
