package code

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
	"menshen/service/phone"
	"menshen/service/random"
	"menshen/service/vault"
)

// slow is all that a request for a code asks of others; each step takes its time,
// or until it must end.
type slow struct {
	Store
	takes   map[string]time.Duration
	ends    map[string]time.Duration // what each step that began was given
	settled model.Settlement
}

func (s *slow) step(ctx context.Context, name string) error {
	end, _ := ctx.Deadline()
	s.ends[name] = time.Until(end)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.takes[name]):
		return ctx.Err()
	}
}

func (s *slow) CountSince(ctx context.Context, _ model.SendScope, _ model.Time) (int, error) {
	return 1000, s.step(ctx, "guard")
}

// NthSent is near the limit of 1000, not at it.
func (s *slow) NthSent(_ context.Context, _ model.SendScope, since model.Time, n int) (model.Time, error) {
	if n < 1000 {
		return since, nil
	}
	return 0, nil
}

func (s *slow) ByNumber(context.Context, int32, []byte) (model.User, error) {
	return model.User{}, model.ErrNotFound
}

func (s *slow) Survey(context.Context, model.SendSurvey) (model.SendFindings, error) {
	return model.SendFindings{}, nil
}

func (s *slow) Gate(context.Context, []byte, model.Time) error { return nil }

func (s *slow) Recent(context.Context, []byte, model.Time, int) ([]model.Code, error) {
	return nil, nil
}

func (s *slow) Insert(ctx context.Context, _ model.Code) error { return s.step(ctx, "grant") }

func (s *slow) Settle(ctx context.Context, _ int64, settlement model.Settlement) error {
	s.settled = settlement
	return s.step(ctx, "settle")
}

func (s *slow) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

func (s *slow) Append(context.Context, ...model.Event) error { return nil }

func (s *slow) Params(context.Context, model.Asker) (any, error) { return nil, nil }

func (s *slow) Verify(ctx context.Context, _ model.Secret, _ model.Asker) error {
	return s.step(ctx, "challenge")
}

// traced records messages with the outcome, in no time of its own.
type traced struct{ MessageStore }

func (traced) Insert(context.Context, model.Time, ...model.TracedMessage) error { return nil }

// slowProvider takes the time of its name and refuses, unless it is given up.
type slowProvider struct {
	*slow
	name string
}

func (p slowProvider) Send(ctx context.Context, _ model.Message) (model.Sent, error) {
	err := p.step(ctx, p.name)
	time.Sleep(p.takes["deaf"]) // to the end of its time
	if err == nil {
		err = model.ErrSendRefused
	}
	return model.Sent{}, err
}

// unkept is a vault's storage that is empty at each start.
type unkept struct{ vault.Store }

func (unkept) Keep(_ context.Context, _ string, value []byte) ([]byte, error) { return value, nil }

// send asks for a code by the slow; it must be called in a bubble, whose time is exact.
func (s *slow) send(t *testing.T) error {
	keys, err := vault.Open(t.Context(), unkept{}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	quotas := &Quotas{Store: s, Limits: Limits{MaxAttempts: 5, PerIPHour: 1000}, Now: time.Now}
	sender := &Sender{
		Catalog: model.Catalog{Companies: []model.Company{{}}, Products: []model.Product{{}}},
		Numbers: phone.Numbers{DefaultRegion: "CN", Regions: []string{"CN"}},
		Vault:   keys, Length: 6, TTL: 5 * time.Minute, NewCode: random.Digits, Now: time.Now,
		Admission: &Admission{Tx: s, Events: s, Accounts: s, Vault: keys, Quotas: quotas, Challenge: &Challenge{Vendors: []ChallengeVendor{{Challenger: s}}, Timeout: 3 * time.Second}},
		Delivery: &Delivery{Tx: s, Store: s, Messages: traced{}, Quotas: quotas, Now: time.Now, Routes: []Route{{Regions: []string{AnyRegion}, Providers: []Provider{
			{Name: "first", Gateway: slowProvider{s, "first"}}, {Name: "second", Gateway: slowProvider{s, "second"}},
		}}}},
	}
	_, err = sender.Send(t.Context(), SendRequest{Mobile: "13800138000", Purpose: model.PurposeLogin, Challenge: "any", Caller: model.Caller{IP: "192.0.2.1"}})
	return err
}

// TestSendDeadline: however slow everything is that gives up at its end, an answer
// comes within the 8 s of a handler. A provider that is asked has a second at least,
// and the noting of the outcome the whole time of the storage, whatever was before.
func TestSendDeadline(t *testing.T) {
	const ever = time.Hour
	for _, tt := range []struct {
		name     string
		takes    map[string]time.Duration
		want     time.Duration
		delivery model.Delivery // 0: no provider was asked
	}{
		{"storage away", map[string]time.Duration{"guard": ever}, storageTime, 0},
		{"challenge away", map[string]time.Duration{"challenge": ever}, 3 * time.Second, 0},
		{"grant hangs", map[string]time.Duration{"grant": ever}, storageTime, 0},
		{"provider away", map[string]time.Duration{"first": ever}, sendTime, model.DeliveryUnknown},
		{"provider away, then the storage", map[string]time.Duration{"first": ever, "settle": ever}, sendTime + storageTime, model.DeliveryUnknown},
		{"provider that does not give up", map[string]time.Duration{"first": ever, "deaf": 6 * time.Second}, sendTime + 6*time.Second, model.DeliveryUnknown},
		{"all slow until the limits", map[string]time.Duration{"guard": 1700 * time.Millisecond, "challenge": 2900 * time.Millisecond, "grant": 601 * time.Millisecond},
			5200 * time.Millisecond, 0},
		{"all slow", map[string]time.Duration{
			"guard": 1700 * time.Millisecond, "challenge": 2900 * time.Millisecond, "grant": 599 * time.Millisecond, "first": ever, "settle": ever,
		}, 8 * time.Second, model.DeliveryUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, s := time.Now(), &slow{takes: tt.takes, ends: map[string]time.Duration{}}
				if err := s.send(t); err == nil {
					t.Error("a code was sent")
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("answered after %s, want %s", took, tt.want)
				}
				if s.settled.Delivery != tt.delivery {
					t.Errorf("delivery is %d, want %d", s.settled.Delivery, tt.delivery)
				}
				if tt.delivery != 0 && (s.ends["first"] < time.Second || s.ends["first"] > sendTime || s.ends["settle"] != storageTime) {
					t.Errorf("the provider had %s, the noting %s", s.ends["first"], s.ends["settle"])
				}
			})
		})
	}
}

// TestSlowRefusalAsksNobodyElse: with little time left a second provider would
// make an unknown outcome of a definite one.
func TestSlowRefusalAsksNobodyElse(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, first time.Duration
		asked         bool
	}{
		{"at once", 0, 0, true},
		{"in time", 0, 1999 * time.Millisecond, true},
		{"too late", 0, 2001 * time.Millisecond, false},
		{"in time after a slow challenge", 2900 * time.Millisecond, 1999 * time.Millisecond, true},
		{"in what a slow storage left", 4600 * time.Millisecond, 599 * time.Millisecond, true},
		{"too late for what it left", 4600 * time.Millisecond, 601 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				challenge := min(tt.before, 2900*time.Millisecond)
				s := &slow{ends: map[string]time.Duration{}, takes: map[string]time.Duration{
					"challenge": challenge, "guard": tt.before - challenge, "first": tt.first,
				}}
				err := s.send(t)
				if _, asked := s.ends["second"]; asked != tt.asked || s.settled.Delivery != model.DeliveryRefused {
					t.Errorf("the second was asked: %t, delivery %d, error %v", asked, s.settled.Delivery, err)
				}
			})
		})
	}
}
