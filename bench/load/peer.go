package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// supabase is the protocol of Supabase Auth (github.com/supabase/auth).
type supabase struct{}

func (supabase) sendRequest(mobile string) []byte {
	return post("/otp", fmt.Appendf(nil, `{"phone":"+86%s","create_user":true}`, mobile))
}

func (supabase) loginRequest(mobile, code string) []byte {
	return post("/verify", fmt.Appendf(nil, `{"type":"sms","phone":"+86%s","token":%q}`, mobile, code))
}

func (supabase) loggedIn(body []byte) (*pair, error) {
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	err := json.Unmarshal(body, &tokens)
	return &pair{tokens.Access, tokens.Refresh}, err
}

func (supabase) refreshRequest(p *pair) []byte {
	return post("/token?grant_type=refresh_token", fmt.Appendf(nil, `{"refresh_token":%q}`, p.Refresh))
}

func (s supabase) refreshed(body []byte, p *pair) error {
	next, err := s.loggedIn(body)
	if err == nil && next.Refresh == p.Refresh {
		err = fmt.Errorf("no new token: %s", body)
	}
	*p = *next
	return err
}

func (supabase) checkRequest(p *pair) []byte { return get("/user", p.Access) }

// peerEnvironment is the peer's configuration: its defaults, except that codes are sent by
// a hook to our provider, as menshen sends them, that limits are never reached, and that
// its pool has as many connections as menshen's.
func peerEnvironment(database, provider string, port int) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "GOTRUE_DB_DRIVER=postgres", "DATABASE_URL=" + database, "DB_NAMESPACE=auth", "GOTRUE_DB_MAX_POOL_SIZE=32",
		"GOTRUE_JWT_SECRET=0123456789abcdef0123456789abcdef", "GOTRUE_JWT_EXP=900", "GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_SITE_URL=http://localhost", "API_EXTERNAL_URL=http://localhost", "GOTRUE_API_HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port),
		"GOTRUE_EXTERNAL_PHONE_ENABLED=true", "GOTRUE_SMS_MAX_FREQUENCY=0s", "GOTRUE_RATE_LIMIT_SMS_SENT=1000000000",
		"GOTRUE_HOOK_SEND_SMS_ENABLED=true", "GOTRUE_HOOK_SEND_SMS_URI=" + provider,
		"GOTRUE_HOOK_SEND_SMS_SECRETS=v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}
}

// startPeer makes the peer's schema and starts it.
func (s *stage) startPeer(ctx context.Context, binary, database string) (*process, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().(*net.TCPAddr)
	_ = listener.Close() // the port is free for the peer
	log, err := os.Create(filepath.Join(s.folder, "peer.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	run := func(command string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, command) //nolint:gosec // that the caller names
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = filepath.Dir(binary), peerEnvironment(database, s.provider.url, addr.Port), log, log
		return cmd
	}
	if err := run("migrate").Run(); err != nil {
		return nil, fmt.Errorf("migrate the peer: %w: %s", err, tailOf(log.Name()))
	}
	p, err := s.launch(run("serve"))
	if err != nil {
		return nil, err
	}
	p.addr = addr.String()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ticker := time.NewTicker(peekEvery)
	defer ticker.Stop()
	for {
		if conn, err := dial(ctx, p.addr); err == nil {
			return p, conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the peer does not start: %s", tailOf(log.Name()))
		case <-ticker.C:
		}
	}
}

func tailOf(file string) string {
	text, _ := os.ReadFile(file) //nolint:gosec // in our folder
	return string(text[max(0, len(text)-2000):])
}

// checks lets each client check its sessions in turn.
func (c *crowd) checks(lasts time.Duration) load {
	return c.inTurn(lasts, c.checkRequest, func([]byte, *pair) error { return nil })
}

// contestant is a crowd that checks too.
type contestant struct {
	*crowd
	check tally
}

// rivals are what menshen is compared with; "" for none.
type rivals struct{ peer, peerDatabase, before string }

// compare interleaves menshen on each kind of database with its rivals, and prints what
// each does.
func compare(ctx context.Context, p plan, with rivals) error {
	s, err := openStage(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.makeRoom(ctx, liveSessions); err != nil {
		return err
	}
	all, err := s.contestants(ctx, with)
	if err != nil {
		return err
	}
	order := slices.Clone(all)
	for round := range p.rounds + 1 {
		slices.Reverse(order)
		for _, c := range order {
			if round == 1 { // the first one prepared statements and opened connections
				*c.acts, c.check = acts{driver: c.driver}, tally{}
			}
			if err := c.round(ctx, p.round); err != nil {
				return fmt.Errorf("%s: %w", c.driver, err)
			}
			if err := c.check.measured(ctx, c.meter, c.checks(p.round).closed); err != nil {
				return fmt.Errorf("%s: checks: %w", c.driver, err)
			}
		}
	}
	fmt.Printf("%s; %s, %d rounds of %s, %d clients, load average %s after.\n\n", s.databaseName, time.Now().Format(time.DateOnly), p.rounds, p.round, writers, loadAverage())
	text, err := comparison(all)
	fmt.Print(text)
	return err
}

// contestants starts the rivals, and menshen on each kind of database.
func (s *stage) contestants(ctx context.Context, with rivals) (all []*contestant, err error) {
	if with.peer != "" {
		peer, err := s.startPeer(ctx, with.peer, with.peerDatabase)
		if err != nil {
			return nil, err
		}
		all = append(all, &contestant{crowd: &crowd{
			acts: &acts{driver: "Supabase Auth"}, protocol: supabase{}, process: peer, meter: meter{server: peer.pid}, provider: s.provider,
		}})
	}
	for _, binary := range []string{with.before, s.binary} {
		for _, driver := range s.drivers() {
			if binary == "" {
				continue
			}
			name, label := "now_"+driver, driver
			if binary != s.binary {
				name, label = "before_"+driver, driver+", before"
			}
			c, err := s.contestant(ctx, binary, driver, name)
			if err != nil {
				return nil, err
			}
			c.driver = label
			all = append(all, c)
		}
	}
	return all, nil
}

// contestant starts a binary of menshen on a kind of database.
func (s *stage) contestant(ctx context.Context, binary, driver, name string) (*contestant, error) {
	d, err := s.deploy(ctx, name, driver)
	if err != nil {
		return nil, err
	}
	d.binary = binary
	process, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	return &contestant{crowd: &crowd{acts: &acts{driver: driver}, protocol: menshen{}, process: process, meter: d.meter(process), provider: s.provider}}, nil
}

// comparison is a table of all acts, against the first contestant.
func comparison(all []*contestant) (string, error) {
	var out strings.Builder
	out.WriteString(tallyHead)
	var failed error
	row := func(act string, c *contestant, t, first *tally) {
		out.WriteString(t.row(act+", "+c.driver, fmt.Sprintf("%.1f", t.rate()/first.rate())))
		failed = errors.Join(failed, t.failure)
	}
	for i, act := range all[0].tallies() {
		for _, c := range all {
			row(act.name, c, c.tallies()[i].tally, act.tally)
		}
	}
	for _, c := range all {
		row("check", c, &c.check, &all[0].check)
	}
	return out.String(), failed
}
