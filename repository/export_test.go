package repository

import "time"

// KeepOpen is how long a group of writers admits others, for tests that wait for
// those.
func (db *DB) KeepOpen(d time.Duration) { db.turns.open.Store(int64(d)) }
