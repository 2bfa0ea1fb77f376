package service_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

// answeringTo is answering to the challenge of a vendor.
func answeringTo(vendor string, answer model.Secret) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Challenge, r.Challenger = answer, vendor }
}

// offered is the data of a refusal as a client reads it.
type offered struct {
	Challenge struct {
		Provider     string
		SiteKey      string
		Params       json.RawMessage
		Alternatives []struct{ Provider, SiteKey string }
	}
}

// wantOffered requests a code, which must be refused with the offer of the vendors in this
// order.
func (in *instance) wantOffered(want *model.Failure, vendors []string, change ...func(r *code.SendRequest)) {
	in.t.Helper()
	before := len(in.phone.messages())
	_, err := in.sendCode(alice, change...)
	wantFailure(in.t, err, want)
	var data offered
	text, _ := json.Marshal(model.AsFailure(err).Data())
	if err := json.Unmarshal(text, &data); err != nil {
		in.t.Fatalf("the data is %s", text)
	}
	got := []string{data.Challenge.Provider + data.Challenge.SiteKey}
	for _, other := range data.Challenge.Alternatives {
		got = append(got, other.Provider+other.SiteKey)
	}
	for i, vendor := range vendors {
		vendors[i] = vendor + "-key"
	}
	if text, _ := json.Marshal(got); string(text) != string(must(json.Marshal(vendors))) {
		in.t.Errorf("offered are %s, want %v", text, vendors)
	}
	if len(in.phone.messages()) != before {
		in.t.Error("a message was sent")
	}
}

func must(text []byte, _ error) []byte { return text }

// TestChallengeVendors: which vendor is asked, and which are named after its answer.
func TestChallengeVendors(t *testing.T) {
	// three makes a challenge of three vendors that each request has to pass.
	three := func(in *instance) (a, b, c *captcha) {
		a, b, c = &captcha{}, &captcha{}, &captcha{}
		in.requireChallenge()
		var vendors []code.ChallengeVendor
		for i, asker := range []*captcha{a, b, c} {
			name := string(rune('a' + i))
			asker.good = map[model.Secret]bool{model.Secret("of " + name): true}
			vendors = append(vendors, code.ChallengeVendor{Name: name, SiteKey: "-key", Challenger: asker})
		}
		in.admission.Challenge.Vendors = vendors
		in.quotas.Limits.PerIPHour = 5
		for i := range 4 {
			in.wantSent(numbered(i))
		}
		return a, b, c
	}
	broken := errors.New("out of order")
	runScenes(t,
		scene{"in order of preference", func(_ *testing.T, in *instance) {
			three(in)
			in.wantOffered(model.ErrTooMany, []string{"a", "b", "c"})
			in.wantSent(alice, answering("of a"))
		}},
		scene{"each takes its own answers", func(t *testing.T, in *instance) {
			a, b, _ := three(in)
			in.wantOffered(model.ErrTooMany, []string{"b", "a", "c"}, answeringTo("b", "of a"))
			in.wantOffered(model.ErrTooMany, []string{"c", "a", "b"}, answeringTo("c", "of b"))
			in.wantOffered(model.ErrTooMany, []string{"a", "b", "c"}, answeringTo("a", "wrong"))
			in.wantSent(alice, answeringTo("b", "of b"))
			if a.asked != 1 || b.asked != 2 {
				t.Errorf("a was asked %d times, b %d times", a.asked, b.asked)
			}
		}},
		scene{"one that cannot tell leads to the next", func(_ *testing.T, in *instance) {
			a, b, c := three(in)
			a.fail, b.fail, c.fail = broken, broken, broken
			in.wantOffered(model.ErrTooMany, []string{"b", "c"}, answering("of a"))
			in.wantOffered(model.ErrTooMany, []string{"c"}, answeringTo("b", "of b"))
			_, err := in.sendCode(alice, answeringTo("c", "of c"))
			wantFailure(in.t, err, model.ErrProvider)
			c.fail = nil
			c.good["of c"] = true
			in.wantSent(alice, answeringTo("c", "of c"))
		}},
		scene{"neither open nor closed before the last one", func(_ *testing.T, in *instance) {
			a, b, c := three(in)
			in.admission.Challenge.FailOpen = true
			a.fail, b.fail, c.fail = broken, broken, broken
			in.wantOffered(model.ErrTooMany, []string{"b", "c"}, answering("of a"))
			in.wantSent(alice, answeringTo("c", "of c"))
		}},
		scene{"a storage that is away is no vendor that is", func(_ *testing.T, in *instance) {
			a, _, _ := three(in)
			in.admission.Challenge.FailOpen = true
			a.fail = model.ErrUnavailable
			_, err := in.sendCode(alice, answering("of a"))
			wantFailure(in.t, err, model.ErrUnavailable)
		}},
		scene{"the refusal of a number", func(_ *testing.T, in *instance) {
			a, _, _ := three(in)
			in.quotas.Limits.PerIPHour, in.quotas.Limits.PerMobileHour, in.quotas.Limits.PerMobileDay = 0, 2, 4
			in.wantSent(alice)
			in.wantSent(alice)
			in.wantOffered(model.ErrCooldown, []string{"a", "b", "c"})
			in.wantOffered(model.ErrCooldown, []string{"c", "a", "b"}, answeringTo("c", "wrong"))
			a.fail = broken
			in.wantOffered(model.ErrTooMany, []string{"b", "c"}, answering("of a"))
			in.clock.Advance(time.Hour)
			in.wantSent(alice)
			in.wantSent(alice)
			in.wantOffered(model.ErrDailyLimit, []string{"c", "a", "b"}, answeringTo("c", "wrong"))
			in.wantPool(model.SendChallenged, alice, answeringTo("c", "of c"))
		}},
	)
}
