package repository_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestStrangersInLine: while work of one address waits for the database, a transaction, a
// write and a read of another one have their turns.
func TestStrangersInLine(t *testing.T) {
	const strangers = 800
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // only to fail rather than hang
		defer cancel()
		var all sync.WaitGroup
		release, held := make(chan struct{}), make(chan struct{})
		for range pool(db).Stats().MaxOpenConnections {
			all.Go(func() {
				must(t, db.Within(ctx, func(context.Context) error {
					held <- struct{}{}
					<-release
					return nil
				}))
			})
			<-held
		}
		var mu sync.Mutex
		var order []string
		enter := func(who, address string, act func(ctx context.Context) error) {
			waiting := db.Waiting()
			all.Go(func() {
				must(t, act(model.WithAddress(ctx, address)))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, who)
			})
			for db.Waiting() == waiting && ctx.Err() == nil {
				runtime.Gosched()
			}
		}
		for range strangers {
			enter("stranger", "203.0.113.1", holdGate(db, "stranger"))
		}
		owners := []func(ctx context.Context) error{
			holdGate(db, "owner"), func(ctx context.Context) error { return db.Within(ctx, holdGate(db, "owner")) },
		}
		if db.Driver() == repository.MySQL { // on SQLite reads do not wait for writers
			owners = append(owners, db.Ping)
		}
		for _, act := range owners {
			enter("owner", "198.51.100.1", act)
		}
		close(release)
		all.Wait()
		slices.Reverse(order)
		if n := strangers + len(owners) - slices.Index(order, "owner"); n > strangers/2 || len(order) != strangers+len(owners) {
			t.Errorf("the last of the owner has turn %d of %d", n, len(order))
		}
	})
}
