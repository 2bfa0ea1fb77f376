package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// duel is the check on menshen against the bare server with the given number of clients:
// once with the headers and time-outs of menshen, once without.
type duel struct {
	clients              int
	menshen, bare, plain tally
}

// step is one fixed rate.
type step struct {
	rate          float64 // requests a second
	menshen, bare tally
}

// Clients of the closed loops, connections of the open loop, and its rates as
// shares of what menshen did at most with the fewer clients.
var (
	duelClients = [...]int{64, 256}
	openShares  = [...]float64{0.1, 0.25, 0.5, 0.7, 0.85}
)

const (
	openClients = 256
	openRounds  = 3
	warmUp      = 500 * time.Millisecond
)

// checkScenario is the check over liveSessions sessions, with tokensInPlay tokens
// that take turns, against the bare server that answers the same bytes.
func checkScenario(ctx context.Context, s *stage, r *report) error {
	p, d, requests, err := s.startSeeded(ctx)
	if err != nil {
		return err
	}
	r.seeded = d
	same, err := record(ctx, p.addr, requests[0])
	if err != nil {
		return err
	}
	bare, err := s.startBare(ctx, same)
	if err != nil {
		return err
	}
	plain, err := s.startBare(ctx, same.plain())
	if err != nil {
		return err
	}
	a := arena{
		rounds: r.plan.rounds, round: r.plan.round, requests: requests,
		menshen: d.meter(p), bare: meter{server: bare.pid}, plain: meter{server: plain.pid},
		menshenAddr: p.addr, bareAddr: bare.addr, plainAddr: plain.addr,
	}
	for _, clients := range duelClients {
		result := &duel{clients: clients}
		r.duels = append(r.duels, result)
		if err := a.duel(ctx, result); err != nil {
			return err
		}
	}
	most := r.duels[0].menshen.rate()
	for _, share := range openShares {
		result := &step{rate: most * share}
		r.steps = append(r.steps, result)
		if err := a.step(ctx, result); err != nil {
			return err
		}
	}
	return errors.Join(p.stop(), bare.stop(), plain.stop())
}

// startSeeded starts a process over liveSessions sessions, and gives what asks for
// tokensInPlay of them.
func (s *stage) startSeeded(ctx context.Context) (*process, *deployment, [][]byte, error) {
	d, err := s.deploySeeded(ctx, liveSessions)
	if err != nil {
		return nil, nil, nil, err
	}
	requests, err := s.signer.requests(tokensInPlay, liveSessions)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := d.start(ctx)
	return p, d, requests, err
}

// arena is the contestants with what they are asked.
type arena struct {
	rounds                           int
	round                            time.Duration
	requests                         [][]byte
	menshen, bare, plain             meter
	menshenAddr, bareAddr, plainAddr string
}

// duel interleaves the rounds; the first contestant changes.
func (a arena) duel(ctx context.Context, d *duel) error {
	closed := func(addr string, lasts time.Duration) func(context.Context) (outcome, error) {
		return checks(addr, d.clients, a.requests, lasts).closed
	}
	for _, addr := range []string{a.menshenAddr, a.bareAddr, a.plainAddr} {
		if _, err := once(addr, d.clients, a.requests).closed(ctx); err != nil { // all tokens and sessions
			return err
		}
		if _, err := closed(addr, warmUp)(ctx); err != nil {
			return err
		}
	}
	return a.interleave(a.rounds,
		func() error { return d.menshen.measured(ctx, a.menshen, closed(a.menshenAddr, a.round)) },
		func() error { return d.bare.measured(ctx, a.bare, closed(a.bareAddr, a.round)) },
		func() error { return d.plain.measured(ctx, a.plain, closed(a.plainAddr, a.round)) },
	)
}

func (a arena) step(ctx context.Context, s *step) error {
	open := func(addr string) func(context.Context) (outcome, error) {
		l := checks(addr, openClients, a.requests, a.round)
		return func(ctx context.Context) (outcome, error) { return l.open(ctx, s.rate) }
	}
	return a.interleave(min(a.rounds, openRounds),
		func() error { return s.menshen.measured(ctx, a.menshen, open(a.menshenAddr)) },
		func() error { return s.bare.measured(ctx, a.bare, open(a.bareAddr)) },
	)
}

func (a arena) interleave(rounds int, contestants ...func() error) error {
	for range rounds {
		for _, act := range contestants {
			if err := act(); err != nil {
				return err
			}
		}
		slices.Reverse(contestants)
	}
	return nil
}

var loggedIn = []byte(`"isLogin":true`)

// checks asks with all requests in turn, which must be answered with yes.
func checks(addr string, clients int, requests [][]byte, lasts time.Duration) load {
	next := make([]int, clients)
	for i := range next {
		next[i] = i * len(requests) / clients
	}
	return load{
		addr: addr, clients: clients, lasts: lasts,
		request: func(client int) []byte {
			i := next[client]
			next[client] = (i + 1) % len(requests)
			return requests[i]
		},
		answered: wantLogin,
	}
}

// once asks with each request one time.
func once(addr string, clients int, requests [][]byte) load {
	var taken atomic.Int64
	return load{
		addr: addr, clients: clients,
		request: func(int) []byte {
			if i := int(taken.Add(1)) - 1; i < len(requests) {
				return requests[i]
			}
			return nil
		},
		answered: wantLogin,
	}
}

func wantLogin(_ int, a answer) error {
	if err := want200(a); err != nil {
		return err
	}
	if !bytes.Contains(a.body, loggedIn) {
		return errors.New("not logged in: " + string(a.body))
	}
	return nil
}

// recordedFrom keeps an answer for the bare server, but for what net/http writes
// by itself.
func recordedFrom(a answer) (recorded, error) {
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.head)), nil)
	if err != nil {
		return recorded{}, err
	}
	_ = response.Body.Close()
	header := response.Header
	header.Del("Date")
	header.Del("Content-Length")
	return recorded{Header: header, Body: bytes.Clone(a.body), TimeOuts: true}, nil
}
