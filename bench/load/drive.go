package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is what clients send in one round, each over one connection that it keeps.
type load struct {
	addr     string
	clients  int
	lasts    time.Duration                    // 0: until request has no more
	request  func(client int) []byte          // the client's next request, nil for none
	answered func(client int, a answer) error // judges an answer
}

// outcome is one round.
type outcome struct {
	requests, failures int64
	failure            error // the first of them
	took               time.Duration
	latency            *hdrhistogram.Histogram // of answers, in microseconds
}

// Bounds of what is recorded, in microseconds, within one percent: a histogram
// for each client must stay in the cache of the processor.
const (
	shortest = 1
	longest  = 60_000_000
	digits   = 2
)

func newLatency() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, digits) }

// client is one connection with what it saw.
type client struct {
	outcome
	conn *connection
	load load
	id   int
}

// closed lets each client send its next request when the last one is answered.
func (l load) closed(ctx context.Context) (outcome, error) {
	return l.drive(ctx, func(clients []*client) {
		end := time.Now().Add(l.lasts)
		together(clients, func(c *client) {
			for began := time.Now(); (l.lasts == 0 || began.Before(end)) && c.once(began); {
				began = time.Now()
			}
		})
	})
}

// open sends rate requests a second, however quick the responses are: a latency
// begins when the request was due, so that a server that stalls is charged for the
// requests that were due meanwhile.
func (l load) open(ctx context.Context, rate float64) (outcome, error) {
	return l.drive(ctx, func(clients []*client) {
		due := make(chan time.Time, int(rate*l.lasts.Seconds()))
		go pace(due, rate)
		together(clients, func(c *client) {
			for began := range due {
				if !c.once(began) {
					return
				}
			}
		})
	})
}

// pace fills the channel and closes it. It sleeps in the kernel, on a thread of
// its own: the runtime's timers are too coarse.
func pace(due chan<- time.Time, rate float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	for i := range cap(due) {
		at := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(at); wait > 0 {
			pause := syscall.NsecToTimespec(wait.Nanoseconds())
			_ = syscall.Nanosleep(&pause, nil) // interrupted: a request goes out early by that much
		}
		due <- at
	}
	close(due)
}

// together runs act for all clients and waits for them.
func together(clients []*client, act func(c *client)) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { act(c) })
	}
	all.Wait()
}

// drive connects the clients, lets them act and gathers what they saw.
func (l load) drive(ctx context.Context, act func(clients []*client)) (outcome, error) {
	total := outcome{latency: newLatency()}
	clients := make([]*client, 0, l.clients)
	hangUp := func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}
	defer hangUp()
	for id := range l.clients {
		conn, err := dial(ctx, l.addr)
		if err != nil {
			return total, err
		}
		clients = append(clients, &client{outcome: outcome{latency: newLatency()}, conn: conn, load: l, id: id})
		if err := conn.SetDeadline(time.Now().Add(l.lasts + patience)); err != nil {
			return total, err
		}
	}
	defer context.AfterFunc(ctx, hangUp)()
	began := time.Now()
	act(clients)
	total.took = time.Since(began)
	for _, c := range clients {
		total.add(c.outcome)
	}
	if total.requests == 0 && ctx.Err() == nil {
		return total, errors.Join(errors.New("nothing was answered"), total.failure)
	}
	return total, ctx.Err()
}

func (o *outcome) add(more outcome) {
	o.requests += more.requests
	o.failures += more.failures
	if o.failure == nil {
		o.failure = more.failure
	}
	o.latency.Merge(more.latency)
}

// once sends the next request; false when there is none, or the connection broke.
func (c *client) once(began time.Time) bool {
	request := c.load.request(c.id)
	if request == nil {
		return false
	}
	a, broken := c.conn.exchange(request)
	err := broken
	if err == nil {
		err = c.load.answered(c.id, a)
	}
	if err != nil {
		c.failures++
		if c.failure == nil {
			c.failure = err
		}
		return broken == nil
	}
	c.requests++
	_ = c.latency.RecordValue(min(max(time.Since(began).Microseconds(), shortest), longest)) // in its bounds
	return true
}
