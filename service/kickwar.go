package service

import (
	"context"
	"strconv"
	"time"

	"menshen/model"
)

// A kick war is two devices that displace each other again and again: a shared
// account, or a thief and an owner. It is told once every warTimes times.
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
		if device := deviceOf(old); device == deviceOf(session) || device == deviceOf(displaced) {
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

// deviceOf tells devices apart as well as they let themselves be told.
func deviceOf(s model.Session) string {
	if s.DeviceNumber != "" {
		return s.DeviceNumber
	}
	return s.DeviceName
}
