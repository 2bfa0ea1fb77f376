// Package sign holds the signatures that cloud vendors demand of a request, one file per
// scheme. A signature covers the body, so the caller passes it beside the request. The
// path must be "/", and the query must be spelled as [Query] spells it.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// Query returns values in the one spelling that is signed, that of RFC 3986. Go's form
// encoding differs from it only in the space.
func Query(values url.Values) string { return strings.ReplaceAll(values.Encode(), "+", "%20") }

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// chained signs text by HMACs: each part is signed with the key that the one before it
// gave.
func chained(secret string, parts []string, text string) string {
	key := []byte(secret)
	for _, part := range parts {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, text))
}
