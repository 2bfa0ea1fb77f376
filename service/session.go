package service

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"menshen/model"
)

// Sessions holds the rules of sessions: who is logged in, and until when.
type Sessions struct {
	Tx      Tx
	Store   SessionStore
	Events  EventLog
	Tokens  *Tokens
	Catalog Catalog
	Live    *Live // optional: without it every check reads the database
	Hub     *Hub  // needed by streams and waits alone

	RefreshShield Shield // of refreshes, by session
	AddressShield Shield // of refreshes whose access token is not ours, by address

	AccessTTL  time.Duration // for products without their own
	RefreshTTL time.Duration
	IdleTTL    time.Duration
	ReuseGrace time.Duration // how long a replaced access token still converges

	Now func() time.Time

	Refreshed func(outcome string) // optional: told what came of each refresh, one of RefreshOutcomes; is not to wait
}

// IssuedToken is a token with its absolute end.
type IssuedToken struct {
	Value  model.Secret
	Expire model.Time
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

// Authenticate verifies an access token for a call that needs a live session.
//
// Errors: model.ErrToken, ErrDisplaced and ErrSessionEnded with their data,
// ErrTokenExpired when the session is alive.
func (s *Sessions) Authenticate(ctx context.Context, raw model.Secret) (model.Session, error) {
	claims, err := s.Tokens.Verify(string(raw))
	if err != nil {
		return model.Session{}, err
	}
	if session, ok := s.Live.session(claims, model.TimeOf(s.Now())); ok {
		return session, nil
	}
	session, err := s.alive(ctx, claims)
	if err != nil {
		return session, err
	}
	if claims.Expired(model.TimeOf(s.Now())) {
		return session, model.ErrTokenExpired
	}
	return s.confirm(ctx, session, claims)
}

// alive reads the session of verified claims. One that has ended is
// model.ErrDisplaced or model.ErrSessionEnded, with data.
func (s *Sessions) alive(ctx context.Context, claims model.Claims) (model.Session, error) {
	session, err := s.current(ctx, claims)
	if err != nil {
		return session, err
	}
	if session.EndedAt != 0 {
		return session, s.endedFailure(ctx, session)
	}
	return session, nil
}

// current reads the session as it stands now: one that has come to its idle or
// absolute end is ended here, for ended is final and a clock set back must not
// revive it; one whose row is gone by retention has ended so. Only storage that
// is away is an error.
func (s *Sessions) current(ctx context.Context, claims model.Claims) (model.Session, error) {
	for {
		session, err := s.read(ctx, claims.SessionID)
		if errors.Is(err, model.ErrNotFound) || err == nil && session.UserID != claims.UserID {
			product, _ := s.Catalog.product(claims.ProductType)
			return model.Session{
				ID: claims.SessionID, UserID: claims.UserID, ProductGroup: product.Group,
				EndedAt: claims.ExpiresAt, EndReason: model.ReasonExpired,
			}, nil
		}
		now := model.TimeOf(s.Now())
		if err != nil || session.EndedAt != 0 || !session.Expired(now) {
			return session, err
		}
		if err := s.expire(ctx, session, now); err != nil {
			return session, err
		}
	}
}

// read reads a session; one that is not there is looked for twice, because a
// cluster's node may lag behind the one that answered the login.
func (s *Sessions) read(ctx context.Context, id string) (model.Session, error) {
	session, err := s.Store.ByID(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		session, err = s.Store.ByID(ctx, id)
	}
	return session, err
}

// expire notes that a session has come to its idle or absolute end, unless a
// refresh has moved it since it was read.
func (s *Sessions) expire(ctx context.Context, seen model.Session, now model.Time) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		ended, err := s.Store.EndSeen(ctx, seen, model.ReasonExpired, now)
		if err != nil || !ended {
			return err
		}
		if err := willTell(ctx, seen.ID); err != nil {
			return err
		}
		line := event(model.EventExpired, seen, now, Caller{})
		line.Actor = actorSystem
		return s.Events.Append(ctx, line)
	})
}

// ending says how a session ends.
type ending struct {
	reason model.Reason
	by     string // label of the newer device
	actor  string // who did it, for the log
	note   string // an operator's reason, for the log
	at     model.Time
	caller Caller
}

// end ends a session with its event, in the transaction of the context, and
// reports whether it was still active.
func (s *Sessions) end(ctx context.Context, session model.Session, how ending) (bool, error) {
	ended, err := s.Store.End(ctx, session.ID, how.reason, how.by, how.at)
	if err != nil || !ended {
		return false, err
	}
	line := event(endKind(how.reason), session, how.at, how.caller)
	line.Actor = how.actor
	switch {
	case how.by != "":
		line.Detail = detail("by", how.by)
	case how.note != "":
		line.Detail = detail("reason", how.note)
	}
	if err := willTell(ctx, session.ID); err != nil {
		return false, err
	}
	return true, s.Events.Append(ctx, line)
}

// confirm notes that the current access token was seen in use: from now on the
// one before is a replay outside the grace. The live session is remembered.
func (s *Sessions) confirm(ctx context.Context, session model.Session, claims model.Claims) (model.Session, error) {
	if !session.Confirmed && claims.Gen == session.Gen {
		if err := s.Store.Confirm(ctx, session.ID, claims.Gen, model.TimeOf(s.Now())); err != nil {
			return session, err
		}
		session.Confirmed = true
	}
	s.Live.keep(session)
	return session, nil
}

// endedFailure is the refusal of a session that has ended.
func (s *Sessions) endedFailure(ctx context.Context, session model.Session) error {
	last, err := s.lastLogin(ctx, session)
	if err != nil {
		return err
	}
	ended := Ended{Reason: session.EndReason, LastLoginTime: last}
	if session.EndReason != model.ReasonDisplaced {
		return model.ErrSessionEnded.With(ended)
	}
	return model.ErrDisplaced.With(Displaced{Ended: ended, By: label(session.EndedBy)})
}

// lastLogin is the time of the newest login in the session's user and group,
// read fresh; 0 when none is known.
func (s *Sessions) lastLogin(ctx context.Context, session model.Session) (model.Time, error) {
	slot, err := s.Store.Slot(ctx, session.UserID, session.ProductGroup)
	if errors.Is(err, model.ErrNotFound) {
		return 0, nil
	}
	return slot.LoginAt, err
}

// label is nil for an empty one.
func label(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// ttls are the life times of the product's tokens; a product that is no longer
// configured has the deployment's.
func (s *Sessions) ttls(product Product) (access, refresh time.Duration) {
	access, refresh = s.AccessTTL, s.RefreshTTL
	if product.AccessTTL > 0 {
		access = product.AccessTTL
	}
	if product.RefreshTTL > 0 {
		refresh = product.RefreshTTL
	}
	return access, refresh
}

// mint is plan, and the token signed.
func (s *Sessions) mint(session *model.Session, gen int64, now model.Time) (IssuedToken, error) {
	s.plan(session, gen, now)
	return s.signCurrent(*session)
}

// plan gives a session its next access token, which is not signed yet: it changes
// the session's token fields. Its end never passes the session's.
func (s *Sessions) plan(session *model.Session, gen int64, now model.Time) {
	product, _ := s.Catalog.product(session.ProductType)
	access, _ := s.ttls(product)
	session.Gen = gen
	session.CurJTI = newName()
	session.CurIat = now.Second()
	session.CurExp = min(session.CurIat.Add(access), session.EndsAt.Second())
	session.MaxExp = max(session.MaxExp, session.CurExp)
	session.MintedAt = now
	session.Confirmed = false
	session.IdleUntil = now.Add(s.IdleTTL)
	session.LastSeenAt = now
}

// signAside is signCurrent while its caller goes on, in a transaction that others
// wait for. The caller must wait for what it returns. A panic comes back as an
// error, for nobody could recover it there.
func (s *Sessions) signAside(session model.Session) (wait func() (IssuedToken, error)) {
	var token IssuedToken
	var err error
	var signing sync.WaitGroup
	signing.Go(func() {
		defer func() {
			if recovered := recover(); recovered != nil {
				err = fmt.Errorf("panic: sign a token: %T\n%s", recovered, debug.Stack())
			}
		}()
		token, err = s.signCurrent(session)
	})
	return func() (IssuedToken, error) { signing.Wait(); return token, err }
}

// signCurrent signs the session's current access token with the key of the
// moment.
func (s *Sessions) signCurrent(session model.Session) (IssuedToken, error) {
	value, err := s.Tokens.Sign(model.Claims{
		UserID: session.UserID, SessionID: session.ID, TokenID: session.CurJTI, Gen: session.Gen,
		CompanyType: session.CompanyType, ProductType: session.ProductType,
		IssuedAt: session.CurIat, ExpiresAt: session.CurExp,
	})
	return IssuedToken{Value: model.Secret(value), Expire: session.CurExp}, err
}

// The refresh token is opaque: "rt1_", the session's id, "_", 256 random bits.
// Only the hash of the last part is kept (RFC 9700 §4.14).
const refreshPrefix = "rt1_"

func newRefreshToken(sessionID string) (token model.Secret, hash []byte) {
	secret := newSecret()
	sum := sha256.Sum256([]byte(secret))
	return model.Secret(refreshPrefix + sessionID + "_" + secret), sum[:]
}

// byRefreshToken finds the session of a refresh token; every way of being wrong
// is model.ErrRefreshToken.
func (s *Sessions) byRefreshToken(ctx context.Context, token model.Secret) (model.Session, error) {
	id, hash, ok := parseRefreshToken(token)
	if !ok {
		return model.Session{}, model.ErrRefreshToken
	}
	session, err := s.read(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		return session, model.ErrRefreshToken
	}
	if err != nil {
		return session, err
	}
	if subtle.ConstantTimeCompare(hash, session.RefreshHash) != 1 {
		return session, model.ErrRefreshToken
	}
	return session, nil
}

// parseRefreshToken gives the session's id and the hash of the secret.
func parseRefreshToken(token model.Secret) (id string, hash []byte, ok bool) {
	rest, known := strings.CutPrefix(string(token), refreshPrefix)
	id, secret, cut := strings.Cut(rest, "_")
	if !known || !cut || len(token) > 256 || !isName(id) {
		return "", nil, false
	}
	sum := sha256.Sum256([]byte(secret))
	return id, sum[:], true
}

// isName reports whether text may be one of newName's, before it goes anywhere.
func isName(text string) bool {
	if len(text) == 0 || len(text) > 32 {
		return false
	}
	for _, r := range []byte(text) {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
