package repository

import (
	"context"

	"menshen/model"
)

// Instances stores the processes of the deployment.
type Instances struct{ DB *DB }

// SignOfLife stores that the instance runs at instance.SeenAt.
func (i Instances) SignOfLife(ctx context.Context, instance model.Instance) error {
	known, err := i.DB.execCAS(ctx, "note a sign of life", "UPDATE instances SET seen_at = ? WHERE id = ?", instance.SeenAt, instance.ID)
	if known || err != nil {
		return err
	}
	return i.DB.exec(ctx, "note an instance", "INSERT INTO instances (id, version, started_at, seen_at) VALUES (?, ?, ?, ?)",
		instance.ID, instance.Version, instance.StartedAt, instance.SeenAt)
}

// Forget removes the instance, and those without a sign of life since before.
func (i Instances) Forget(ctx context.Context, id string, before model.Time) error {
	return i.DB.exec(ctx, "forget instances", "DELETE FROM instances WHERE id = ? OR seen_at < ?", id, before)
}

// Since lists the instances with a sign of life at or after since, the oldest first.
func (i Instances) Since(ctx context.Context, since model.Time) ([]model.Instance, error) {
	instances := []model.Instance{}
	err := i.DB.reportDB(ctx).Where("seen_at >= ?", since).Order("started_at, id").Find(&instances).Error
	return instances, unavailable("list instances", err)
}
