package middleware

import (
	"net/http"
	"strings"

	"menshen/model"
)

// maxToken bounds what is looked at as a token at all, in bytes.
const maxToken = 4096

// BearerToken is the token of a request: exactly one Authorization header with
// the scheme Bearer, in any case (RFC 9110 §11.1), and one token of the
// characters of RFC 6750 §2.1. Everything else is model.ErrToken; queries,
// bodies and cookies are no place for a token (ASVS 14.2.1).
func BearerToken(h http.Header) (model.Secret, error) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", model.ErrToken
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	token := strings.TrimLeft(rest, " ") // 1*SP
	if !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken || !isToken68(token) {
		return "", model.ErrToken
	}
	return model.Secret(token), nil
}

// isToken68 is RFC 9110's token68, RFC 6750's b64token: padding at the end only.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !inToken68[s[i]] {
			return false
		}
	}
	return s != ""
}

// inToken68 is a table, because every request's whole token goes through it.
var inToken68 = func() (in [256]bool) {
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		in[b] = true
	}
	return in
}()
