package service

import (
	"encoding/json"

	"menshen/model"
)

// Actors of events that are not an operator's.
const (
	actorUser   = "user"
	actorSystem = "system"
)

// event is a line about a session.
func event(kind model.Kind, s model.Session, now model.Time, caller Caller) model.Event {
	return model.Event{
		At: now, Kind: kind, UserID: s.UserID, SessionID: s.ID, Actor: actorUser,
		IP: caller.IP, Device: caller.Device, RequestID: caller.RequestID,
	}
}

// endKind is the kind of event that tells of an end.
func endKind(reason model.Reason) model.Kind {
	switch reason {
	case model.ReasonDisplaced:
		return model.EventDisplaced
	case model.ReasonRelogin:
		return model.EventRelogin
	case model.ReasonKicked:
		return model.EventKick
	case model.ReasonBanned:
		return model.EventBan
	case model.ReasonReuse:
		return model.EventReuse
	case model.ReasonExpired:
		return model.EventExpired
	default:
		return model.EventLogout
	}
}

// detail is a small JSON object from pairs of names and values.
func detail(pairs ...string) string {
	object := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		object[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(object)
	if err != nil {
		return "{}" // strings always marshal
	}
	return string(text)
}
