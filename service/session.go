package service

import (
	"cmp"
	"context"
	"errors"
	"time"

	"menshen/model"
	"menshen/service/random"
	"menshen/service/token"
)

// Sessions holds the rules of sessions: which device is logged in, and until when.
type Sessions struct {
	*Endings // ends sessions; also gives Tx, Store, Events, Cache, Hub and Now to every method
	Tokens   *token.Issuer
	Catalog  model.Catalog

	Hashes *RefreshHashes // may be nil

	RefreshLimit RateLimit // of refreshes, by session, or by session and address; may be nil
	AddressLimit RateLimit // of refreshes whose access token is not ours, by address; may be nil

	AccessTTL  time.Duration // for products without their own
	RefreshTTL time.Duration
	IdleTTL    time.Duration
	ReuseGrace time.Duration // how long a pair with a replaced access token gets the current one

	// Claims are added to access tokens when they are signed.
	Claims []model.ClaimSource
	Users  UserStore // read for Claims alone

	// OnRefresh may be nil. It receives the outcome of each refresh, one of
	// RefreshOutcomes, and must not block.
	OnRefresh func(outcome string)
}

// IssuedToken is a token and the time at which it expires.
type IssuedToken struct {
	Value  model.Secret
	Expire model.Time
}

// Authenticate verifies an access token for a call that needs an active session.
//
// Errors: model.ErrToken, ErrDisplaced and ErrSessionEnded with their data,
// ErrTokenExpired when the session is alive.
func (s *Sessions) Authenticate(ctx context.Context, raw model.Secret) (model.Session, error) {
	claims, err := s.Tokens.Verify(string(raw))
	if err != nil {
		return model.Session{}, err
	}
	if session, ok := s.Cache.session(claims, model.TimeOf(s.Now())); ok {
		return session, nil
	}
	session, err := s.requireActive(ctx, claims)
	if err != nil {
		return session, err
	}
	if claims.Expired(model.TimeOf(s.Now())) {
		return session, model.ErrTokenExpired
	}
	return s.confirm(ctx, session, claims)
}

// requireActive reads the session of verified claims. If it has ended, the error is
// model.ErrDisplaced or model.ErrSessionEnded, with data.
func (s *Sessions) requireActive(ctx context.Context, claims model.Claims) (model.Session, error) {
	session, err := s.loadCurrent(ctx, claims)
	if err != nil {
		return session, err
	}
	if session.EndedAt != 0 {
		return session, s.failure(ctx, session)
	}
	return session, nil
}

// loadCurrent reads the session as it stands now. A session past its idle or absolute
// end is ended here, because an end is final and a clock set back must not revive the
// session. A session whose row retention has removed counts as expired. Only unavailable
// storage is an error.
func (s *Sessions) loadCurrent(ctx context.Context, claims model.Claims) (model.Session, error) {
	for {
		session, err := s.readWithRetry(ctx, claims.SessionID)
		if errors.Is(err, model.ErrNotFound) || err == nil && session.UserID != claims.UserID {
			product, _ := s.Catalog.Product(claims.ProductType)
			return model.Session{
				ID: claims.SessionID, UserID: claims.UserID, ProductGroup: product.Group,
				EndedAt: claims.ExpiresAt, EndReason: model.ReasonExpired,
			}, nil
		}
		now := model.TimeOf(s.Now())
		if err != nil || session.EndedAt != 0 || !session.Expired(now) {
			return session, err
		}
		if err := s.expire(ctx, now, session); err != nil {
			return session, err
		}
	}
}

// readWithRetry reads a session. If it is missing, it is read a second time, because a
// node of a cluster may lag behind the one that stored the login.
func (s *Sessions) readWithRetry(ctx context.Context, id string) (model.Session, error) {
	session, err := s.byID(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		session, err = s.byID(ctx, id)
	}
	return session, err
}

// confirm records that the current access token was used: from now on the previous token
// is a replay outside the grace. The active session is cached.
func (s *Sessions) confirm(ctx context.Context, session model.Session, claims model.Claims) (model.Session, error) {
	if !session.Confirmed && claims.Gen == session.Gen {
		if err := s.Store.Confirm(ctx, session.ID, claims.Gen, model.TimeOf(s.Now())); err != nil {
			return session, err
		}
		session.Confirmed = true
	}
	s.Cache.put(session)
	return session, nil
}

// issue sets the session's token fields to its next access token, and signs that token.
// The token's end never passes the session's.
func (s *Sessions) issue(ctx context.Context, session *model.Session, gen int64, now model.Time) (IssuedToken, error) {
	product, _ := s.Catalog.Product(session.ProductType) // it may be configured no longer
	access := cmp.Or(product.AccessTTL, s.AccessTTL)
	session.Gen = gen
	session.CurJTI = random.TextID()
	session.CurIat = now.Second()
	session.CurExp = min(session.CurIat.Add(access), session.EndsAt.Second())
	session.MaxExp = max(session.MaxExp, session.CurExp)
	session.MintedAt = now
	session.Confirmed = false
	session.IdleUntil = now.Add(s.IdleTTL)
	session.LastSeenAt = now
	return s.sign(ctx, *session)
}

// sign signs the session's current access token with the key that signs now.
func (s *Sessions) sign(ctx context.Context, session model.Session) (IssuedToken, error) {
	more, err := s.furtherClaims(ctx, session.UserID)
	if err != nil {
		return IssuedToken{}, err
	}
	value, err := s.Tokens.SignWith(model.Claims{
		UserID: session.UserID, SessionID: session.ID, TokenID: session.CurJTI, Gen: session.Gen,
		CompanyType: session.CompanyType, ProductType: session.ProductType,
		IssuedAt: session.CurIat, ExpiresAt: session.CurExp,
	}, more)
	return IssuedToken{Value: model.Secret(value), Expire: session.CurExp}, err
}

// Look returns a session and its state, without a change of either: for the pages of
// development.
//
// Errors: model.ErrNotFound.
func (s *Sessions) Look(ctx context.Context, id string) (model.Session, LoginState, error) {
	session, err := s.byID(ctx, id)
	switch {
	case session.EndedAt != 0:
		return session, LoginState(session.EndReason), err
	case session.Expired(model.TimeOf(s.Now())):
		return session, LoginState(model.ReasonExpired), err
	}
	return session, StateActive, err
}
