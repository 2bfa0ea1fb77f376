package service

import (
	"context"
	"errors"

	"menshen/model"
)

// Simulated is a login to decide.
type Simulated struct {
	UserID       int64
	ProductType  int32
	DeviceNumber string // "": the device does not tell one
}

// Simulation is what a login would do.
type Simulation struct {
	Ends    []model.Session // in the order of their ends, each with its reason
	Refused *model.Failure  // nil: the login would succeed
}

// Simulate decides a login by the rules of Do, and changes nothing
// but the record of the look.
//
// Errors: model.ErrNotFound for an unknown or deleted user, model.ErrMalformed for an
// unknown product.
func (l *Login) Simulate(ctx context.Context, by Operator, r Simulated) (Simulation, error) {
	user, err := served(by)(l.Users.ByID(ctx, r.UserID))
	if err == nil && user.DeletedAt != 0 {
		err = model.ErrNotFound
	}
	if err != nil {
		return Simulation{}, err
	}
	_, product, err := l.Catalog.Find(user.CompanyType, r.ProductType)
	if err != nil {
		return Simulation{}, err
	}
	now := model.TimeOf(l.Now())
	if err := l.Sessions.Events.Append(ctx, by.viewed(user, now)); err != nil {
		return Simulation{}, err
	}
	if banned := bannedFailure(user, now); banned != nil {
		return Simulation{Refused: model.AsFailure(banned)}, nil
	}
	active, err := l.Sessions.Store.Active(ctx, r.UserID, product.Group)
	if err != nil {
		return Simulation{}, err
	}
	session := model.Session{UserID: r.UserID, ProductGroup: product.Group, DeviceNumber: r.DeviceNumber}
	ends, err := sessionsToEnd(active, session, newSession{product: product, user: user, now: now})
	if errors.Is(err, model.ErrDeviceLimit) {
		return Simulation{Refused: model.AsFailure(err)}, nil
	}
	return Simulation{Ends: ends}, err
}
