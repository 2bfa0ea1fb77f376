package service_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

// asked is a provider that gives one answer and counts how often it was asked.
type asked struct {
	answer error
	times  int
}

func (a *asked) Send(context.Context, model.Message) (model.Sent, error) {
	a.times++
	return model.Sent{}, a.answer
}

var (
	errNo      = fmt.Errorf("bad signature: %w", model.ErrSendRefused)
	errMinute  = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrCooldown.After(time.Minute))
	errHour    = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrCooldown.After(time.Hour))
	errDay     = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrDailyLimit.After(24*time.Hour))
	errAccount = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrTooMany.After(24*time.Hour))
	errTimeOut = fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	errDoubt   = fmt.Errorf("%w in an answer that nobody understands", model.ErrDailyLimit) // a limit, but no definite no
)

// TestProviders: who is asked after whom, what is answered, what is noted.
func TestProviders(t *testing.T) {
	tests := []struct {
		name          string
		first, second error
		times         int // that the second was asked
		want          *model.Failure
		wait          int64
		delivery      model.Delivery
		provider      string
		counted       string
	}{
		// the code says so from the beginning
		{"the first takes it", nil, nil, 0, nil, 0, model.DeliveryPending, "first", "first:sent"},
		{"the first refuses", errNo, nil, 1, nil, 0, model.DeliveryAccepted, "second", "first:refused second:sent"},
		{"the first is throttled", errDay, nil, 1, nil, 0, model.DeliveryAccepted, "second", "first:throttled second:sent"},
		{"the first does not answer", errTimeOut, nil, 0, model.ErrProvider, 0, model.DeliveryUnknown, "first", "first:unknown"},
		{"the first breaks", errors.New("reset"), nil, 0, model.ErrProvider, 0, model.DeliveryUnknown, "first", "first:unknown"},
		{"the first's limit is in doubt", errDoubt, nil, 0, model.ErrProvider, 0, model.DeliveryUnknown, "first", "first:unknown"},
		{"both refuse", errNo, errNo, 1, model.ErrProvider, 0, model.DeliveryRefused, "second", "first:refused second:refused"},
		{"the second does not answer", errMinute, errTimeOut, 1, model.ErrProvider, 0, model.DeliveryUnknown, "second", "first:throttled second:unknown"},
		{"throttled, then refused", errHour, errNo, 1, model.ErrCooldown, 3600, model.DeliveryRefused, "second", "first:throttled second:refused"},
		{"refused, then throttled", errNo, errDay, 1, model.ErrDailyLimit, 86400, model.DeliveryRefused, "second", "first:refused second:throttled"},
		{"both are throttled", errDay, errMinute, 1, model.ErrCooldown, 60, model.DeliveryRefused, "second", "first:throttled second:throttled"},
		{"the account's day is over", errAccount, errNo, 1, model.ErrTooMany, 86400, model.DeliveryRefused, "second", "first:throttled second:refused"},
	}
	var scenes []scene
	for _, tt := range tests {
		scenes = append(scenes, scene{tt.name, func(t *testing.T, in *instance) {
			in.defaults()
			first, second := &asked{answer: tt.first}, &asked{answer: tt.second}
			var counted []string
			var reported error
			in.delivery.Routes = anyRegion(code.Provider{Name: "first", Gateway: first}, code.Provider{Name: "second", Gateway: second})
			in.delivery.OnOutcome = func(provider string, outcome code.Outcome) {
				counted = append(counted, provider+":"+string(outcome))
			}
			in.delivery.OnError = func(err error) { reported = err }
			_, err := in.sendCode(alice)
			wantFailure(t, err, tt.want)
			if tt.want != nil && model.AsFailure(err).RetryAfter() != tt.wait {
				t.Errorf("Retry-After is %d, want %d", model.AsFailure(err).RetryAfter(), tt.wait)
			}
			if first.times != 1 || second.times != tt.times {
				t.Errorf("they were asked %d and %d times", first.times, second.times)
			}
			if got := strings.Join(counted, " "); got != tt.counted {
				t.Errorf("counted were %s, want %s", got, tt.counted)
			}
			if told := tt.want == nil && tt.first != nil; (reported != nil) != told || told && !errors.Is(reported, tt.first) {
				t.Errorf("reported was %v", reported)
			}
			in.wantSettled(tt.delivery, tt.provider)
			_, err = in.sendCode(alice) // charged unless nothing was or will be sent
			if again := model.AsFailure(err); tt.delivery == model.DeliveryRefused {
				wantFailure(t, err, tt.want)
			} else if err == nil || again.Code != model.ErrCooldown.Code || again.RetryAfter() != 60 {
				t.Errorf("the next request is answered %v", err)
			}
		}})
	}
	runScenes(t, scenes...)
}

// wantSettled checks what is known of the only code.
func (in *instance) wantSettled(delivery model.Delivery, provider string) {
	in.t.Helper()
	if n := in.count("SELECT COUNT(*) FROM codes WHERE delivery = ? AND provider = ?", delivery, provider); n != 1 {
		in.t.Errorf("no code is noted as %d by %s", delivery, provider)
	}
}

func TestVendorsLimitsAreNotCharged(t *testing.T) {
	runScenes(t, scene{"beyond the limits of hour and day", func(t *testing.T, in *instance) {
		in.defaults()
		first := in.receiveCode(alice)
		in.clock.Advance(time.Minute)
		in.phone.fail = errDay
		for range 12 {
			_, err := in.sendCode(alice)
			wantWait(t, err, model.ErrDailyLimit, 86400)
		}
		_, err := in.tryLogIn(alice, in.phone.last())
		wantFailure(t, err, model.ErrCode)
		_, err = in.tryLogIn(alice, first) // the predecessor stays valid
		wantFailure(t, err, nil)
		in.phone.fail = nil
		in.receiveCode(alice)
	}})
}

func TestTestNumbersAreCountedApart(t *testing.T) {
	runScenes(t, scene{"until their end", func(t *testing.T, in *instance) {
		until := in.clock.Now().Add(time.Hour)
		in.codes.TestNumbers = []code.TestNumber{{Mobile: model.NewMobile("+8613800138000"), Code: "424242", Until: until}}
		counted := map[string]int{}
		in.delivery.OnOutcome = func(provider string, outcome code.Outcome) { counted[provider+":"+string(outcome)]++ }
		ask := func(mobile string) {
			t.Helper()
			_, err := in.sendCode(mobile)
			wantFailure(t, err, nil)
		}
		ask(alice)
		in.wantSettled(model.DeliveryAccepted, model.ProviderTest)
		ask(alice)
		ask(bob)
		if counted["test:sent"] != 2 || counted["phone:sent"] != 1 || len(in.phone.messages()) != 1 {
			t.Errorf("counted were %v for %d messages", counted, len(in.phone.messages()))
		}
		in.clock.Advance(time.Hour)
		ask(alice)
		if counted["test:sent"] != 2 || counted["phone:sent"] != 2 || len(in.phone.messages()) != 2 {
			t.Errorf("after the end counted were %v for %d messages", counted, len(in.phone.messages()))
		}
	}})
}
