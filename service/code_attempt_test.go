package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

func TestCodeAttempts(t *testing.T) {
	runScenes(t,
		scene{"one attempt is left", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			in.failLogins(alice, 4)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"none is left", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			in.failLogins(alice, 5)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
			if n := in.attempts(); n != 5 {
				t.Errorf("%d attempts are counted, want 5", n)
			}
			_, err = in.tryLogIn(alice, in.receiveCode(alice)) // a new code has its own
			wantFailure(t, err, nil)
		}},
		scene{"a dead one does not revive its predecessor", func(t *testing.T, in *instance) {
			first := in.receiveCode(alice)
			in.receiveCode(alice)
			in.failLogins(alice, 5)
			_, err := in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"whatever the wrong one is", func(t *testing.T, in *instance) {
			in.quotas.Limits.MaxAttempts = 100
			code := in.receiveCode(alice)
			for i, text := range []string{
				" " + string(code), string(code) + "\n", string(code) + " ", "0" + string(code), string(code)[1:], "", "０００００１", "1", "+00001", "1e0",
				strings.Repeat(string(code), 1000), string(code) + "\x00", "٠٠٠٠٠١", "null",
			} {
				_, err := in.tryLogIn(alice, model.Secret(text))
				wantFailure(t, err, model.ErrCode)
				if n := in.attempts(); n != int64(i+1) {
					t.Errorf("after %q %d attempts are counted, want %d", text, n, i+1)
				}
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"over several addresses", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1", ""} {
				_, err := in.tryLogIn(alice, wrong, func(r *service.LoginRequest) { r.Caller.IP = ip })
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"over several products", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			for _, product := range []int32{mobileApp, pc, tv, box, pos} {
				_, err := in.tryLogIn(alice, wrong, on(product))
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"every spelling of the number is the number", func(t *testing.T, in *instance) {
			code := in.receiveCode("+86 138-0013-8000")
			for _, spelling := range []string{"13800138000", "008613800138000", "(138) 0013 8000", "１３８００１３８０００", "+8613800138000"} {
				_, err := in.tryLogIn(spelling, wrong)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a login that is rolled back is not compared", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			restore := in.failEvents(model.EventLogin)
			compared := in.comparisons()
			for range 7 {
				_, err := in.tryLogIn(alice, code)
				wantFailure(t, err, model.ErrUnavailable)
			}
			if n := in.attempts(); n != 0 || len(*compared) > 0 {
				t.Errorf("%d attempts are counted, %v reported, want none", n, *compared)
			}
			restore()
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"the log has one line for a number, a block and a minute", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(time.Minute - time.Duration(in.clock.Time()%60_000)*ms)
			in.clearEvents()
			in.quotas.Limits.MaxAttempts = 100
			in.receiveCode(alice)
			in.receiveCode(bob)
			for range 3 {
				in.failLogins(alice, 1, byIP("192.0.2.1"))
				in.failLogins(alice, 1, byIP("192.0.2.200"))
				in.failLogins(alice, 1, byIP("198.51.100.1"))
				in.failLogins(bob, 1)
			}
			in.clock.Advance(time.Minute)
			in.failLogins(alice, 1)
			in.wantEvents(model.EventCodeSent, model.EventCodeSent, model.EventCodeFailed, model.EventCodeFailed, model.EventCodeFailed, model.EventCodeFailed)
			if got := in.texts("SELECT count FROM folds ORDER BY count"); !slices.Equal(got, []string{"1", "3", "3", "6"}) {
				t.Errorf("they count %v", got)
			}
			if got := in.lines(t, c.user, model.EventCodeFailed, model.EventCodeSent); len(got) != 4 {
				t.Errorf("the user's are %+v", got)
			}
		}},
		scene{"a client that hangs up takes no attempt back", func(t *testing.T, in *instance) {
			in.receiveCode(alice)
			for range 5 {
				ctx, hangUp := context.WithCancel(t.Context())
				in.sessions.Tx = &lost{Tx: in.sessions.Tx, between: hangUp}
				_, err := in.login.Do(ctx, loginRequest(alice, wrong))
				wantFailure(t, err, model.ErrCode)
			}
			if n := in.attempts(); n != 5 {
				t.Errorf("%d attempts are counted, want 5", n)
			}
		}},
	)
}

// comparisons collects whether each attempt that was reported was right.
func (in *instance) comparisons() *[]bool {
	var all []bool
	in.verifier.OnAttempt = func(_ string, right bool) { all = append(all, right) }
	return &all
}

// failLogins tries a wrong code n times.
func (in *instance) failLogins(mobile string, n int, change ...func(r *service.LoginRequest)) {
	in.t.Helper()
	for range n {
		_, err := in.tryLogIn(mobile, wrong, change...)
		wantFailure(in.t, err, model.ErrCode)
	}
}

// attempts are all that were counted, on all codes.
func (in *instance) attempts() int64 {
	in.t.Helper()
	return in.count("SELECT COALESCE(SUM(attempts), 0) FROM codes")
}

// TestCodeAttemptsCountBeforeTheyCompare: a try of the transaction that was lost gains no
// comparison, and the next try finds out what happened meanwhile.
func TestCodeAttemptsCountBeforeTheyCompare(t *testing.T) {
	for what, c := range map[string]struct {
		other    string // what another transaction does between the tries
		want     *model.Failure
		attempts int64
	}{
		"the code lives":           {"UPDATE codes SET attempts = attempts + 1", nil, 2},
		"the code was redeemed":    {"UPDATE codes SET used_at = 1", model.ErrCode, 0},
		"the code was refused":     {"UPDATE codes SET dead_at = 1", model.ErrCode, 0},
		"the attempts are used up": {"UPDATE codes SET attempts = 5", model.ErrCode, 5},
	} {
		runScenes(t, scene{what, func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			in.sessions.Tx = &lost{Tx: in.sessions.Tx, between: func() { in.sql(c.other) }}
			compared := in.comparisons()
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, c.want)
			if n := in.attempts(); n != c.attempts {
				t.Errorf("%d attempts are counted, want %d", n, c.attempts)
			}
			if want := []bool{c.want == nil}; !slices.Equal(*compared, want) {
				t.Errorf("the attempts were right: %v, want %v", *compared, want)
			}
		}})
	}
}

var errLost = errors.New("lost to another")

// lost is a Tx whose every act is run twice, as ports.go allows: the first time
// it is rolled back, as if a deadlock had chosen it.
type lost struct {
	service.Tx
	between func()
}

// Within runs act, undoes it, and runs it again.
func (l *lost) Within(ctx context.Context, act func(ctx context.Context) error) error {
	_ = l.Tx.Within(ctx, func(ctx context.Context) error { return errors.Join(errLost, act(ctx)) })
	if l.between != nil {
		l.between()
	}
	return l.Tx.Within(ctx, act)
}

func TestCodeRaces(t *testing.T) {
	runScenes(t,
		scene{"64 requests, one message", func(t *testing.T, in *instance) {
			in.defaults()
			errs := race(64, func(int) error {
				_, err := in.sendCode(alice)
				return err
			})
			wantWinners(t, errs, 1, model.ErrCooldown)
			if n := len(in.phone.messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
			in.wantEvents(model.EventCodeSent)
		}},
		scene{"64 requests over two instances, companies and purposes", func(t *testing.T, in *instance) {
			in.defaults()
			other := in.another()
			other.defaults()
			errs := race(64, func(i int) error {
				_, err := []*instance{in, other}[i%2].sendCode(alice, forCompany(int32(i/2%2)), forPurpose([]model.Purpose{model.PurposeLogin, model.PurposeDelete}[i/4%2]))
				return err
			})
			wantWinners(t, errs, 1, model.ErrCooldown)
		}},
		scene{"requests from one address near its limit", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 7
			errs := race(32, func(i int) error {
				_, err := in.sendCode(numbered(i))
				return err
			})
			wantWinners(t, errs, 7, model.ErrTooMany)
		}},
		scene{"requests near the budget", func(t *testing.T, in *instance) {
			in.quotas.Limits.DailyBudget = 7
			errs := race(32, func(i int) error {
				_, err := in.sendCode(numbered(i), fromIP(ipNumbered(i)))
				return err
			})
			wantWinners(t, errs, 7, model.ErrTooMany)
		}},
		scene{"64 logins with one right code", func(t *testing.T, in *instance) {
			in.defaults()
			code := in.receiveCode(alice)
			errs := race(64, func(int) error {
				_, err := in.tryLogIn(alice, code)
				return err
			})
			wantWinners(t, errs, 1, model.ErrCode)
			if n := in.count("SELECT COUNT(*) FROM sessions"); n != 1 {
				t.Errorf("%d sessions", n)
			}
			if n := in.attempts(); n > 5 {
				t.Errorf("%d attempts were compared", n)
			}
		}},
		scene{"64 logins over two instances and all products", func(t *testing.T, in *instance) {
			in.defaults()
			other := in.another()
			other.defaults()
			code := in.receiveCode(alice)
			errs := race(64, func(i int) error {
				_, err := []*instance{in, other}[i%2].tryLogIn(alice, code, on(int32(i%5)))
				return err
			})
			wantWinners(t, errs, 1, model.ErrCode)
		}},
		scene{"50 guesses", func(t *testing.T, in *instance) {
			in.defaults()
			code := in.receiveCode(alice)
			errs := race(50, func(int) error {
				_, err := in.tryLogIn(alice, wrong)
				return err
			})
			wantWinners(t, errs, 0, model.ErrCode)
			if n := in.attempts(); n != 5 {
				t.Errorf("%d guesses were compared, want 5", n)
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
	)
}

func numbered(i int) string { return "138000000" + twoDigits(i) }

func ipNumbered(i int) string { return "198.51.100." + twoDigits(i) }

func twoDigits(i int) string { return string([]byte{byte('1' + i/10%9), byte('0' + i%10)}) }
