package service

import (
	"context"
	"strconv"
	"time"

	"menshen/model"
)

// A kick war is two devices that displace each other again and again: a shared
// account, or a thief and an owner. It is told by the login that makes the blows
// of the window warTimes, or a multiple.
const (
	warWindow = 10 * time.Minute
	warTimes  = 5
)

// noteWar writes the event of a kick war when this login, which displaced a
// session, is one more blow of it.
func (s *Sessions) noteWar(ctx context.Context, session, displaced model.Session, now model.Time, caller Caller) error {
	recent, err := s.Store.DisplacedSince(ctx, session.UserID, session.ProductGroup, now.Add(-warWindow))
	if err != nil {
		return err
	}
	blows := 0
	for _, old := range recent {
		if struck(old, displaced, session) || struck(old, session, displaced) {
			blows++
		}
	}
	if blows < warTimes || blows%warTimes != 0 {
		return nil
	}
	line := event(model.EventKickWar, session, now, caller)
	line.Actor = actorSystem
	line.Detail = detail("times", strconv.Itoa(blows), "group", session.ProductGroup)
	return s.Events.Append(ctx, line)
}

// struck reports whether old was displaced on the device of loser by that of winner.
func struck(old, loser, winner model.Session) bool {
	return sameDevice(old, loser) && old.EndedBy == winner.DeviceName
}

// sameDevice tells devices apart as well as they let themselves be told: by their
// numbers where both are bound, else by their labels.
func sameDevice(a, b model.Session) bool {
	if a.DeviceNumber != "" && b.DeviceNumber != "" {
		return a.DeviceNumber == b.DeviceNumber
	}
	return a.DeviceName == b.DeviceName
}
