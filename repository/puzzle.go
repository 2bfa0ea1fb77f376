package repository

import (
	"context"

	"menshen/model"
)

// Puzzles remembers which puzzles were spent.
type Puzzles struct{ DB *DB }

// Spend reports whether this call is the first with the id. Of concurrent calls one is:
// the key of the table decides. The row is needed until expires.
func (p Puzzles) Spend(ctx context.Context, id []byte, expires model.Time) (bool, error) {
	return p.DB.execCAS(ctx, "spend puzzle", p.DB.dialect.spendPuzzle, id, expires)
}
