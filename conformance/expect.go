package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// unmet is an expectation that the client has not met.
type unmet struct{ want, seen string }

// Error is both in words.
func (u unmet) Error() string { return "expected " + u.want + "; seen: " + u.seen }

// String is what a client reports.
func (r reply) String() string {
	text := "the client reports success"
	if !r.OK {
		text = fmt.Sprintf("the client reports a failure, code %d", r.Code)
	}
	if r.LoggedIn {
		return text + ", logged in"
	}
	return text + fmt.Sprintf(", logged out, reason %q", r.Reason)
}

func succeeded(r reply, err error, what string) error {
	if err == nil && !r.OK {
		err = unmet{what + " to succeed", r.String()}
	}
	return err
}

func times(n int) string {
	return map[int]string{0: "none", 1: "one", 2: "two", 3: "three"}[min(n, 4)] + map[bool]string{true: fmt.Sprint(n)}[n > 3]
}

// sends expects exactly n requests of a route.
func sends(on route, n int) step { return sendsBetween(on, n, n) }

// sendsBetween expects at least and at most that number of requests of a route.
func sendsBetween(on route, least, most int) step {
	return func(_ context.Context, s *stage) error {
		got := len(s.gate.seen(on, s.mark))
		if got >= least && got <= most {
			return nil
		}
		want := fmt.Sprintf("%s of kind %q", times(least), on)
		if least != most {
			want = fmt.Sprintf("%s to %s of kind %q", times(least), times(most), on)
		}
		return unmet{want, times(got)}
	}
}

// staysLoggedIn expects a client to be logged in, and its session to be active.
func staysLoggedIn(client string) step {
	return func(ctx context.Context, s *stage) error {
		state, _, err := s.program.session(ctx, s.gate.current().sid)
		if err == nil && state != "active" {
			err = unmet{"the session to go on", "the service has ended it, reason " + state}
		}
		if err != nil {
			return err
		}
		r, err := s.tell(ctx, command{Do: "state", Client: client})
		if err == nil && !r.LoggedIn {
			err = unmet{client + " to stay logged in", fmt.Sprintf("logged out, reason %q", r.Reason)}
		}
		return err
	}
}

// isLoggedOut expects a client to be logged out for a reason, "" for any, and to send no
// token any more.
func isLoggedOut(client, reason string) step {
	return all(reportsLoggedOut(client, reason), fromHere, fails(client), sendsNoToken)
}

func reportsLoggedOut(client, reason string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.tell(ctx, command{Do: "state", Client: client})
		if err == nil && (r.LoggedIn || reason != "" && r.Reason != reason) {
			seen := fmt.Sprintf("logged out, reason %q", r.Reason)
			if r.LoggedIn {
				seen = "logged in"
			}
			want := fmt.Sprintf("%s to be logged out", client)
			if reason != "" {
				want += fmt.Sprintf(", reason %q", reason)
			}
			err = unmet{want, seen}
		}
		return err
	}
}

// sendsNoToken expects no request to bear a token.
func sendsNoToken(_ context.Context, s *stage) error {
	for _, on := range []route{onRefresh, onLogout, onPush, onCheck, onCall, onOther} {
		for _, r := range s.gate.seen(on, s.mark) {
			if r.bearer != "" || r.refresh != "" {
				return unmet{"no request with the tokens of an ended session", r.String()}
			}
		}
	}
	return nil
}

// reportsEnd expects a client that watches to report the end of its session, unasked.
func reportsEnd(client, reason string) step {
	return func(ctx context.Context, s *stage) error {
		r, err := s.driver.ended(ctx, client)
		if err == nil && reason != "" && r.Reason != reason {
			err = unmet{fmt.Sprintf("the event \"ended\" with reason %q", reason), fmt.Sprintf("reason %q", r.Reason)}
		}
		return err
	}
}

// sendsSamePair expects all refreshes to bear one pair.
func sendsSamePair(_ context.Context, s *stage) error {
	seen := s.gate.seen(onRefresh, s.mark)
	for _, r := range seen {
		if r.bearer != seen[0].bearer || r.refresh != seen[0].refresh {
			return unmet{"the same pair again", fmt.Sprintf("a refresh with token %d after one with token %d", claimsOf(r.bearer).Gen, claimsOf(seen[0].bearer).Gen)}
		}
	}
	return nil
}

// bearsNewest expects the last request of a route to bear the session's newest token.
func bearsNewest(on route) step {
	return func(ctx context.Context, s *stage) error {
		_, newest, err := s.program.session(ctx, s.gate.current().sid)
		if err != nil {
			return err
		}
		seen := s.gate.seen(on, s.mark)
		return s.wantToken(seen[max(0, len(seen)-1):], on, newest)
	}
}

// firstBearsNewest expects that of the first request.
func firstBearsNewest(on route) step {
	return func(ctx context.Context, s *stage) error {
		_, newest, err := s.program.session(ctx, s.gate.current().sid)
		if err != nil {
			return err
		}
		return s.wantToken(s.gate.seen(on, s.mark), on, newest)
	}
}

// firstSendsNewest has a client send a request, which must bear the token that is the newest
// now, and succeed.
func firstSendsNewest(client string) step {
	return func(ctx context.Context, s *stage) error {
		_, newest, err := s.program.session(ctx, s.gate.current().sid)
		if err == nil {
			err = all(fromHere, tries(client))(ctx, s)
		}
		if err == nil {
			err = s.wantToken(s.gate.seen(onCall, s.mark), onCall, newest)
		}
		if err == nil {
			err = calls(client)(ctx, s)
		}
		return err
	}
}

// wantToken expects the first of the requests to bear the token of a generation of the
// newest login.
func (s *stage) wantToken(seen []request, on route, generation int) error {
	failure := unmet{fmt.Sprintf("a request of kind %q with the newest token, %d", on, generation), "none"}
	if len(seen) == 0 {
		return failure
	}
	if got := claimsOf(seen[0].bearer); got.Gen != generation || got.SID != s.gate.current().sid {
		failure.seen = strings.TrimSpace(seen[0].String())
		return failure
	}
	return nil
}

// timerError is by how much a client's timer may be early.
const timerError = 20 * time.Millisecond

// pauses expects at least a time between an answer of a route and the next request of it.
func pauses(on route, least time.Duration) step {
	return func(_ context.Context, s *stage) error {
		seen := s.gate.seen(on, s.mark)
		for i := 1; i < len(seen); i++ {
			if gap := seen[i].arrived - seen[i-1].answered; gap < least-timerError {
				return unmet{fmt.Sprintf("a pause of %s before the next of kind %q", least, on), gap.Round(time.Millisecond).String()}
			}
		}
		return nil
	}
}

// pausesOnAverage expects that of the average.
func pausesOnAverage(on route, least time.Duration) step {
	return func(_ context.Context, s *stage) error {
		seen := s.gate.seen(on, s.mark)
		if len(seen) < 2 {
			return nil
		}
		mean := (seen[len(seen)-1].arrived - seen[0].arrived) / time.Duration(len(seen)-1)
		if mean < least {
			return unmet{fmt.Sprintf("%s between two of kind %q, on average", least, on), mean.Round(time.Millisecond).String()}
		}
		return nil
	}
}

// sendsTicket expects the last login to bear the ticket of the last code.
func sendsTicket(_ context.Context, s *stage) error {
	codes, logins := s.gate.seen(onCode, 0), s.gate.seen(onLogin, 0)
	want, got := codes[len(codes)-1].given.Get("X-Code-Ticket"), logins[len(logins)-1].header.Values("X-Code-Ticket")
	if len(got) != 1 || got[0] != want {
		return unmet{"the login to bear the ticket of its code, X-Code-Ticket", fmt.Sprintf("%q", got)}
	}
	return nil
}

// sendsCredential expects the last request for a code to bear the credential of the last
// login, or none.
func sendsCredential(ours bool) step {
	return func(_ context.Context, s *stage) error {
		codes, logins := s.gate.seen(onCode, 0), s.gate.seen(onLogin, 0)
		want, got := logins[len(logins)-1].given.Get("X-Device-Credential"), codes[len(codes)-1].header.Get("X-Device-Credential")
		switch {
		case ours && got != want:
			return unmet{"the request for a code to bear the credential of the number's login, X-Device-Credential", fmt.Sprintf("%q", got)}
		case !ours && got != "":
			return unmet{"no X-Device-Credential with another number", fmt.Sprintf("%q", got)}
		}
		return nil
	}
}

// sendsOneDeviceNumber expects all logins to bear one device number.
func sendsOneDeviceNumber(_ context.Context, s *stage) error {
	numbers := map[string]bool{}
	for _, r := range s.gate.seen(onLogin, 0) {
		var body struct{ DeviceNumber string }
		_ = json.Unmarshal(r.body, &body) // the service has judged it
		numbers[r.header.Get("X-Device-Number")+body.DeviceNumber] = true
	}
	if len(numbers) != 1 || numbers[""] {
		return unmet{"one device number in all logins of a device", fmt.Sprintf("%d of them, empty: %t", len(numbers), numbers[""])}
	}
	return nil
}

// sessionEnded expects the service to have ended the session of the newest login.
func sessionEnded(reason string) step {
	return func(ctx context.Context, s *stage) error {
		state, _, err := s.program.session(ctx, s.gate.current().sid)
		if err == nil && state != reason {
			err = unmet{"the service to have ended the session, reason " + reason, state}
		}
		return err
	}
}

// houseRules are expected in every trace: a client logs in and out only on a command, and
// shows its tokens to no other site.
func houseRules(_ context.Context, s *stage) error {
	for _, on := range []route{onCode, onLogin, onLogout} {
		for _, seen := range s.gate.seen(on, 0) {
			if seen.unasked {
				return unmet{fmt.Sprintf("no %s, for there was no such command", on), seen.String()}
			}
		}
	}
	if leaks := s.other.leaked(); len(leaks) > 0 {
		return unmet{"tokens to go to the service alone", "another site got them: " + strings.Join(leaks, ", ")}
	}
	return nil
}
