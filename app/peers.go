package app

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/middleware"
	"menshen/model"
)

// peerRules say how many connections one peer address (IPv6 by /64) and one block of
// neighbouring addresses (IPv4 by /24, IPv6 by /48) may hold.
type peerRules struct {
	most        int                        // 0: any number, of a block too
	mostOfBlock int                        // at least most
	exempt      func(peer netip.Addr) bool // whether the peer has no limit
}

// newPeerRules limits no trusted proxies, since each of them speaks for many clients, and
// no loopback: proxies, health checks and tests on this machine come from there. Half of
// the descriptors remain for other addresses whatever the configuration says.
func newPeerRules(cfg config.Server, descriptors int) (*peerRules, error) {
	proxies, err := middleware.NewAddresses(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	exempt := func(peer netip.Addr) bool { return peer.IsLoopback() || proxies.Trusts(peer) }
	return &peerRules{most: min(cfg.MaxConnsPerIP, descriptors/2), mostOfBlock: descriptors / 2, exempt: exempt}, nil
}

// peerListener closes a connection at once, before any goroutine is spent on it, if its
// peer address holds as many as it may: one address must not use up the descriptors of
// the process. Connections count until they are closed, event streams too.
type peerListener struct {
	net.Listener
	rules   *atomic.Pointer[peerRules] // in force
	refused func(address string)       // must not block

	mu   sync.Mutex
	held map[string]int // connections by address and by block
}

// Accept returns the next connection of a peer that may have one more.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		tcp, isTCP := conn.(*net.TCPConn)
		if err != nil || !isTCP {
			return conn, err
		}
		peer, rules := peerOf(tcp.RemoteAddr()), l.rules.Load()
		most := rules.most
		if rules.exempt(peer) {
			most = 0
		}
		address, block := addressOf(peer), blockOf(peer)
		if l.enter(address, block, most, rules.mostOfBlock) {
			return &peerConn{TCPConn: tcp, leave: sync.OnceFunc(func() { l.leave(address, block) })}, nil
		}
		l.refused(address)
		_ = tcp.SetLinger(0) // a reset: no state is kept for it
		_ = tcp.Close()
	}
}

func peerOf(remote net.Addr) netip.Addr {
	peer, _ := remote.(*net.TCPAddr)
	return peer.AddrPort().Addr().Unmap().WithZone("")
}

func addressOf(peer netip.Addr) string { return model.AddressKey(peer.String()) }

// blockOf is the name of the peer's block, which no address has.
func blockOf(peer netip.Addr) string { return "block " + model.AddressBlock(peer.String()) }

// enter counts a connection, or returns false if the address or its block holds as many as
// it may. Those that have no limit are counted too, since a reload may give them one.
func (l *peerListener) enter(address, block string, most, mostOfBlock int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if most > 0 && (l.held[address] >= most || l.held[block] >= mostOfBlock) {
		return false
	}
	l.held[address]++
	l.held[block]++
	return true
}

func (l *peerListener) leave(address, block string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range []string{address, block} {
		if l.held[name]--; l.held[name] == 0 {
			delete(l.held, name)
		}
	}
}

// peerConn is a counted connection.
type peerConn struct {
	*net.TCPConn
	leave func()
}

// Close closes the connection and counts it out.
func (c *peerConn) Close() error {
	c.leave()
	return c.TCPConn.Close()
}

// refusals counts refused connections and logs them, one line a minute at most.
type refusals struct {
	log   func() *zap.Logger
	now   func() time.Time
	count atomic.Uint64

	mu       sync.Mutex
	loggedAt time.Time
	logged   uint64
}

// add counts a refused connection of an address.
func (r *refusals) add(address string) {
	count := r.count.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.loggedAt.IsZero() && now.Sub(r.loggedAt) < time.Minute {
		return
	}
	r.log().Warn("an address holds server.max_conns_per_ip connections, more are refused",
		zap.String("ip", address), zap.Uint64("refused", count-r.logged))
	r.loggedAt, r.logged = now, count
}
