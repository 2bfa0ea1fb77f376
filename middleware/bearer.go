package middleware

import (
	"net/http"
	"strings"

	"menshen/model"
)

// maxToken bounds the tokens that are read at all, in bytes.
const maxToken = 4096

// BearerToken is the token of a request: exactly one Authorization header with
// the scheme Bearer, in any case (RFC 9110 §11.1), and one token of the
// characters of RFC 6750 §2.1. Everything else is model.ErrToken. Tokens in
// queries, bodies and cookies are not read (ASVS 14.2.1).
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

// isToken68 reports whether s is a token68 (RFC 9110 §11.2; b64token in RFC 6750
// §2.1): padding stands at the end only.
func isToken68(s string) bool {
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	s = strings.TrimRight(s, "=")
	return s != "" && strings.TrimLeft(s, characters) == ""
}
