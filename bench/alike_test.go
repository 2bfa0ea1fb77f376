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

// rounds is how often each kind of number is asked for; b.N does not say it,
// because what is compared are distributions.
const rounds = 200

// kind is numbers of one kind, of which nobody outside may tell which it is.
type kind struct {
	name    string
	mobiles []string
	took    figures
}

// BenchmarkAlike shows how long the answers take for numbers of each kind, asked
// for in turn and in an order of chance: p50, p90 and p99, and the
// share of pairs in which the kind was slower than the first one. 0.5 is what
// nobody can tell apart.
func BenchmarkAlike(b *testing.B) {
	for _, act := range []struct {
		name string
		run  func(b *testing.B, s *stack)
	}{{"send", alikeSends}, {"login", alikeLogins}} {
		b.Run(act.name, func(b *testing.B) { eachDatabase(b, act.run) })
	}
}

func alikeSends(b *testing.B, s *stack) {
	kinds := []*kind{
		{name: "known", mobiles: s.known(b, false)}, {name: "unknown", mobiles: s.unknown()}, {name: "banned", mobiles: s.known(b, true)},
	}
	compare(b, kinds, func(mobile string) error { return s.send(b.Context(), mobile) })
}

func alikeLogins(b *testing.B, s *stack) {
	kinds := []*kind{
		{name: "known", mobiles: s.known(b, false)}, {name: "unknown", mobiles: s.unknown()}, {name: "banned", mobiles: s.known(b, true)},
		{name: "used", mobiles: s.known(b, false)}, {name: "expired", mobiles: s.known(b, false)},
	}
	s.codes.Rules.TTL = time.Nanosecond
	s.sendTo(b, kinds[4].mobiles)
	s.codes.Rules.TTL = 10 * time.Minute
	s.sendTo(b, kinds[0].mobiles)
	s.sendTo(b, kinds[2].mobiles)
	compare(b, kinds, func(mobile string) error {
		_, err := s.login.Do(b.Context(), service.LoginRequest{Mobile: mobile, ValidateNo: "wrong", Caller: service.Caller{IP: "192.0.2.1"}})
		if !errors.Is(err, model.ErrCode) {
			return fmt.Errorf("answered %w", err)
		}
		return nil
	})
}

// unknown are numbers that were never seen.
func (s *stack) unknown() []string {
	mobiles := make([]string, rounds)
	for i := range mobiles {
		mobiles[i] = s.number()
	}
	return mobiles
}

// known are numbers with an account.
func (s *stack) known(b *testing.B, banned bool) []string {
	b.Helper()
	mobiles := s.unknown()
	s.sendTo(b, mobiles)
	each(b, rounds, preparers, func(i int) error {
		login, err := s.enter(b.Context(), mobiles[i], "")
		if err == nil && banned {
			err = s.login.Users.SetBan(b.Context(), login.User.User.ID, model.Forever, "bench")
		}
		return err
	})
	return mobiles
}

// sendTo sends a code to each number.
func (s *stack) sendTo(b *testing.B, mobiles []string) {
	b.Helper()
	each(b, len(mobiles), preparers, func(i int) error { return s.send(b.Context(), mobiles[i]) })
}

// compare asks once for each number and reports each kind.
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

// slower is the share of pairs in which one of a took longer than one of b
// (Mann-Whitney's U over the number of pairs).
func slower(a, b figures) float64 {
	sorted, pairs := slices.Sorted(slices.Values(b)), 0
	for _, took := range a {
		below, _ := slices.BinarySearch(sorted, took)
		pairs += below
	}
	return float64(pairs) / float64(len(a)*len(b))
}
