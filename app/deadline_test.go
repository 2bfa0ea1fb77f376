package app

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/router"
	"menshen/service"
	"menshen/service/code"
	"menshen/telemetry"
)

// slowStore answers nothing before the deadline of the caller.
type slowStore struct {
	service.UserStore
	pings bool // save pings
}

func (slowStore) wait(ctx context.Context) error {
	<-ctx.Done()
	return model.ErrUnavailable.Wrap(ctx.Err())
}

func (s slowStore) ping(ctx context.Context) error {
	if s.pings {
		return nil
	}
	return s.wait(ctx)
}

func (s slowStore) ByID(ctx context.Context, id int64) (model.User, error) {
	if id == quickUser {
		return model.User{ID: id}, nil
	}
	return model.User{}, s.wait(ctx)
}

// slowLog is a log of events that is as slow.
type slowLog struct{ slowStore }

func (s slowLog) List(ctx context.Context, _ model.EventFilter, _ int) ([]model.Event, error) {
	return nil, s.wait(ctx)
}

func (s slowLog) Count(ctx context.Context, _ model.EventSpan) ([]model.EventCount, error) {
	return nil, s.wait(ctx)
}

func (s slowLog) Returned(ctx context.Context, _ model.EventSpan) ([]model.EventCount, error) {
	return nil, s.wait(ctx)
}

// aliceKey is an operator's.
const aliceKey = "alice-0123456789-0123456789-0123456789"

// quickUser is found at once.
const quickUser = 7

// TestReportsHaveTheirDeadline: what may read millions of rows has longer than
// other requests, but less than a stop leaves to it, and no longer than they while
// the storage does not answer at all. The time is the bubble's.
func TestReportsHaveTheirDeadline(t *testing.T) {
	const report, other = 7 * time.Second, 1800 * time.Millisecond
	if report >= drainTime {
		t.Error("a stop cuts reports off")
	}
	if code.RequestTime >= drainTime {
		t.Error("a stop cuts requests for codes off")
	}
	for _, row := range []struct {
		path  string
		pings bool
		want  time.Duration
	}{
		{"/admin/stats", true, report}, {"/admin/audit", true, report}, {"/admin/users/7/timeline", true, report}, {"/admin/users?id=8", true, other}, {"/admin/users/8", true, other},
		{"/admin/stats", false, other}, {"/admin/audit", false, other}, {"/admin/users/7/timeline", false, other}, {"/admin/users?id=8", false, other},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := slowStore{pings: row.pings}
			keys := middleware.AdminKeys{}
			keys.Add(model.AdminKey{Name: "alice", Role: model.RoleAdmin}, sha256.Sum256([]byte(aliceKey)))
			handler := router.Admin{
				AdminHandlers: router.AdminHandlers{
					Admin: controller.Admin{Admin: &service.Admin{Users: store, Now: time.Now}},
					Audit: controller.Audit{Audit: &service.Audit{Store: slowLog{store}, Users: store, Now: time.Now}},
				},
				AdminGuards: router.AdminGuards{Keys: keys, Ping: store.ping}, Metrics: http.NotFoundHandler(),
				Edge: router.Edge{Envelope: &middleware.Envelope{Locale: "en", Log: zap.NewNop()}, Requests: telemetry.NewMetrics("test").Requests, AccessLog: telemetry.NewPlainAccessLog(zap.NewNop()), Now: time.Now},
			}.Handler()
			r := httptest.NewRequest(http.MethodGet, row.path, nil)
			r.Header.Set("Authorization", "Bearer "+aliceKey)
			w, began := httptest.NewRecorder(), time.Now()
			handler.ServeHTTP(w, r)
			if took := time.Since(began); took != row.want || !strings.HasPrefix(w.Body.String(), `{"code":50300,`) {
				t.Errorf("%s with pings %t: %s after %s, want 50300 after %s", row.path, row.pings, w.Body, took, row.want)
			}
		})
	}
}
