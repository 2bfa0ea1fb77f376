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

func TestCodeDelivery(t *testing.T) {
	play(t,
		scene{"the message", func(t *testing.T, w *world) {
			sent, err := w.ask("+86 138 0013 8000", forCompany(1), forPurpose(model.PurposeChange), func(r *service.SendRequest) {
				r.ProductType, r.Language = pc, model.LanguageEn
			})
			wantFailure(t, err, nil)
			w.code(bob)
			got := w.phone.messages()
			if !strings.HasPrefix(got[0].ID, "msg_") || len(got[0].ID) < 20 || got[0].ID == got[1].ID {
				t.Errorf("ids %q and %q", got[0].ID, got[1].ID)
			}
			want := model.Message{
				ID: got[0].ID, Mobile: model.NewMobile("+8613800138000"), Code: "000001", CompanyType: 1, ProductType: pc,
				Purpose: model.PurposeChange, Language: model.LanguageEn, Expire: sent.Expire, Life: 5 * time.Minute,
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
		scene{"have no code beyond their end", func(t *testing.T, w *world) {
			reviewer(w)
			until := w.clock.time().Add(time.Hour)
			w.clock.advance(59 * time.Minute)
			sent, err := w.ask(alice)
			wantFailure(t, err, nil)
			if sent.Expire != until {
				t.Errorf("expire is %v, want %v", sent.Expire, until)
			}
			w.clock.advance(time.Minute)
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

// The compiler proves, where the tests are too, that the
// repository fits the ports.
var (
	_ service.Tx           = (*repository.DB)(nil)
	_ service.CodeStore    = repository.Codes{}
	_ service.UserStore    = repository.Users{}
	_ service.SessionStore = repository.Sessions{}
	_ service.EventLog     = repository.Events{}
	_ service.VaultStore   = repository.Vault{}
)

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
