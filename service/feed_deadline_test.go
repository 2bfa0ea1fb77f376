package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
)

// silentFeed is a store whose database does not answer.
type silentFeed struct{ FeedStore }

func (silentFeed) Newest(ctx context.Context) (model.Revocation, error) {
	<-ctx.Done()
	return model.Revocation{}, model.ErrUnavailable.Wrap(ctx.Err())
}

// TestFeedCursorHasADeadline: a client with a cursor is answered in time while the
// database is silent, however long it offered to wait.
func TestFeedCursorHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &Feed{Store: silentFeed{}, Now: time.Now}
		_, err := f.Read(t.Context(), "1", 30*time.Second)
		wantFailure(t, err, model.ErrUnavailable)
		if took := time.Since(began); took > storageTime {
			t.Errorf("answered after %s", took)
		}
	})
}
