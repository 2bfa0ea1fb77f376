package app

import (
	"net"
	"os"
	"syscall"
)

// acceptNow returns a connection that waits to be accepted, nil if none does. It does not
// wait, so that next to no time passes between it and a close of the listener.
func acceptNow(l *net.TCPListener) net.Conn {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil
	}
	accepted := -1
	err = raw.Control(func(listener uintptr) {
		accepted, _, _ = syscall.Accept4(int(listener), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	})
	if err != nil || accepted < 0 {
		return nil
	}
	file := os.NewFile(uintptr(accepted), "connection")
	defer func() { _ = file.Close() }() // conn has a copy
	conn, err := net.FileConn(file)
	if err != nil {
		return nil
	}
	return conn
}
