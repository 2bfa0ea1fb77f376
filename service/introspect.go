package service

import (
	"context"

	"menshen/model"
	"menshen/service/token"
)

// Introspect reports to a back end whether an access token is active: signed by us, not
// expired, of an active session (RFC 7662). claims is the JSON object of its claims as they
// were signed, nil if it is not active. An introspection counts as use of the token. Only
// unavailable storage is an error.
func (s *Sessions) Introspect(ctx context.Context, raw string) (claims []byte, err error) {
	if _, err := s.Authenticate(ctx, model.Secret(raw)); err != nil {
		if model.AsFailure(err).Status() < 500 { // every inactive token gets the same response
			err = nil
		}
		return nil, err
	}
	return token.Payload(raw), nil
}
