package e2e

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/repository"
)

// TestSlowSockets: sockets that send a header or a body byte by byte, and sockets that
// read an answer byte by byte, do not keep other clients from their answers. "make soak"
// has 1,000 of them for a minute, and logs how long others wait with and without them.
func TestSlowSockets(t *testing.T) {
	t.Parallel()
	sockets, during := soak(100, 1000), time.Duration(soak(2, 60))*time.Second
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	s := i.login(t, "", "device")
	i.cacheSession(t, s)
	without := i.measureChecks(t, s, during)

	stop := make(chan struct{})
	var all sync.WaitGroup
	for n := range sockets {
		all.Go(func() { i.slowSocket(n, s, stop) })
	}
	beside := i.measureChecks(t, s, during)
	i.login(t, "", "device")
	close(stop)
	all.Wait()
	t.Logf("checks without slow sockets: %s; beside %d: %s", without, sockets, beside)
	i.wantState(t, s, "active")
}

// measureChecks checks the session again and again and returns how long that took.
func (i *instance) measureChecks(t *testing.T, s *session, during time.Duration) (took delays) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < during; {
		state, a := i.check(s)
		if state != "active" {
			t.Fatalf("a check: %s", a)
		}
		took = append(took, a.took)
	}
	slices.Sort(took)
	return took
}

// slowSocket keeps one slow connection open until stop, and connects again when the
// instance has had enough of it.
func (i *instance) slowSocket(n int, s *session, stop <-chan struct{}) {
	body := "POST /auth/mobile/login HTTP/1.1\r\nHost: menshen\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
	document := "GET /swagger/doc.json HTTP/1.1\r\nHost: menshen\r\n\r\n"
	begun := []string{"GET /healthz HTTP/1.1\r\nX-Slow: ", body, strings.Repeat(document, 50)}[n%3]
	if n%12 == 2 {
		begun = fmt.Sprintf("GET %s HTTP/1.1\r\nHost: menshen\r\nAuthorization: Bearer %s\r\n\r\n", s.checkRequest("&wait=25").path, s.access)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(i.public, "http://"), callTime)
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(1024)
		_, err = io.WriteString(conn, begun)
		for err == nil {
			select {
			case <-stop:
				_ = conn.Close()
				return
			case <-ticker.C:
			}
			if n%3 != 2 {
				_, err = conn.Write([]byte("x"))
				continue
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			_, err = conn.Read(make([]byte, 1)) // one byte a second
		}
		_ = conn.Close()
	}
}
