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
	"menshen/service/code"
	"menshen/service/vault"
)

func TestCodeLife(t *testing.T) {
	runScenes(t,
		scene{"the newest alone is valid", func(t *testing.T, in *instance) {
			first := in.receiveCode(alice)
			second := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, second)
			wantFailure(t, err, nil)
			in.wantEvents(model.EventCodeSent, model.EventCodeSent, model.EventCodeFailed, model.EventRegister, model.EventLogin)
		}},
		scene{"it serves its purpose alone", func(t *testing.T, in *instance) {
			login := in.receiveCode(alice)
			for _, purpose := range []model.Purpose{model.PurposeChange, model.PurposeDelete} {
				_, err := in.tryLogIn(alice, in.receiveCode(alice, forPurpose(purpose)))
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.tryLogIn(alice, login) // those of other purposes did not replace it
			wantFailure(t, err, nil)
		}},
		scene{"it serves its company alone", func(t *testing.T, in *instance) {
			zero := in.receiveCode(alice)
			one := in.receiveCode(alice, forCompany(1))
			_, err := in.tryLogIn(alice, zero, inCompany(1))
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, one)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, zero)
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, one, inCompany(1))
			wantFailure(t, err, nil)
		}},
		scene{"it serves its number alone", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			in.receiveCode(bob)
			_, err := in.tryLogIn(bob, code)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"it serves every product of its company", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice, func(r *code.SendRequest) { r.ProductType = tv })
			_, err := in.tryLogIn(alice, code, on(pc))
			wantFailure(t, err, nil)
		}},
		scene{"it works once", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"none was ever sent", func(t *testing.T, in *instance) {
			for _, code := range []model.Secret{"000000", "123456", "666666", "888888", "", wrong} {
				_, err := in.tryLogIn(alice, code)
				wantFailure(t, err, model.ErrCode)
			}
			if n := in.count("SELECT COUNT(*) FROM users"); n != 0 {
				t.Errorf("%d users", n)
			}
		}},
		scene{"leading zeros count", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			if code != "000001" {
				t.Fatalf("the code is %s", string(code))
			}
			_, err := in.tryLogIn(alice, "1")
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
	)
}

func TestCodeEnd(t *testing.T) {
	runScenes(t,
		scene{"a millisecond before its end", func(t *testing.T, in *instance) {
			sent, err := in.sendCode(alice)
			wantFailure(t, err, nil)
			if want := in.clock.Time().Add(5 * time.Minute); sent.Expire != want {
				t.Errorf("expire is %v, want %v", sent.Expire, want)
			}
			in.clock.Advance(5*time.Minute - time.Millisecond)
			_, err = in.tryLogIn(alice, in.phone.last())
			wantFailure(t, err, nil)
		}},
		scene{"at its end", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice)
			in.clock.Advance(5 * time.Minute)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"an end does not revive its predecessor", func(t *testing.T, in *instance) {
			first := in.receiveCode(alice)
			in.codes.TTL = time.Minute
			in.receiveCode(alice)
			in.clock.Advance(time.Minute)
			_, err := in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a use does not revive its predecessor", func(t *testing.T, in *instance) {
			first := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, in.receiveCode(alice))
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
		}},
	)
}

func TestCodeDelivery(t *testing.T) {
	runScenes(t,
		scene{"the message", func(t *testing.T, in *instance) {
			sent, err := in.sendCode("+86 138 0013 8000", forCompany(1), forPurpose(model.PurposeChange), func(r *code.SendRequest) {
				r.ProductType, r.Language = pc, model.LanguageEn
			})
			wantFailure(t, err, nil)
			in.receiveCode(bob)
			got := in.phone.messages()
			if !strings.HasPrefix(got[0].ID, "msg_") || len(got[0].ID) < 20 || got[0].ID == got[1].ID {
				t.Errorf("ids %q and %q", got[0].ID, got[1].ID)
			}
			want := model.Message{
				ID: got[0].ID, Mobile: model.NewMobile("+8613800138000"), Code: "000001", CompanyType: 1, ProductType: pc, Region: "CN",
				Purpose: model.PurposeChange, Language: model.LanguageEn, Expire: sent.Expire, Life: 5 * time.Minute,
			}
			if got[0] != want {
				t.Errorf("the message is %+v", got[0])
			}
		}},
		scene{"no transaction is open meanwhile, and the code counts already", func(t *testing.T, in *instance) {
			in.phone.during = func(ctx context.Context) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("the provider has all the time in the world")
				}
				err := in.db.Within(ctx, func(context.Context) error { return nil })
				wantFailure(t, err, nil)
				_, err = in.tryLogIn(alice, "000001")
				wantFailure(t, err, nil)
			}
			in.receiveCode(alice)
		}},
		scene{"a definite refusal", func(t *testing.T, in *instance) {
			in.defaults()
			first := in.receiveCode(alice)
			in.clock.Advance(time.Minute)
			in.phone.fail = errors.Join(errors.New("number is on a black list"), model.ErrSendRefused)
			_, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
			_, err = in.tryLogIn(alice, in.phone.last()) // it may have come all the same
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, first)
			wantFailure(t, err, nil)
		}},
		scene{"a refusal is not charged to the number", func(t *testing.T, in *instance) {
			in.defaults()
			in.phone.fail = model.ErrSendRefused
			for range 12 { // beyond the limits of the hour and the day
				_, err := in.sendCode(alice)
				wantFailure(t, err, model.ErrProvider)
			}
			in.phone.fail = nil
			sent, err := in.sendCode(alice)
			wantFailure(t, err, nil)
			if sent.ResendAfter != 60 {
				t.Errorf("resendAfter is %d, want 60", sent.ResendAfter)
			}
		}},
		scene{"a time-out", func(t *testing.T, in *instance) {
			in.defaults()
			first := in.receiveCode(alice)
			in.clock.Advance(time.Minute)
			in.phone.fail = context.DeadlineExceeded
			_, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
			second := in.phone.last()
			_, err = in.sendCode(alice)
			wantWait(t, err, model.ErrCooldown, 60)
			_, err = in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, second)
			wantFailure(t, err, nil)
		}},
		scene{"time-outs are charged to the hour", func(t *testing.T, in *instance) {
			in.defaults()
			in.phone.fail = errors.New("connection reset")
			for range 5 {
				_, err := in.sendCode(alice)
				wantFailure(t, err, model.ErrProvider)
				in.clock.Advance(time.Minute)
			}
			_, err := in.sendCode(alice)
			wantWait(t, err, model.ErrCooldown, 3600-300)
		}},
		scene{"the client hangs up", func(t *testing.T, in *instance) {
			ctx, hangUp := context.WithCancel(t.Context())
			in.phone.during = func(sending context.Context) {
				hangUp()
				if sending.Err() != nil {
					t.Error("the provider's call is given up")
				}
			}
			r := code.SendRequest{Mobile: alice, Purpose: model.PurposeLogin}
			_, err := in.codes.Send(ctx, r)
			wantFailure(t, err, nil)
			if n := in.count("SELECT COUNT(*) FROM messages WHERE state = 'accepted'"); n != 1 {
				t.Errorf("%d messages: the answer of the provider was lost", n)
			}
		}},
		scene{"what cannot be logged is not sent", func(t *testing.T, in *instance) {
			in.failEvents(model.EventCodeSent)
			_, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrUnavailable)
			if in.phone.last() != "" || in.count("SELECT COUNT(*) FROM codes") != 0 {
				t.Error("a code was stored or sent")
			}
		}},
	)
}

func TestCodeRequestIsJudged(t *testing.T) {
	runScenes(t, scene{"unknown and unfit", func(t *testing.T, in *instance) {
		for _, tt := range []struct {
			company, product int32
			mobile           string
			want             *model.Failure
			data             string
		}{
			{9, mobileApp, alice, model.ErrMalformed, `[{companyType unknown}]`},
			{0, 9, alice, model.ErrMalformed, `[{productType unknown}]`},
			{-1, -1, "x", model.ErrMalformed, `[{companyType unknown} {productType unknown}]`},
			{0, mobileApp, "12345", model.ErrMobile, ""},
			{0, mobileApp, "+14155550123", model.ErrMobile, ""},
			{0, mobileApp, "", model.ErrMobile, ""},
		} {
			_, err := in.sendCode(tt.mobile, forCompany(tt.company), func(r *code.SendRequest) { r.ProductType = tt.product })
			wantFailure(t, err, tt.want)
			wantFields(t, err, tt.data)
			_, err = in.tryLogIn(tt.mobile, wrong, inCompany(tt.company), on(tt.product))
			wantFailure(t, err, tt.want)
			wantFields(t, err, tt.data)
		}
		in.wantEvents()
	}})
}

// wantFields compares the fields that the answer to a malformed request lists.
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
	reviewer := func(in *instance) {
		in.codes.TestNumbers = []code.TestNumber{{
			Mobile: model.NewMobile("+8613800138000"), Code: "424242", Until: in.clock.Now().Add(time.Hour),
		}}
	}
	runScenes(t,
		scene{"never reach the sender", func(t *testing.T, in *instance) {
			reviewer(in)
			for range 3 {
				sent, err := in.sendCode(alice)
				wantFailure(t, err, nil)
				if sent.Expire != in.clock.Time().Add(5*time.Minute) {
					t.Errorf("expire is %v", sent.Expire)
				}
				in.failLogins(alice, 1)
				_, err = in.tryLogIn(alice, "424242")
				wantFailure(t, err, nil)
				_, err = in.tryLogIn(alice, "424242") // a code works once, this one too
				wantFailure(t, err, model.ErrCode)
			}
			if got := in.phone.messages(); len(got) != 0 {
				t.Errorf("%d messages were sent", len(got))
			}
		}},
		scene{"need a code that was asked for", func(t *testing.T, in *instance) {
			reviewer(in)
			_, err := in.tryLogIn(alice, "424242")
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"are guessed at like others", func(t *testing.T, in *instance) {
			reviewer(in)
			_, err := in.sendCode(alice)
			wantFailure(t, err, nil)
			in.failLogins(alice, 5)
			_, err = in.tryLogIn(alice, "424242")
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"have no code beyond their end", func(t *testing.T, in *instance) {
			reviewer(in)
			until := in.clock.Time().Add(time.Hour)
			in.clock.Advance(59 * time.Minute)
			sent, err := in.sendCode(alice)
			wantFailure(t, err, nil)
			if sent.Expire != until {
				t.Errorf("expire is %v, want %v", sent.Expire, until)
			}
			in.clock.Advance(time.Minute)
			_, err = in.tryLogIn(alice, "424242")
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"end", func(t *testing.T, in *instance) {
			reviewer(in)
			in.clock.Advance(time.Hour)
			code := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, "424242")
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"are not others", func(t *testing.T, in *instance) {
			reviewer(in)
			code := in.receiveCode(bob)
			_, err := in.tryLogIn(bob, "424242")
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(bob, code)
			wantFailure(t, err, nil)
		}},
	)
}

// The compiler proves, where the tests are too, that the
// repository fits the ports.
var (
	_ service.Tx           = (*repository.DB)(nil)
	_ code.Store           = repository.Codes{}
	_ service.UserStore    = repository.Users{}
	_ service.SessionStore = repository.Sessions{}
	_ service.EventLog     = repository.Events{}
	_ vault.Store          = repository.Vault{}
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
