package middleware

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"
)

// maxRequestID bounds the ids that clients choose, in characters.
const maxRequestID = 64

// requestIDs returns the id of a request, and the client's own. A trusted proxy chooses the
// id of its requests; that of any other client is for the access log alone, since it may be
// the id of another request. An id that is long or needs quoting is ignored.
func requestIDs(r *http.Request, proxies Addresses) (id, clients string) {
	given := r.Header["X-Request-Id"]
	if len(given) != 1 || !isPlainID(given[0]) {
		return rand.Text(), ""
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && proxies.Trusts(peer.Addr()) {
		return given[0], ""
	}
	return rand.Text(), given[0]
}

func isPlainID(id string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return id != "" && len(id) <= maxRequestID && strings.Trim(id, plain) == ""
}
