package service

import (
	"context"

	"menshen/model"
)

// Introspect tells a back end whether an access token is active: ours, not
// expired, of a live session (RFC 7662). To be asked counts as use of the token.
// Only storage that is away is an error.
func (s *Sessions) Introspect(ctx context.Context, raw string) (claims model.Claims, active bool, err error) {
	claims, err = s.Tokens.Verify(raw)
	if err != nil {
		return model.Claims{}, false, nil //nolint:nilerr // inactive of any kind is one answer
	}
	if _, err := s.Authenticate(ctx, model.Secret(raw)); err != nil {
		if f := model.AsFailure(err); f.Status() >= 500 {
			return model.Claims{}, false, err
		}
		return model.Claims{}, false, nil
	}
	return claims, true, nil
}
