package middleware

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// Hosts are the domain names of a listener, in small letters.
type Hosts []string

var errForeignHost = errors.New("the header Host is no name of this listener")

// Guard refuses requests for a domain name that is not the listener's: a page that an
// operator visits may have let its own name lead to this machine (DNS rebinding), and
// would then read what needs no key. Addresses, the names of this machine and names
// without a dot pass, since no stranger can give them to a page.
func (h Hosts) Guard(c *gin.Context) {
	if h.has(c.Request.Host) {
		return
	}
	_ = c.Error(errForeignHost)
	c.String(http.StatusForbidden, "This name is not in server.admin_hosts.\n")
	c.Abort()
}

func (h Hosts) has(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || slices.Contains(h, host)
}
