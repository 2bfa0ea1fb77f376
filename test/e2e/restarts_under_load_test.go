package e2e

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pair is the transport of a client of two instances: requests to the hosts "public" and
// "admin" go to each in turn, and to the other one if a connection is refused. It keeps
// its connections while instances stop.
type pair struct {
	instances     [2]atomic.Pointer[instance]
	transport     http.RoundTripper
	turn, refused atomic.Int64
}

func (p *pair) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "public" && r.URL.Host != "admin" {
		return p.transport.RoundTrip(r)
	}
	for first, try := p.turn.Add(1), int64(0); ; try++ {
		i := p.instances[(first+try)%2].Load()
		to, base := r.Clone(r.Context()), i.public
		if r.URL.Host == "admin" {
			base = i.admin
			to.Header.Set("Idempotency-Key", "kick") // net/http repeats it if its kept connection closes under it
		}
		to.Host, to.URL.Host = "", strings.TrimPrefix(base, "http://")
		if r.GetBody != nil {
			to.Body, _ = r.GetBody()
		}
		response, err := p.transport.RoundTrip(to)
		if dial, is := errors.AsType[*net.OpError](err); try == 3 || !is || dial.Op != "dial" { // no connection came about
			return response, err
		}
		p.refused.Add(1)
	}
}

// TestRestartsUnderLoad restarts one of two instances every second under load, for
// clients that go to the other one when a connection is refused: nothing else fails, and
// streams end without an event, so that their clients come back.
func TestRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	d := a.d
	own := d.client.Transport.(*http.Transport)
	t.Cleanup(own.CloseIdleConnections)
	both := &pair{transport: own}
	both.instances[0].Store(a)
	both.instances[1].Store(b)
	d.client.Transport = both
	front := &instance{d: d, name: "a or b", public: "http://public", admin: "http://admin"}
	users, s, gone := front.patientPlayers(t, 8)

	load, watch := front.play(t, users), front.watch(t, s, gone)
	var stops delays
	restarts := soak(6, 60)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := range restarts {
		victim := both.instances[n%2].Load()
		stream := victim.events(t, s)
		begin := time.Now()
		victim.stop(t)
		stops = append(stops, time.Since(begin))
		if event := stream.next(time.After(stopTime)); event != "" {
			t.Errorf("the stream of a stopped instance told %q", event)
		}
		front.events(t, s).cancel() // its client comes back
		both.instances[n%2].Store(d.start(t, victim.name))
		<-tick.C
	}
	watch.stop()
	load.stop()
	for _, p := range users {
		if p.last.err != nil {
			t.Errorf("player %d got no answer: %s", p.name, p.last)
		}
		p.verify(t, front, len(p.history))
	}
	d.wantInvariants(t)
	t.Logf("%s: %d restarts, stopped after %s; %d acts and %d other requests answered, %d of them by 50300, %d connections refused by a stopped listener",
		d.kind(t), restarts, stops, load.answered.Load(), len(watch.took), watch.refused, both.refused.Load())
}
