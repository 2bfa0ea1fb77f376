package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

func TestCodeLife(t *testing.T) {
	play(t,
		scene{"the newest alone is valid", func(t *testing.T, w *world) {
			first := w.code(alice)
			second := w.code(alice)
			_, err := w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, second)
			wantFailure(t, err, nil)
			w.wantEvents(model.EventCodeSent, model.EventCodeSent, model.EventCodeFailed, model.EventRegister, model.EventLogin)
		}},
		scene{"it serves its purpose alone", func(t *testing.T, w *world) {
			login := w.code(alice)
			for _, purpose := range []model.Purpose{model.PurposeChange, model.PurposeDelete} {
				_, err := w.try(alice, w.code(alice, forPurpose(purpose)))
				wantFailure(t, err, model.ErrCode)
			}
			_, err := w.try(alice, login) // those of other purposes did not replace it
			wantFailure(t, err, nil)
		}},
		scene{"it serves its company alone", func(t *testing.T, w *world) {
			zero := w.code(alice)
			one := w.code(alice, forCompany(1))
			_, err := w.try(alice, zero, inCompany(1))
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, one)
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, zero)
			wantFailure(t, err, nil)
			_, err = w.try(alice, one, inCompany(1))
			wantFailure(t, err, nil)
		}},
		scene{"it serves its number alone", func(t *testing.T, w *world) {
			code := w.code(alice)
			w.code(bob)
			_, err := w.try(bob, code)
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"it serves every product of its company", func(t *testing.T, w *world) {
			code := w.code(alice, func(r *service.SendRequest) { r.ProductType = tv })
			_, err := w.try(alice, code, on(pc))
			wantFailure(t, err, nil)
		}},
		scene{"it works once", func(t *testing.T, w *world) {
			code := w.code(alice)
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
			_, err = w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"none was ever sent", func(t *testing.T, w *world) {
			for _, code := range []model.Secret{"000000", "123456", "666666", "888888", "", wrong} {
				_, err := w.try(alice, code)
				wantFailure(t, err, model.ErrCode)
			}
			if n := w.count("SELECT COUNT(*) FROM users"); n != 0 {
				t.Errorf("%d users", n)
			}
		}},
		scene{"leading zeros count", func(t *testing.T, w *world) {
			code := w.code(alice)
			if code != "000001" {
				t.Fatalf("the code is %s", string(code))
			}
			_, err := w.try(alice, "1")
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, code)
			wantFailure(t, err, nil)
		}},
	)
}

func TestCodeEnd(t *testing.T) {
	play(t,
		scene{"a millisecond before its end", func(t *testing.T, w *world) {
			sent, err := w.ask(alice)
			wantFailure(t, err, nil)
			if want := w.clock.time().Add(5 * time.Minute); sent.Expire != want {
				t.Errorf("expire is %v, want %v", sent.Expire, want)
			}
			w.clock.advance(5*time.Minute - time.Millisecond)
			_, err = w.try(alice, w.phone.last())
			wantFailure(t, err, nil)
		}},
		scene{"at its end", func(t *testing.T, w *world) {
			code := w.code(alice)
			w.clock.advance(5 * time.Minute)
			_, err := w.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"an end does not revive its predecessor", func(t *testing.T, w *world) {
			first := w.code(alice)
			w.codes.Rules.TTL = time.Minute
			w.code(alice)
			w.clock.advance(time.Minute)
			_, err := w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a use does not revive its predecessor", func(t *testing.T, w *world) {
			first := w.code(alice)
			_, err := w.try(alice, w.code(alice))
			wantFailure(t, err, nil)
			_, err = w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
	)
}

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

func TestCodeDelivery(t *testing.T) {
	play(t,
		scene{"the message", func(t *testing.T, w *world) {
			sent, err := w.ask("+86 138 0013 8000", forCompany(1), forPurpose(model.PurposeChange), func(r *service.SendRequest) { r.ProductType = pc })
			wantFailure(t, err, nil)
			w.code(bob)
			got := w.phone.messages()
			if !strings.HasPrefix(got[0].ID, "msg_") || len(got[0].ID) < 20 || got[0].ID == got[1].ID {
				t.Errorf("ids %q and %q", got[0].ID, got[1].ID)
			}
			want := model.Message{
				ID: got[0].ID, Mobile: model.NewMobile("+8613800138000"), Code: "000001", CompanyType: 1, ProductType: pc,
				Purpose: model.PurposeChange, Expire: sent.Expire,
			}
			if got[0] != want {
				t.Errorf("the message is %+v", got[0])
			}
		}},
		scene{"no transaction is open meanwhile, and the code counts already", func(t *testing.T, w *world) {
			w.phone.during = func(ctx context.Context) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("the provider has all the time in the world")
				}
				err := w.db.Within(ctx, func(context.Context) error { return nil })
				wantFailure(t, err, nil)
				_, err = w.try(alice, "000001")
				wantFailure(t, err, nil)
			}
			w.code(alice)
		}},
		scene{"a definite refusal", func(t *testing.T, w *world) {
			w.defaults()
			first := w.code(alice)
			w.clock.advance(time.Minute)
			w.phone.fail = errors.Join(errors.New("number is on a black list"), model.ErrSendRefused)
			_, err := w.ask(alice)
			wantFailure(t, err, model.ErrProvider)
			_, err = w.try(alice, w.phone.last()) // it may have come all the same
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, first)
			wantFailure(t, err, nil)
		}},
		scene{"a refusal is not charged to the number", func(t *testing.T, w *world) {
			w.defaults()
			w.phone.fail = model.ErrSendRefused
			for range 12 { // beyond the limits of the hour and the day
				_, err := w.ask(alice)
				wantFailure(t, err, model.ErrProvider)
			}
			w.phone.fail = nil
			sent, err := w.ask(alice)
			wantFailure(t, err, nil)
			if sent.ResendAfter != 60 {
				t.Errorf("resendAfter is %d, want 60", sent.ResendAfter)
			}
		}},
		scene{"a time-out", func(t *testing.T, w *world) {
			w.defaults()
			first := w.code(alice)
			w.clock.advance(time.Minute)
			w.phone.fail = context.DeadlineExceeded
			_, err := w.ask(alice)
			wantFailure(t, err, model.ErrProvider)
			second := w.phone.last()
			_, err = w.ask(alice)
			wantWait(t, err, model.ErrCooldown, 60)
			_, err = w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, second)
			wantFailure(t, err, nil)
		}},
		scene{"time-outs are charged to the hour", func(t *testing.T, w *world) {
			w.defaults()
			w.phone.fail = errors.New("connection reset")
			for range 5 {
				_, err := w.ask(alice)
				wantFailure(t, err, model.ErrProvider)
				w.clock.advance(time.Minute)
			}
			_, err := w.ask(alice)
			wantWait(t, err, model.ErrCooldown, 3600-300)
		}},
		scene{"the client hangs up", func(t *testing.T, w *world) {
			ctx, hangUp := context.WithCancel(t.Context())
			w.phone.during = func(sending context.Context) {
				hangUp()
				if sending.Err() != nil {
					t.Error("the provider's call is given up")
				}
			}
			r := service.SendRequest{Mobile: alice, Purpose: model.PurposeLogin}
			_, err := w.codes.Send(ctx, r)
			wantFailure(t, err, nil)
			if n := w.count("SELECT delivery FROM codes"); n != int64(model.DeliveryAccepted) {
				t.Errorf("delivery is %d: the answer of the provider was lost", n)
			}
		}},
		scene{"what cannot be logged is not sent", func(t *testing.T, w *world) {
			w.failEvents(model.EventCodeSent)
			_, err := w.ask(alice)
			wantFailure(t, err, model.ErrUnavailable)
			if w.phone.last() != "" || w.count("SELECT COUNT(*) FROM codes") != 0 {
				t.Error("a code was stored or sent")
			}
		}},
	)
}

func TestCodeRequestIsJudged(t *testing.T) {
	play(t, scene{"unknown and unfit", func(t *testing.T, w *world) {
		for _, tt := range []struct {
			company, product int32
			mobile           string
			want             *model.Failure
			data             string
		}{
			{9, app, alice, model.ErrMalformed, `[{companyType unknown}]`},
			{0, 9, alice, model.ErrMalformed, `[{productType unknown}]`},
			{-1, -1, "x", model.ErrMalformed, `[{companyType unknown} {productType unknown}]`},
			{0, app, "12345", model.ErrMobile, ""},
			{0, app, "+14155550123", model.ErrMobile, ""},
			{0, app, "", model.ErrMobile, ""},
		} {
			_, err := w.ask(tt.mobile, forCompany(tt.company), func(r *service.SendRequest) { r.ProductType = tt.product })
			wantFailure(t, err, tt.want)
			wantFields(t, err, tt.data)
			_, err = w.try(tt.mobile, wrong, inCompany(tt.company), on(tt.product))
			wantFailure(t, err, tt.want)
			wantFields(t, err, tt.data)
		}
		w.wantEvents()
	}})
}

// wantFields compares the fields that a malformed request is told.
func wantFields(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" || err == nil {
		return
	}
	if got := fields(model.AsFailure(err)); got != want {
		t.Errorf("fields are %s, want %s", got, want)
	}
}

// TestCodesInTheDatabase: no row shows a code or a number.
func TestCodesInTheDatabase(t *testing.T) {
	play(t, scene{"dump", func(t *testing.T, w *world) {
		w.phone.made = 483926
		code := w.code(alice)
		w.fail(alice, 1)
		c := w.logIn(alice, on(tv), withDevice("device-1", "Phone"))
		_, err := w.try(alice, code)
		wantFailure(t, err, model.ErrCode)
		dump := w.dump()
		secret := strings.Split(string(c.Refresh.Value), "_")[2]
		for what, canary := range map[string]string{
			"code": string(code), "second code": "483928", "wrong code": string(wrong), "number": alice, "middle of the number": "0013",
			"refresh token": secret, "access token": string(c.access), "signature": strings.Split(string(c.access), ".")[2],
		} {
			if strings.Contains(dump, canary) {
				t.Errorf("the database shows the %s", what)
			}
		}
		if !strings.Contains(dump, "138****8000") {
			t.Error("the dump is not what it should be: the log has the masked number")
		}
	}})
}

// dump is everything in the database as text.
func (w *world) dump() string {
	w.t.Helper()
	var b strings.Builder
	for _, table := range append(tables, "vault") {
		rows, err := w.db.Pools()["write"].QueryContext(w.t.Context(), "SELECT * FROM "+table)
		if err != nil {
			w.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			w.t.Fatal(err)
		}
		for rows.Next() {
			values, places := make([][]byte, len(columns)), make([]any, len(columns))
			for i := range values {
				places[i] = &values[i]
			}
			if err := rows.Scan(places...); err != nil {
				w.t.Fatal(err)
			}
			for i, value := range values {
				if !numeric(columns[i]) {
					b.Write(value)
					b.WriteByte('\n')
				}
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			w.t.Fatal(err)
		}
	}
	return b.String()
}

// numeric are columns of random or running numbers, in which any digits occur.
func numeric(column string) bool {
	return column == "id" || strings.HasSuffix(column, "_id") || strings.HasSuffix(column, "_at") || strings.HasSuffix(column, "_until") ||
		column == "at" || column == "seq" || strings.HasPrefix(column, "cur_") || column == "max_exp"
}

func TestTestNumbers(t *testing.T) {
	reviewer := func(w *world) {
		w.codes.TestNumbers = []service.TestNumber{{
			Mobile: model.NewMobile("+8613800138000"), Code: "424242", Until: w.clock.Now().Add(time.Hour),
		}}
	}
	play(t,
		scene{"never reach the sender", func(t *testing.T, w *world) {
			reviewer(w)
			for range 3 {
				sent, err := w.ask(alice)
				wantFailure(t, err, nil)
				if sent.Expire != w.clock.time().Add(5*time.Minute) {
					t.Errorf("expire is %v", sent.Expire)
				}
				w.fail(alice, 1)
				_, err = w.try(alice, "424242")
				wantFailure(t, err, nil)
				_, err = w.try(alice, "424242") // a code works once, this one too
				wantFailure(t, err, model.ErrCode)
			}
			if got := w.phone.messages(); len(got) != 0 {
				t.Errorf("%d messages were sent", len(got))
			}
		}},
		scene{"need a code that was asked for", func(t *testing.T, w *world) {
			reviewer(w)
			_, err := w.try(alice, "424242")
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"are guessed at like others", func(t *testing.T, w *world) {
			reviewer(w)
			_, err := w.ask(alice)
			wantFailure(t, err, nil)
			w.fail(alice, 5)
			_, err = w.try(alice, "424242")
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"end", func(t *testing.T, w *world) {
			reviewer(w)
			w.clock.advance(time.Hour)
			code := w.code(alice)
			_, err := w.try(alice, "424242")
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"are not others", func(t *testing.T, w *world) {
			reviewer(w)
			code := w.code(bob)
			_, err := w.try(bob, "424242")
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(bob, code)
			wantFailure(t, err, nil)
		}},
	)
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

func numbered(i int) string   { return "138000000" + twoDigits(i) }
func ipNumbered(i int) string { return "198.51.100." + twoDigits(i) }
func twoDigits(i int) string  { return string([]byte{byte('1' + i/10%9), byte('0' + i%10)}) }

// TestCodeStore is the compiler's proof, where the tests are, that the
// repository fits the ports.
var (
	_ service.Tx           = (*repository.DB)(nil)
	_ service.CodeStore    = repository.Codes{}
	_ service.UserStore    = repository.Users{}
	_ service.SessionStore = repository.Sessions{}
	_ service.EventLog     = repository.Events{}
	_ service.VaultStore   = repository.Vault{}
)

// TestRandomCode: codes are uniform over the whole space, leading zeros included
// (ASVS 6.5.3). The bound is that of a fair source at a chance of 10⁻⁹.
func TestRandomCode(t *testing.T) {
	const length, codes = 6, 170_000 // above 10⁶ digits
	var byPlace [length][10]int
	zeros := 0
	for range codes {
		code := service.RandomCode(length)
		if len(code) != length {
			t.Fatalf("code %q", code)
		}
		if code[0] == '0' {
			zeros++
		}
		for place, digit := range []byte(code) {
			if digit < '0' || digit > '9' {
				t.Fatalf("code %q", code)
			}
			byPlace[place][digit-'0']++
		}
	}
	for place, counts := range byPlace {
		expected, chi := float64(codes)/10, 0.0
		for _, n := range counts {
			chi += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		if chi > 62 { // 9 degrees of freedom: 58 is exceeded once in 10⁹
			t.Errorf("digits at place %d are not uniform: chi-square %.1f, %v", place, chi, counts)
		}
	}
	if zeros == 0 {
		t.Error("no code begins with 0")
	}
}

func TestRandomCodeLengths(t *testing.T) {
	for length := 6; length <= 10; length++ {
		seen := map[string]bool{}
		for range 1000 {
			code := service.RandomCode(length)
			if len(code) != length || strings.Trim(code, "0123456789") != "" {
				t.Fatalf("a code of %d digits is %q", length, code)
			}
			seen[code] = true
		}
		if len(seen) < 990 {
			t.Errorf("%d digits: %d different codes of 1000", length, len(seen))
		}
	}
}

// fields are the problems of a malformed request as text.
func fields(f *model.Failure) string {
	data, ok := f.Data().(struct {
		Fields []model.FieldProblem `json:"fields"`
	})
	if !ok {
		return cmp.Diff(nil, f.Data())
	}
	texts := make([]string, 0, len(data.Fields))
	for _, problem := range data.Fields {
		texts = append(texts, "{"+problem.Field+" "+problem.Reason+"}")
	}
	return "[" + strings.Join(texts, " ") + "]"
}
