package repository_test

import (
	"testing"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestSpendOnce: of calls with one id, at once or one after the other, one is the first.
func TestSpendOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		puzzles := repository.Puzzles{DB: db}
		var first [16]bool
		for _, err := range raceErrors(len(first), func(i int) (err error) {
			first[i], err = puzzles.Spend(t.Context(), key('p')[:16], t0)
			return err
		}) {
			must(t, err)
		}
		winners := 0
		for _, won := range first {
			if won {
				winners++
			}
		}
		again, err := puzzles.Spend(t.Context(), key('p')[:16], t0+1)
		must(t, err)
		other, err := puzzles.Spend(t.Context(), key('q')[:16], t0)
		must(t, err)
		if winners != 1 || again || !other {
			t.Errorf("%d were the first, once more %t, another id %t", winners, again, other)
		}
		if n, err := (repository.Janitor{DB: db}).Puzzles(t.Context(), t0+1, 1); n != 1 || err != nil {
			t.Errorf("%d removed, error %v", n, err)
		}
	})
}
