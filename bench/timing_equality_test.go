package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// rounds is how many requests are made for each kind of number, whatever b.N is:
// distributions are compared.
const rounds = 200

// kind is numbers of one kind, which a client must not be able to tell from others.
type kind struct {
	name    string
	mobiles []string
	took    figures
}

// BenchmarkTimingEquality measures how long responses take for numbers of each
// kind, requested in random order: p50, p90 and p99, and the share of
// pairs in which the kind was slower than the first one. At 0.5 the kinds cannot be
// told apart.
func BenchmarkTimingEquality(b *testing.B) {
	for _, act := range []struct {
		name string
		run  func(b *testing.B, h *harness)
	}{{"send", compareSends}, {"login", compareLogins}} {
		b.Run(act.name, func(b *testing.B) { eachDatabase(b, act.run) })
	}
}

func compareSends(b *testing.B, h *harness) {
	kinds := []*kind{
		{name: "known", mobiles: h.known(b, false)}, {name: "unknown", mobiles: h.unknown()}, {name: "banned", mobiles: h.known(b, true)},
	}
	compare(b, kinds, func(mobile string) error { return h.sendCode(b.Context(), mobile) })
}

func compareLogins(b *testing.B, h *harness) {
	kinds := []*kind{
		{name: "known", mobiles: h.known(b, false)}, {name: "unknown", mobiles: h.unknown()}, {name: "banned", mobiles: h.known(b, true)},
		{name: "used", mobiles: h.known(b, false)}, {name: "expired", mobiles: h.known(b, false)},
	}
	h.codes.TTL = time.Nanosecond
	h.sendTo(b, kinds[4].mobiles)
	h.codes.TTL = 10 * time.Minute
	h.sendTo(b, kinds[0].mobiles)
	h.sendTo(b, kinds[2].mobiles)
	compare(b, kinds, func(mobile string) error {
		_, err := h.login.Do(b.Context(), service.LoginRequest{Mobile: mobile, ValidateNo: "wrong", Caller: model.Caller{IP: "192.0.2.1"}})
		if !errors.Is(err, model.ErrCode) {
			return fmt.Errorf("answered %w", err)
		}
		return nil
	})
}

// unknown returns numbers without an account.
func (h *harness) unknown() []string {
	mobiles := make([]string, rounds)
	for i := range mobiles {
		mobiles[i] = h.number()
	}
	return mobiles
}

// known returns numbers with an account, which is banned or not.
func (h *harness) known(b *testing.B, banned bool) []string {
	b.Helper()
	mobiles := h.unknown()
	h.sendTo(b, mobiles)
	each(b, rounds, preparers, func(i int) error {
		login, err := h.logIn(b.Context(), mobiles[i], "")
		if err == nil && banned {
			err = h.login.Users.SetBan(b.Context(), login.User.User.ID, model.Forever, "bench")
		}
		return err
	})
	return mobiles
}

// sendTo sends a code to each number.
func (h *harness) sendTo(b *testing.B, mobiles []string) {
	b.Helper()
	each(b, len(mobiles), preparers, func(i int) error { return h.sendCode(b.Context(), mobiles[i]) })
}

// compare makes one request for each number and reports the figures of each kind.
func compare(b *testing.B, kinds []*kind, act func(mobile string) error) {
	b.Helper()
	b.ResetTimer()
	for round := range rounds {
		for _, k := range rand.Perm(len(kinds)) {
			began := time.Now()
			if err := act(kinds[k].mobiles[round]); err != nil {
				b.Fatalf("%s: %v", kinds[k].name, err)
			}
			kinds[k].took = append(kinds[k].took, time.Since(began))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op") // means nothing here
	for _, k := range kinds {
		for name, share := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99} {
			b.ReportMetric(ms(k.took.at(share)), k.name+"-ms-"+name)
		}
		if k != kinds[0] {
			b.ReportMetric(slower(k.took, kinds[0].took), k.name+"-slower")
		}
	}
}

// slower returns the share of pairs in which one of a took longer than one of b
// (Mann-Whitney's U over the number of pairs).
func slower(a, b figures) float64 {
	sorted, pairs := slices.Sorted(slices.Values(b)), 0
	for _, took := range a {
		below, _ := slices.BinarySearch(sorted, took)
		pairs += below
	}
	return float64(pairs) / float64(len(a)*len(b))
}
