package middleware

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Why a request for a page of development is refused. The log names it; the answer is that
// of a route that does not exist.
var (
	errForeignPeer = errors.New("the pages of development are for this machine alone (dev.open)")
	errForeignPage = errors.New("a page of another origin sent it")
)

// ThisMachine refuses, with model.ErrNotFound, each request below one of the paths that does
// not come from this machine itself, whatever its method, unless open is set. Acts that a
// page of another origin asks for are refused always. It is for all routes of a listener,
// so that the answer to an unknown method does not show that a path exists.
func ThisMachine(open bool, below func(path string) bool) gin.HandlerFunc {
	foreign := http.NewCrossOriginProtection()
	return func(c *gin.Context) {
		if !below(c.Request.URL.Path) {
			return
		}
		var refused error
		switch {
		case !open && !fromThisMachine(c.Request):
			refused = errForeignPeer
		case foreign.Check(c.Request) != nil:
			refused = errForeignPage
		default:
			return
		}
		c.Writer.Header().Del("Allow")
		Fail(c, model.ErrNotFound.Wrap(refused))
	}
}

// fromThisMachine reports whether a request came over loopback without a proxy, for a name
// that only this machine has.
func fromThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		if _, forwarded := r.Header[header]; forwarded {
			return false
		}
	}
	host := r.Host
	if name, port, err := net.SplitHostPort(host); err == nil && strings.Trim(port, "0123456789") == "" {
		if host = name; strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "[::1]"
}

// ActAs makes name the actor of the requests, as Guard does for an operator's key.
func ActAs(name string) gin.HandlerFunc {
	return func(c *gin.Context) { exchangeOf(c).Key = model.AdminKey{Name: name, Role: model.RoleAdmin} }
}
