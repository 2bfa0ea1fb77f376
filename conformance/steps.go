package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// step is one thing that happens in a trace, or one that is expected of the client. The
// error of an expectation is an unmet.
type step func(ctx context.Context, s *stage) error

// user is one of the users of a trace. Each trace has numbers of its own for them.
type user int

const (
	alice user = iota
	bob
)

// number is the mobile number of a user.
func (s *stage) number(u user) string { return fmt.Sprintf("138%08d", 2*s.trace+int(u)) }

// all plays steps one after the other.
func all(steps ...step) step {
	return func(ctx context.Context, s *stage) error {
		for _, next := range steps {
			if err := next(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// atOnce plays steps at the same time.
func atOnce(steps ...step) step {
	return func(ctx context.Context, s *stage) error {
		failures := make(chan error, len(steps))
		for _, one := range steps {
			go func() { failures <- one(ctx, s) }()
		}
		var joined []error
		for range steps {
			joined = append(joined, <-failures)
		}
		return errors.Join(joined...)
	}
}

// opens makes a client on a storage of its own.
func opens(client string) step { return opensOn(client, client) }

// opensOn makes a client on a storage that others may share: a tab, or the next process.
func opensOn(client, storage string) step {
	return func(ctx context.Context, s *stage) error {
		folder, err := s.storage(storage)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.storages[client] = storage
		s.mu.Unlock()
		r, err := s.tell(ctx, command{Do: "open", Client: client, Storage: folder, Base: s.base})
		return succeeded(r, err, "the command \"open\"")
	}
}

// isKilled drops a client, as if its process were killed: what is under way comes to
// nothing.
func isKilled(client string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "close", Client: client})
		return succeeded(r, err, "the command \"close\"")
	}
}

// restarts kills a client and makes another one on its storage.
func restarts(client string) step {
	return func(ctx context.Context, s *stage) error {
		s.mu.Lock()
		storage := s.storages[client]
		s.mu.Unlock()
		return all(isKilled(client), opensOn(client, storage))(ctx, s)
	}
}

// asksForCode has a client ask for a code, which must succeed.
func asksForCode(client string, as user) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "code", Client: client, Mobile: s.number(as), Challenge: solution})
		return succeeded(r, err, "the request for a code")
	}
}

// logsIn has a client ask for a code and log in with it.
func logsIn(client string, as user) step {
	return all(asksForCode(client, as), entersCode(client, as))
}

// entersCode has a client log in with the newest code.
func entersCode(client string, as user) step {
	return func(ctx context.Context, s *stage) error {
		code, err := s.program.newestCode(ctx, s.number(as))
		if err != nil {
			return err
		}
		r, err := s.tell(ctx, command{Do: "login", Client: client, Mobile: s.number(as), ValidateNo: code})
		return succeeded(r, err, "the login")
	}
}

// isRefused has a client log in with the newest code, or if it is wrong with another one.
// The client must report the code of the refusal, and not be logged in.
func isRefused(client string, wrong bool, code int32) step {
	return func(ctx context.Context, s *stage) error {
		text, err := s.program.newestCode(ctx, s.number(alice))
		if err != nil {
			return err
		}
		if wrong {
			text = reversed(text)[:len(text)-1] + string('0'+(text[0]-'0'+1)%10)
		}
		r, err := s.tell(ctx, command{Do: "login", Client: client, Mobile: s.number(alice), ValidateNo: text})
		if err == nil && (r.OK || r.Code != code || r.LoggedIn) {
			err = unmet{fmt.Sprintf("the login to fail with code %d and the client to stay logged out", code), r.String()}
		}
		return err
	}
}

// loggedIn opens a client and logs it in.
func loggedIn(client string) step { return all(opens(client), logsIn(client, alice)) }

// calls has a client send an authenticated request, which must succeed in the end.
func calls(client string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "call", Client: client})
		return succeeded(r, err, "the request of "+client)
	}
}

// tries has a client send an authenticated request, however it ends.
func tries(client string) step {
	return func(ctx context.Context, s *stage) error {
		_, err := s.tell(ctx, command{Do: "call", Client: client})
		return err
	}
}

// fails has a client send an authenticated request, which must not succeed.
func fails(client string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "call", Client: client})
		if err == nil && r.OK {
			err = unmet{"the request of " + client + " to fail", "the client reports that it succeeded"}
		}
		return err
	}
}

// begins has a client send a request, and waits for nothing.
func begins(client string) step {
	return func(_ context.Context, s *stage) error {
		return s.driver.send(command{Do: "call", Client: client}, make(chan reply, 1))
	}
}

// failsToAsk has a client ask for a code, which fails with a code.
func failsToAsk(client string, code int32) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "code", Client: client, Mobile: s.number(alice)})
		if err == nil && (r.OK || r.Code != code) {
			err = unmet{fmt.Sprintf("the request for a code to fail with code %d", code), r.String()}
		}
		return err
	}
}

// betweenTries is how long a user waits before the next attempt.
const betweenTries = 200 * time.Millisecond

// callsUntilAnswered has a client send a request, and again if it fails, as a user does who
// tries again when the last answer allows it. The client must stay logged in.
func callsUntilAnswered(client string) step {
	return func(ctx context.Context, s *stage) error {
		began := s.gate.since()
		for {
			r, err := s.tell(ctx, command{Do: "call", Client: client})
			switch {
			case err != nil || r.OK:
				return err
			case !r.LoggedIn:
				return unmet{client + " to stay logged in", r.String()}
			case s.gate.since()-began > patience:
				return succeeded(r, nil, "the request of "+client)
			}
			if err := pause(ctx, max(betweenTries, s.gate.retryAfter())); err != nil {
				return err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// during begins a step and plays others meanwhile. Both must succeed.
func during(begun step, meanwhile ...step) step {
	return func(ctx context.Context, s *stage) error {
		ended := make(chan error, 1)
		go func() { ended <- begun(ctx, s) }()
		err := all(meanwhile...)(ctx, s)
		if err != nil {
			s.release()
		}
		return errors.Join(err, <-ended)
	}
}

// release opens all doorways, so that nothing waits for a trace that has failed.
func (s *stage) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, door := range s.doors {
		door.once.Do(func() { close(door.open) })
	}
}

// watches has a client wait for the end of its session.
func watches(client string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "watch", Client: client})
		return succeeded(r, err, "the command \"watch\"")
	}
}

// logsOut has a client log out, which must succeed.
func logsOut(client string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "logout", Client: client})
		if err := succeeded(r, err, "the logout"); err != nil {
			return err
		}
		if r.LoggedIn {
			return unmet{client + " to be logged out", r.String()}
		}
		return nil
	}
}

// logsOutInTheEnd has a client log out until it reports success. It must not do so while
// the session is active.
func logsOutInTheEnd(client string) step {
	return func(ctx context.Context, s *stage) error {
		began := s.gate.since()
		for {
			r, err := s.tell(ctx, command{Do: "logout", Client: client})
			if err != nil {
				return err
			}
			if r.OK {
				return sessionEnded("logged_out")(ctx, s)
			}
			if s.gate.since()-began > patience {
				return succeeded(r, nil, "the logout")
			}
			if err := pause(ctx, betweenTries); err != nil {
				return err
			}
		}
	}
}
