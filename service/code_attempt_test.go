package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"menshen/model"
	"menshen/service"
)

func TestCodeAttempts(t *testing.T) {
	play(t,
		scene{"one attempt is left", func(t *testing.T, w *world) {
			code := w.code(alice)
			w.fail(alice, 4)
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"none is left", func(t *testing.T, w *world) {
			code := w.code(alice)
			w.fail(alice, 5)
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
			if n := w.attempts(); n != 5 {
				t.Errorf("%d attempts are counted, want 5", n)
			}
			_, err = w.try(alice, w.code(alice)) // a new code has its own
			wantFailure(t, err, nil)
		}},
		scene{"a dead one does not revive its predecessor", func(t *testing.T, w *world) {
			first := w.code(alice)
			w.code(alice)
			w.fail(alice, 5)
			_, err := w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"whatever the wrong one is", func(t *testing.T, w *world) {
			w.codes.Rules.MaxAttempts = 100
			code := w.code(alice)
			for i, text := range []string{
				" " + string(code), string(code) + "\n", string(code) + " ", "0" + string(code), string(code)[1:], "", "０００００１", "1", "+00001", "1e0",
				strings.Repeat(string(code), 1000), string(code) + "\x00", "٠٠٠٠٠١", "null",
			} {
				_, err := w.try(alice, model.Secret(text))
				wantFailure(t, err, model.ErrCode)
				if n := w.attempts(); n != int64(i+1) {
					t.Errorf("after %q %d attempts are counted, want %d", text, n, i+1)
				}
			}
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"over several addresses", func(t *testing.T, w *world) {
			code := w.code(alice)
			for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1", ""} {
				_, err := w.try(alice, wrong, func(r *service.LoginRequest) { r.Caller.IP = ip })
				wantFailure(t, err, model.ErrCode)
			}
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"over several products", func(t *testing.T, w *world) {
			code := w.code(alice)
			for _, product := range []int32{app, pc, tv, box, pos} {
				_, err := w.try(alice, wrong, on(product))
				wantFailure(t, err, model.ErrCode)
			}
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"every spelling of the number is the number", func(t *testing.T, w *world) {
			code := w.code("+86 138-0013-8000")
			for _, spelling := range []string{"13800138000", "008613800138000", "(138) 0013 8000", "１３８００１３８０００", "+8613800138000"} {
				_, err := w.try(spelling, wrong)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a rolled back login does not take its attempt back", func(t *testing.T, w *world) {
			code := w.code(alice)
			restore := w.failEvents(model.EventLogin)
			for range 3 {
				_, err := w.try(alice, code)
				wantFailure(t, err, model.ErrUnavailable)
			}
			if n := w.attempts(); n != 3 {
				t.Errorf("%d attempts are counted, want 3", n)
			}
			restore()
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
		}},
	)
}

// fail tries a wrong code n times.
func (w *world) fail(mobile string, n int, change ...func(r *service.LoginRequest)) {
	w.t.Helper()
	for range n {
		_, err := w.try(mobile, wrong, change...)
		wantFailure(w.t, err, model.ErrCode)
	}
}

// attempts are all that were counted, on all codes.
func (w *world) attempts() int64 {
	w.t.Helper()
	return w.count("SELECT COALESCE(SUM(attempts), 0) FROM codes")
}

// TestCodeAttemptsCountBeforeTheyCompare: a try of the transaction that was
// lost leaves no code behind that the next try does not find alive.
func TestCodeAttemptsCountBeforeTheyCompare(t *testing.T) {
	play(t,
		scene{"dead by the second try", func(t *testing.T, w *world) {
			code := w.code(alice)
			w.codes.Tx = &lost{Tx: w.db, between: func() { w.sql("UPDATE codes SET attempts = 5") }}
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
			if n := w.attempts(); n != 5 {
				t.Errorf("%d attempts are counted, want 5: a dead code was compared", n)
			}
		}},
		scene{"replaced by the second try", func(t *testing.T, w *world) {
			first := w.code(alice)
			w.codes.Tx = &lost{Tx: w.db, between: func() {
				w.sql("UPDATE codes SET expires_at = expires_at - 300000")
			}}
			_, err := w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
	)
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
	play(t,
		scene{"64 requests, one message", func(t *testing.T, w *world) {
			w.defaults()
			errs := race(64, func(int) error {
				_, err := w.ask(alice)
				return err
			})
			wantWinners(t, errs, 1, model.ErrCooldown)
			if n := len(w.phone.messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
			w.wantEvents(model.EventCodeSent)
		}},
		scene{"64 requests over two instances, companies and purposes", func(t *testing.T, w *world) {
			w.defaults()
			other := w.another()
			other.defaults()
			errs := race(64, func(i int) error {
				_, err := []*world{w, other}[i%2].ask(alice, forCompany(int32(i/2%2)), forPurpose([]model.Purpose{model.PurposeLogin, model.PurposeDelete}[i/4%2]))
				return err
			})
			wantWinners(t, errs, 1, model.ErrCooldown)
		}},
		scene{"requests from one address near its limit", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 7
			errs := race(32, func(i int) error {
				_, err := w.ask(numbered(i))
				return err
			})
			wantWinners(t, errs, 7, model.ErrTooMany)
		}},
		scene{"requests near the budget", func(t *testing.T, w *world) {
			w.codes.Rules.DailyBudget = 7
			errs := race(32, func(i int) error {
				_, err := w.ask(numbered(i), fromIP(ipNumbered(i)))
				return err
			})
			wantWinners(t, errs, 7, model.ErrTooMany)
		}},
		scene{"64 logins with one right code", func(t *testing.T, w *world) {
			w.defaults()
			code := w.code(alice)
			errs := race(64, func(int) error {
				_, err := w.try(alice, code)
				return err
			})
			wantWinners(t, errs, 1, model.ErrCode)
			if n := w.count("SELECT COUNT(*) FROM sessions"); n != 1 {
				t.Errorf("%d sessions", n)
			}
			if n := w.attempts(); n > 5 {
				t.Errorf("%d attempts were compared", n)
			}
		}},
		scene{"64 logins over two instances and all products", func(t *testing.T, w *world) {
			w.defaults()
			other := w.another()
			other.defaults()
			code := w.code(alice)
			errs := race(64, func(i int) error {
				_, err := []*world{w, other}[i%2].try(alice, code, on(int32(i%5)))
				return err
			})
			wantWinners(t, errs, 1, model.ErrCode)
		}},
		scene{"50 guesses", func(t *testing.T, w *world) {
			w.defaults()
			code := w.code(alice)
			errs := race(50, func(int) error {
				_, err := w.try(alice, wrong)
				return err
			})
			wantWinners(t, errs, 0, model.ErrCode)
			if n := w.attempts(); n != 5 {
				t.Errorf("%d guesses were compared, want 5", n)
			}
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
	)
}

func numbered(i int) string { return "138000000" + twoDigits(i) }

func ipNumbered(i int) string { return "198.51.100." + twoDigits(i) }

func twoDigits(i int) string { return string([]byte{byte('1' + i/10%9), byte('0' + i%10)}) }
