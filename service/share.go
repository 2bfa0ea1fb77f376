package service

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"menshen/model"
	"menshen/service/token"
)

// OwnShare reports whether a check with verified claims may use the request limit of its
// session. An expired token, and one that is known to have been replaced, may not: its
// holder may be a thief, and the owner must not be refused for what a thief does.
func (s *Sessions) OwnShare(claims model.Claims) bool {
	return !claims.Expired(model.TimeOf(s.Now())) && !s.Cache.replaced(claims)
}

// admitRefresh applies the request limits to a refresh with an access token of ours, and
// returns the hash of the refresh token. A right pair uses the share of the session. A
// wrong one, and one that cannot be judged, uses the share of the session and the address.
//
// Errors: model.ErrTooMany, ErrRefreshToken for a wrong pair.
func (s *Sessions) admitRefresh(ctx context.Context, claims model.Claims, refresh model.Secret, ip string) (hash []byte, err error) {
	hash, wrong := s.judgePair(ctx, claims, refresh)
	if wrong == nil {
		return hash, s.RefreshLimit.take(claims.SessionID)
	}
	if err := s.RefreshLimit.take(model.SessionAddressKey(claims.SessionID, ip)); err != nil {
		return nil, err
	}
	return nil, wrong
}

// judgePair returns the hash of the refresh token if it belongs to the session of the
// claims, else model.ErrRefreshToken.
func (s *Sessions) judgePair(ctx context.Context, claims model.Claims, refresh model.Secret) ([]byte, error) {
	id, hash, ok := token.ParseRefresh(refresh)
	if !ok {
		return nil, model.ErrRefreshToken
	}
	if id != claims.SessionID {
		return nil, model.ErrRefreshToken.Wrap(errors.New("tokens of two sessions"))
	}
	now := model.TimeOf(s.Now())
	right, known := s.Hashes.get(id)
	if known {
		s.Hashes.put(claims.SessionID, right, now)
	} else {
		session, err := s.readWithRetry(ctx, id)
		gone := errors.Is(err, model.ErrNotFound)
		if err != nil && !gone {
			return nil, err
		}
		copy(right[:], session.RefreshHash)
		if !gone || claims.Expired(now) { // a node of a cluster may not have a young session yet
			s.Hashes.put(claims.SessionID, right, now)
		}
	}
	if subtle.ConstantTimeCompare(hash, right[:]) != 1 {
		return nil, model.ErrRefreshToken
	}
	return hash, nil
}

// keepPair caches the hash of the refresh token of a session that has just begun.
func (s *Sessions) keepPair(refresh model.Secret) {
	if id, hash, ok := token.ParseRefresh(refresh); ok {
		s.Hashes.put(id, [sha256.Size]byte(hash), model.TimeOf(s.Now()))
	}
}

// RefreshHashes caches the hashes of refresh tokens by session, all zeros for a session
// that is gone. A session's hash never changes. So pairs are judged before the limits, and
// a flood of wrong ones does not reach the database. A nil RefreshHashes caches nothing.
type RefreshHashes struct {
	bySession *otter.Cache[string, usedHash]
}

type usedHash struct {
	hash   [sha256.Size]byte
	usedAt model.Time
}

// maxHashes is the greatest number of cached hashes, of about 200 bytes each.
const maxHashes = 200_000

// NewRefreshHashes returns an empty cache.
func NewRefreshHashes() *RefreshHashes {
	return &RefreshHashes{bySession: otter.Must(&otter.Options[string, usedHash]{MaximumSize: maxHashes})}
}

func (r *RefreshHashes) get(sessionID string) (hash [sha256.Size]byte, known bool) {
	if r == nil {
		return hash, false
	}
	used, known := r.bySession.GetIfPresent(sessionID)
	return used.hash, known
}

// put notes a use. sessionID is kept, and with it the text that it is a part of.
func (r *RefreshHashes) put(sessionID string, hash [sha256.Size]byte, now model.Time) {
	if r != nil {
		r.bySession.Set(sessionID, usedHash{hash, now})
	}
}

// sweep removes the hashes that were not used since before.
func (r *RefreshHashes) sweep(before model.Time) {
	if r == nil {
		return
	}
	for id, used := range r.bySession.All() {
		if used.usedAt < before {
			r.bySession.Invalidate(id)
		}
	}
}

// SweepCaches removes from the caches what can answer nothing any more, and the hashes of
// clients that did not come when their access token ended.
func (s *Sessions) SweepCaches() {
	now := model.TimeOf(s.Now())
	s.Cache.Sweep()
	s.Tokens.Cache.Sweep(now)
	s.Hashes.sweep(now.Add(-s.AccessTTL - time.Minute))
}
