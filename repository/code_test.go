package repository_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

func insertCodes(t *testing.T, db *repository.DB, codes ...model.Code) {
	t.Helper()
	for _, code := range codes {
		must(t, repository.Codes{DB: db}.Insert(t.Context(), code))
	}
}

// onlyCode reads the number's only code.
func onlyCode(t *testing.T, db *repository.DB, number byte) model.Code {
	t.Helper()
	codes, err := repository.Codes{DB: db}.Recent(t.Context(), key(number), 0, 1000)
	if err != nil || len(codes) != 1 {
		t.Fatalf("%d codes, error %v; want one", len(codes), err)
	}
	return codes[0]
}

func TestCodesRecent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		first, second, third := aCode(1, 'a', 10, t0), aCode(2, 'a', 11, t0), aCode(3, 'a', 12, t0)
		second.CompanyType, second.Purpose = 0, model.PurposeChange
		third.ExpiresAt = t0
		foreign := aCode(4, 'b', 10, t0)
		insertCodes(t, db, second, first, foreign, third) // order of insertion does not matter
		tests := []struct {
			name  string
			since model.Time
			want  []model.Code
		}{
			{"all companies and purposes, newest first", t0 - 1, []model.Code{third, second, first}},
			{"an end at since is not after it", t0, []model.Code{second, first}},
			{"the last millisecond", t0.Add(5*time.Minute) - 1, []model.Code{second, first}},
			{"none", t0.Add(5 * time.Minute), nil},
		}
		for _, tt := range tests {
			got, err := store.Recent(t.Context(), key('a'), tt.since, 1000)
			must(t, err)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
		}
		if got, err := store.Recent(t.Context(), key('A'), 0, 1000); err != nil || len(got) != 0 {
			t.Errorf("an unknown number has %d codes, error %v", len(got), err)
		}
	})
}

// TestCodesRecentWithoutRefused: codes that a provider refused do not make a number's list longer.
func TestCodesRecentWithoutRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		var all []model.Code
		for i := range int64(6) {
			code := aCode(i+1, 'a', i, t0)
			if code.Delivery = model.DeliveryRefused; i == 1 {
				code.Attempts = 1
			}
			if i == 2 {
				code.Delivery = model.DeliveryAccepted
			}
			all = append(all, code)
		}
		later := aCode(7, 'b', 100, t0)
		insertCodes(t, db, append(all, later)...)
		got, err := repository.Codes{DB: db}.Recent(t.Context(), key('a'), 0, 1000)
		must(t, err)
		if diff := cmp.Diff([]model.Code{all[5], all[2], all[1]}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCodesRecentIsBounded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		for i := range int64(6) {
			insertCodes(t, db, aCode(i+1, 'a', i, t0))
		}
		codes, err := repository.Codes{DB: db}.Recent(t.Context(), key('a'), 0, 4)
		if err != nil || len(codes) != 4 || codes[0].Seq != 5 || codes[3].Seq != 2 {
			t.Errorf("%d codes, error %v; want the newest 4", len(codes), err)
		}
	})
}

func TestCodesNthSent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		other := aCode(4, 'd', 1, t0+3000)
		other.IPKey = "192.0.2.10"
		refused := aCode(5, 'e', 1, t0+4000)
		refused.IPKey, refused.Delivery = "192.0.2.11", model.DeliveryRefused
		insertCodes(t, db, aCode(1, 'a', 1, t0), aCode(2, 'b', 1, t0+2000), aCode(3, 'c', 1, t0+1000), other, refused)
		tests := []struct {
			name  string
			ipKey string
			since model.Time
			n     int
			want  model.Time
		}{
			{"newest of an address", "192.0.2.1", 0, 1, t0 + 2000},
			{"third of an address", "192.0.2.1", 0, 3, t0},
			{"fewer than asked for", "192.0.2.1", 0, 4, 0},
			{"since leaves its own moment out", "192.0.2.1", t0, 3, 0},
			{"since leaves later ones in", "192.0.2.1", t0, 2, t0 + 1000},
			{"an address is no prefix", "192.0.2.10", 0, 1, t0 + 3000},
			{"and no pattern", "192.0.2.%", 0, 1, 0},
			{"from anywhere", "", 0, 1, t0 + 3000},
			{"what was refused counts for its address", "192.0.2.11", 0, 1, t0 + 4000},
			{"from anywhere, the last", "", 0, 4, t0},
			{"from anywhere, too few", "", 0, 5, 0},
		}
		for _, tt := range tests {
			got, err := repository.Codes{DB: db}.NthSent(t.Context(), model.SendScope{IPKey: tt.ipKey}, tt.since, tt.n)
			if err != nil || got != tt.want {
				t.Errorf("%s: got %d, error %v; want %d", tt.name, got, err, tt.want)
			}
		}
	})
}

func TestCodesCountSince(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		refused := aCode(2, 'b', 1, t0+1000)
		refused.Delivery = model.DeliveryRefused
		other := aCode(3, 'c', 1, t0+2000)
		other.IPKey = "192.0.2.10"
		insertCodes(t, db, aCode(1, 'a', 1, t0), refused, other)
		for _, tt := range []struct {
			ipKey string
			since model.Time
			want  int
		}{
			{"", 0, 3}, {"", t0, 2}, {"", t0 + 2000, 0},
			{"192.0.2.1", 0, 2}, {"192.0.2.1", t0, 1}, {"192.0.2.10", 0, 1}, {"192.0.2.11", 0, 0},
		} {
			n, err := repository.Codes{DB: db}.CountSince(t.Context(), model.SendScope{IPKey: tt.ipKey}, tt.since)
			if err != nil || n != tt.want {
				t.Errorf("from %q since %d: %d codes, error %v; want %d", tt.ipKey, tt.since, n, err, tt.want)
			}
		}
	})
}

func TestCodesInsertRefusesDoubles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		insertCodes(t, db, aCode(1, 'a', 7, t0))
		for what, double := range map[string]model.Code{
			"id":                  aCode(1, 'b', 7, t0),
			"order of the number": aCode(2, 'a', 7, t0),
		} {
			err := repository.Codes{DB: db}.Insert(t.Context(), double)
			if !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("a second %s: error %v", what, err)
			}
		}
		if n := queryCount(t, db, "SELECT COUNT(*) FROM codes"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestCodesSettle(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		tests := []struct {
			delivery model.Delivery
			dead     model.Time
		}{
			{model.DeliveryAccepted, 0},
			{model.DeliveryUnknown, 0},
			{model.DeliveryRefused, t0 + 9},
		}
		for i, tt := range tests {
			number := byte('a' + i)
			insertCodes(t, db, aCode(int64(i+1), number, 1, t0))
			must(t, repository.Codes{DB: db}.Settle(t.Context(), int64(i+1), model.Settlement{Delivery: tt.delivery, Provider: "tencent", At: t0 + 9}))
			if got := onlyCode(t, db, number); got.Delivery != tt.delivery || got.DeadAt != tt.dead || got.Provider != "tencent" {
				t.Errorf("delivery %d: %d by %s, dead at %d", tt.delivery, got.Delivery, got.Provider, got.DeadAt)
			}
		}
	})
}

// TestCodesNthSentOfRedeemed: ten redeemed codes weigh as much as one that was not, for
// an address and for a block.
func TestCodesNthSentOfRedeemed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		var codes []model.Code
		for i := range int64(22) { // the newest is not redeemed, then 20 are, then one is not
			code := aCode(i+1, byte('a'+i), 1, t0+model.Time(i)*1000)
			code.BlockKey = "192.0.2.0/24"
			if i != 0 && i != 21 {
				code.UsedAt = code.SentAt + 1
			}
			codes = append(codes, code)
		}
		insertCodes(t, db, codes...)
		for _, scope := range []model.SendScope{{IPKey: "192.0.2.1"}, {BlockKey: "192.0.2.0/24"}} {
			for n, want := range []model.Time{1: t0 + 21000, 2: t0 + 11000, 3: t0 + 1000, 4: t0, 5: 0} {
				if n == 0 {
					continue
				}
				got, err := repository.Codes{DB: db}.NthSent(t.Context(), scope, 0, n)
				if err != nil || got != want {
					t.Errorf("%v reaches %d at %d, error %v; want %d", scope, n, got, err, want)
				}
			}
		}
	})
}

// TestCodesCountAttempt: the pools of a code are counted apart, and none beyond its most,
// under any race.
func TestCodesCountAttempt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		used, dead := aCode(3, 'c', 1, t0), aCode(4, 'd', 1, t0)
		used.UsedAt, dead.DeadAt = t0, t0
		insertCodes(t, db, aCode(1, 'a', 1, t0), aCode(2, 'b', 1, t0), used, dead)
		var counted [4]atomic.Int32
		for _, err := range raceErrors(48, func(i int) error {
			pool := model.AttemptPool(i % 2)
			ok, err := store.CountAttempt(t.Context(), int64(i/2%4+1), pool, 5)
			if ok {
				counted[i/2%4].Add(1)
			}
			return err
		}) {
			must(t, err)
		}
		for number, want := range map[byte]int32{'a': 5, 'b': 5, 'c': 0, 'd': 0} {
			code := onlyCode(t, db, number)
			if code.Attempts != want || code.TicketAttempts != want || counted[number-'a'].Load() != 2*want {
				t.Errorf("%c: %d and %d attempts, %d reported; want %d of each pool", number, code.Attempts, code.TicketAttempts, counted[number-'a'].Load(), want)
			}
		}
		if ok, err := store.CountAttempt(t.Context(), 99, model.AttemptOpen, 5); ok || err != nil { // a row gone by retention
			t.Errorf("counted on no row: %t, error %v", ok, err)
		}
		must(t, store.Spare(t.Context(), 1))
		if code := onlyCode(t, db, 'a'); code.Spared != 1 || code.Forgiven {
			t.Errorf("%d spared, forgiven %t", code.Spared, code.Forgiven)
		}
		must(t, store.Forgive(t.Context(), key('a')))
		if code := onlyCode(t, db, 'a'); code.Spared != 5 || !code.Forgiven {
			t.Errorf("after the pardon %d spared, forgiven %t", code.Spared, code.Forgiven)
		}
	})
}

func TestCodesUse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		used, dead := aCode(1, 'a', 1, t0), aCode(2, 'b', 1, t0)
		used.UsedAt, dead.DeadAt = t0, t0
		insertCodes(t, db, used, dead, aCode(3, 'c', 1, t0))
		tests := []struct {
			name string
			id   int64
			want *model.Failure
		}{
			{"used before", 1, model.ErrCode},
			{"refused by the provider", 2, model.ErrCode},
			{"unknown", 9, model.ErrCode},
			{"fresh", 3, nil},
			{"a second time", 3, model.ErrCode},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) { wantError(t, useCode(t.Context(), store, tt.id, t0+5), tt.want) })
		}
		if got := onlyCode(t, db, 'c').UsedAt; got != t0+5 {
			t.Errorf("used at %d, want %d", got, t0+5)
		}
	})
}

// useCode redeems a code by an open attempt, one of five. It returns model.ErrCode if
// others were first.
func useCode(ctx context.Context, store repository.Codes, id int64, now model.Time) error {
	used, err := store.Use(ctx, id, model.AttemptOpen, 5, now)
	if err == nil && !used {
		err = model.ErrCode
	}
	return err
}

func TestCodesUseHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		for round := range int64(4) {
			insertCodes(t, db, aCode(round+1, byte(round), 1, t0))
			alone := raceErrors(32, func(int) error { return useCode(t.Context(), store, round+1, t0) })
			wantOne(t, alone, model.ErrCode)
			insertCodes(t, db, aCode(round+101, byte(round), 2, t0))
			within := raceErrors(32, func(int) error {
				return db.Within(t.Context(), func(ctx context.Context) error { return useCode(ctx, store, round+101, t0) })
			})
			wantOne(t, within, model.ErrCode)
		}
	})
}

// TestCodesUseComesBack: a redemption that is rolled back leaves the code as it was.
func TestCodesUseComesBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		insertCodes(t, db, aCode(1, 'a', 1, t0))
		err := db.Within(t.Context(), thenFail(func(ctx context.Context) error { return useCode(ctx, store, 1, t0) }))
		if !errors.Is(err, errTest) {
			t.Fatal(err)
		}
		must(t, useCode(t.Context(), store, 1, t0))
	})
}

func TestCodesGateLetsOneThrough(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		gate := slices.Concat([]byte("number|"), key(0)) // zero bytes count too
		var inside, passes, most atomic.Int32
		for _, err := range raceErrors(32, func(int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				if err := store.Gate(ctx, gate, t0); err != nil {
					return err
				}
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				passes.Add(1)
				_, err := store.Recent(ctx, key(0), 0, 1000)
				return err
			})
		}) {
			must(t, err)
		}
		if most.Load() != 1 || passes.Load() < 32 {
			t.Errorf("%d were inside at once, %d passed", most.Load(), passes.Load())
		}
		if n := queryCount(t, db, "SELECT passes FROM gates"); n != 32 {
			t.Errorf("%d passes are noted, want 32", n)
		}
	})
}

// TestCodesGateCountsWhatOthersInserted: a transaction that holds the gate sees
// all codes of earlier holders, whatever it read before.
func TestCodesGateCountsWhatOthersInserted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		errs := raceErrors(32, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				if _, err := store.NthSent(ctx, model.SendScope{IPKey: "192.0.2.1"}, 0, 1); err != nil {
					return err
				}
				if err := store.Gate(ctx, key('g'), t0); err != nil {
					return err
				}
				codes, err := store.Recent(ctx, key('a'), 0, 1000)
				if err != nil {
					return err
				}
				if len(codes) > 0 {
					return model.ErrCooldown
				}
				return store.Insert(ctx, aCode(int64(i+1), 'a', int64(i), t0))
			})
		})
		wantOne(t, errs, model.ErrCooldown)
	})
}

// TestCodesGateNames: names are compared as bytes.
func TestCodesGateNames(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		names := []string{"a", "A", "a ", "ａ", "á", "a\x00", "\xff\xfe", "address|", "address|2001:db8::/64"}
		for range 2 {
			for _, gate := range names {
				must(t, repository.Codes{DB: db}.Gate(t.Context(), []byte(gate), t0))
			}
		}
		if n := queryCount(t, db, "SELECT COUNT(*) FROM gates WHERE passes = 2"); n != int64(len(names)) {
			t.Errorf("%d gates of two passes, want %d", n, len(names))
		}
	})
}
