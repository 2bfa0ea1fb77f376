//go:build !linux

package app

import "net"

// acceptNow returns nil: there is no portable way to accept without waiting.
func acceptNow(*net.TCPListener) net.Conn { return nil }
