package e2e

import (
	"testing"
	"time"

	"menshen/repository"
)

// TestHeldRequests: a stream and a held check outlast the time-outs of ordinary
// requests: the stream lives until its session ends, the check is held as
// requested.
func TestHeldRequests(t *testing.T) {
	t.Parallel()
	const longest = 26 * time.Second // longer than any of the server's time-outs
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	s := i.login(t, "", "device")
	stream := i.events(t, s)
	held := make(chan answer, 1)
	go func() { held <- i.call(s.checkRequest("&wait=25")) }()
	if a := <-held; a.state() != "active" || a.took < longest-2*time.Second {
		t.Errorf("the held check: %s", a)
	}
	select {
	case <-stream.over:
		t.Fatal("the stream ended by itself")
	case <-time.After(time.Second):
	}
	i.call(s.logoutRequest()).wantSuccess(t)
	stream.wantEnded(t, "logged_out", stopTime)
}
