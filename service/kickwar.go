package service

import (
	"context"
	"strconv"
	"time"

	"menshen/model"
)

// A kick war is two devices that keep displacing each other: a shared account, or a
// thief and an owner. An event is written at every fifth mutual displacement within ten
// minutes.
const (
	warWindow = 10 * time.Minute
	warTimes  = 5
)

// recordKickWar writes the event of a kick war if this login, which displaced a session,
// is the fifth mutual displacement in the window or a multiple of it.
func (s *Sessions) recordKickWar(ctx context.Context, session, displaced model.Session, now model.Time, caller model.Caller) error {
	recent, err := s.Store.DisplacedSince(ctx, session.UserID, session.ProductGroup, now.Add(-warWindow))
	if err != nil {
		return err
	}
	count := 0
	for _, old := range recent {
		if displacedBy(old, displaced, session) || displacedBy(old, session, displaced) {
			count++
		}
	}
	if count < warTimes || count%warTimes != 0 {
		return nil
	}
	line := event(model.EventKickWar, session, now, caller)
	line.Actor = model.ActorSystem
	line.Detail = model.EventDetail("times", strconv.Itoa(count), "group", session.ProductGroup)
	return s.Events.Append(ctx, line)
}

// displacedBy reports whether the device of winner displaced old on the device of loser.
func displacedBy(old, loser, winner model.Session) bool {
	return sameDevice(old, loser) && old.EndedBy == winner.DeviceName
}

// sameDevice compares device numbers when both sessions have one, otherwise device
// names.
func sameDevice(a, b model.Session) bool {
	if a.DeviceNumber != "" && b.DeviceNumber != "" {
		return a.DeviceNumber == b.DeviceNumber
	}
	return a.DeviceName == b.DeviceName
}
