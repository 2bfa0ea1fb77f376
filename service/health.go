package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

// InstanceStore stores the processes of the deployment.
type InstanceStore interface {
	// SignOfLife stores the instance, or the time of its newest sign of life.
	SignOfLife(ctx context.Context, instance model.Instance) error
	// Forget removes the instance, and those without a sign of life since before.
	Forget(ctx context.Context, id string, before model.Time) error
	// Since lists the instances with a sign of life at or after since.
	Since(ctx context.Context, since model.Time) ([]model.Instance, error)
}

// OutcomeStore counts what became of messages.
type OutcomeStore interface {
	// Outcomes counts the messages since a time by vendor and state.
	Outcomes(ctx context.Context, since model.Time) ([]model.VendorOutcome, error)
}

const (
	// LifeInterval is the time between two signs of life of an instance.
	LifeInterval = 10 * time.Second
	// aliveTime is for how long an instance without a sign of life, and a message, is shown.
	aliveTime  = time.Hour
	forgetTime = time.Second // at the end, when the database may be away
	// checksTime is for how long doctor's findings are shown: they ask vendors.
	checksTime = time.Minute
)

// Presence tells the other instances, and operators, that this process runs.
type Presence struct {
	Store   InstanceStore
	ID      string
	Version string
	Now     func() time.Time
	OnError func(err error)
}

// Run gives signs of life until ctx ends, and then takes the instance off the list.
func (p Presence) Run(ctx context.Context) {
	self := model.Instance{ID: p.ID, Version: p.Version, StartedAt: model.TimeOf(p.Now())}
	loop.NowAndEvery(ctx, LifeInterval, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
		defer cancel()
		self.SeenAt = model.TimeOf(p.Now())
		return p.Store.SignOfLife(ctx, self)
	}, p.OnError)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTime)
	defer cancel()
	if err := p.Store.Forget(ctx, p.ID, model.TimeOf(p.Now()).Add(-aliveTime)); err != nil && p.OnError != nil {
		p.OnError(err)
	}
}

// Health tells operators how the deployment is.
type Health struct {
	Instances InstanceStore
	Sent      OutcomeStore
	Database  func(ctx context.Context) model.DatabaseState
	Lag       func() time.Duration // of the log's follower in this process
	Keys      func() []model.SigningKey
	Doctor    func(ctx context.Context) []model.Check
	Now       func() time.Time

	mu     sync.Mutex
	checks []model.Check // of the last examination; guarded by mu
	at     time.Time
}

// HealthReport is what Health tells.
type HealthReport struct {
	Instances []model.Instance
	Database  model.DatabaseState
	Vendors   []model.VendorOutcome // of the last hour, by vendor
	Lag       time.Duration
	Keys      []model.SigningKey
	Checks    []model.Check
}

// Report looks at everything. What the database would tell is missing while it is away.
func (h *Health) Report(ctx context.Context) (HealthReport, error) {
	report := HealthReport{Instances: []model.Instance{}, Lag: h.Lag(), Keys: h.Keys()}
	soon, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	report.Database = h.Database(soon)
	if !report.Database.OK { // doctor would wait for it too
		report.Checks = []model.Check{{Name: "database", Detail: "it does not answer"}}
		return report, nil
	}
	hour := model.TimeOf(h.Now()).Add(-aliveTime)
	var err, unread error
	report.Instances, err = h.Instances.Since(ctx, hour)
	report.Vendors, unread = h.Sent.Outcomes(ctx, hour)
	if err = errors.Join(err, unread); err != nil {
		return report, err
	}
	report.Checks = h.examine(ctx)
	return report, nil
}

// examine returns doctor's findings, which are at most checksTime old.
func (h *Health) examine(ctx context.Context) []model.Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.Now(); h.checks == nil || now.Sub(h.at).Abs() > checksTime {
		h.checks, h.at = h.Doctor(context.WithoutCancel(ctx)), now // others read what it finds
	}
	return h.checks
}
