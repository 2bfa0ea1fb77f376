package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// acts are what writes, on one kind of database.
type acts struct {
	driver               string
	code, login, refresh tally
	connections          int64 // that the provider accepted while codes were sent
}

// writeScenario interleaves the databases: codes, logins with all of them,
// refreshes of what they opened.
func writeScenario(ctx context.Context, s *stage, r *report) error {
	var users []*crowd
	for _, driver := range s.drivers() {
		d, err := s.deploy(ctx, "acts_"+driver, driver)
		if err != nil {
			return err
		}
		p, err := d.start(ctx)
		if err != nil {
			return err
		}
		result := &acts{driver: driver}
		r.acts = append(r.acts, result)
		users = append(users, &crowd{acts: result, protocol: menshen{}, process: p, meter: d.meter(p), provider: s.provider})
	}
	for round := range r.plan.rounds + 1 {
		for _, c := range users {
			if round == 1 { // the first one prepared statements and opened connections
				*c.acts = acts{driver: c.acts.driver, connections: c.acts.connections}
			}
			if err := c.round(ctx, r.plan.round); err != nil {
				return err
			}
		}
	}
	var err error
	for _, c := range users {
		err = errors.Join(err, c.process.stop())
	}
	return err
}

// crowd is users of one deployment.
type crowd struct {
	*acts
	protocol
	process  *process
	meter    meter
	provider *provider
	numbers  atomic.Int64 // of mobiles so far

	mu    sync.Mutex
	asked []string // mobiles that were sent a code
	pairs [writers][]*pair
}

// pair is a login, and where it is in its client's turn.
type pair struct{ Access, Refresh string }

func (c *crowd) round(ctx context.Context, lasts time.Duration) error {
	c.asked, c.pairs = nil, [writers][]*pair{}
	before := c.provider.connections.Load()
	if err := c.code.measured(ctx, c.meter, c.codes(lasts).closed); err != nil {
		return fmt.Errorf("codes: %w", err)
	}
	c.connections += c.provider.connections.Load() - before
	if err := c.login.measured(ctx, c.meter, c.logins().closed); err != nil {
		return fmt.Errorf("logins: %w", err)
	}
	if err := c.refresh.measured(ctx, c.meter, c.refreshes(lasts).closed); err != nil {
		return fmt.Errorf("refreshes: %w", err)
	}
	return nil
}

// codes sends codes to unused numbers.
func (c *crowd) codes(lasts time.Duration) load {
	var mobiles [writers]string
	return load{
		addr: c.process.addr, clients: writers, lasts: lasts,
		request: func(client int) []byte {
			mobiles[client] = fmt.Sprintf("139%08d", c.numbers.Add(1))
			return c.sendRequest(mobiles[client])
		},
		answered: func(client int, a answer) error {
			if err := want200(a); err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.asked = append(c.asked, mobiles[client])
			return nil
		},
	}
}

// logins uses each code of the round once; each login registers a user.
func (c *crowd) logins() load {
	var taken atomic.Int64
	return load{
		addr: c.process.addr, clients: writers,
		request: func(int) []byte {
			i := int(taken.Add(1)) - 1
			if i >= len(c.asked) {
				return nil
			}
			code, _ := c.provider.code(c.asked[i]) // without one the login fails and is counted
			return c.loginRequest(c.asked[i], code)
		},
		answered: func(client int, a answer) error {
			if err := want200(a); err != nil {
				return err
			}
			p, err := c.loggedIn(a.body)
			c.pairs[client] = append(c.pairs[client], p)
			return err
		},
	}
}

// refreshes lets each client refresh its sessions in turn, with the current pair.
func (c *crowd) refreshes(lasts time.Duration) load {
	return c.inTurn(lasts, c.refreshRequest, c.refreshed)
}

// inTurn lets each client ask about its sessions in turn.
func (c *crowd) inTurn(lasts time.Duration, ask func(p *pair) []byte, answered func(body []byte, p *pair) error) load {
	var turn [writers]int
	return load{
		addr: c.process.addr, clients: writers, lasts: lasts,
		request: func(client int) []byte {
			mine := c.pairs[client]
			if len(mine) == 0 {
				return nil
			}
			turn[client] = (turn[client] + 1) % len(mine)
			return ask(mine[turn[client]])
		},
		answered: func(client int, a answer) error {
			if err := want200(a); err != nil {
				return err
			}
			return answered(a.body, c.pairs[client][turn[client]])
		},
	}
}

// protocol is how a service is asked for what it does. The bodies of answers have status
// 200.
type protocol interface {
	sendRequest(mobile string) []byte
	loginRequest(mobile, code string) []byte
	loggedIn(body []byte) (*pair, error)
	refreshRequest(p *pair) []byte
	refreshed(body []byte, p *pair) error // keeps the new token
	checkRequest(p *pair) []byte
}

// menshen is the protocol of this program.
type menshen struct{}

func (menshen) sendRequest(mobile string) []byte {
	return post("/auth/mobile/code", fmt.Appendf(nil, `{"companyType":0,"productType":0,"mobile":%q}`, mobile))
}

func (menshen) loginRequest(mobile, code string) []byte {
	return post("/auth/mobile/login", fmt.Appendf(nil,
		`{"companyType":0,"productType":0,"mobile":%q,"source":"load","validateNo":%q,"deviceNumber":"load"}`, mobile, code))
}

func (menshen) loggedIn(body []byte) (*pair, error) {
	var login struct {
		Data struct{ AccessToken, RefreshToken struct{ Value string } }
	}
	err := json.Unmarshal(body, &login)
	return &pair{login.Data.AccessToken.Value, login.Data.RefreshToken.Value}, err
}

func (menshen) refreshRequest(p *pair) []byte {
	return post("/app/auth/token/refresh", []byte(`{"accessToken":`+strconv.Quote(p.Access)+`,"refreshToken":`+strconv.Quote(p.Refresh)+`}`))
}

func (menshen) refreshed(body []byte, p *pair) error {
	_, rest, found := bytes.Cut(body, []byte(`"value":"`))
	token, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended || string(token) == p.Access {
		return fmt.Errorf("no new token: %s", body)
	}
	p.Access = string(token)
	return nil
}

func (menshen) checkRequest(p *pair) []byte { return get(checkPath+"?deviceNumber=load", p.Access) }
