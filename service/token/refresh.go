package token

import (
	"crypto/sha256"
	"strings"

	"menshen/model"
	"menshen/service/random"
)

// A refresh token is opaque: "rt1_", the session's id, "_", 256 random bits. Only the hash of
// the last part is kept (RFC 9700 §4.14).
const refreshPrefix = "rt1_"

// NewRefresh returns a refresh token of a session and the hash of its secret.
func NewRefresh(sessionID string) (refresh model.Secret, hash []byte) {
	secret := random.Secret()
	sum := sha256.Sum256([]byte(secret))
	return model.Secret(refreshPrefix + sessionID + "_" + secret), sum[:]
}

// ParseRefresh returns the session's id and the hash of the secret, if the token has the form
// of one. Whether it is the session's, the hash decides.
func ParseRefresh(refresh model.Secret) (sessionID string, hash []byte, ok bool) {
	rest, known := strings.CutPrefix(string(refresh), refreshPrefix)
	sessionID, secret, cut := strings.Cut(rest, "_")
	if !known || !cut || len(refresh) > 256 || !random.IsName(sessionID) {
		return "", nil, false
	}
	sum := sha256.Sum256([]byte(secret))
	return sessionID, sum[:], true
}
