package code

import (
	"context"
	"strconv"
	"time"

	"menshen/model"
)

// The subjects of an alarm.
const (
	AlarmPrefix = string(model.GroupPrefix) // numbers with a common prefix
	AlarmBlock  = string(model.GroupBlock)  // neighbouring addresses
	AlarmBudget = "budget"                  // the messages of the deployment
)

// Alarm reports a possible loss of money: too few codes of a group are redeemed, or the
// budget is nearly used up.
type Alarm struct {
	What     string
	Key      string // prefix or block, for people; "" for the budget
	Sent     int
	Redeemed int    // of a group
	Budget   int    // of the deployment
	Action   Action // effect of a group's alarm on sending
	Window   time.Duration
	Burst    time.Duration // in which the codes of a burst were sent; 0: the codes of the alarm had expired
	Usual    float64       // codes of the group in such a time, in the day before the burst
}

// Alarms writes alarms into the log of events.
type Alarms struct {
	Tx     Tx
	Store  PumpingStore
	Events EventLog
	// OnAlarm receives each alarm whose event this instance wrote. It may be nil and
	// must not block.
	OnAlarm func(Alarm)
}

// cause is the alarm's row among the gates, the time at which it was raised, and the
// request that raised it.
type cause struct {
	name      string
	at        model.Time
	requestID string // "" when no request did
}

// alarmName returns the name of the alarm's row among the gates.
func alarmName(what, key string) string { return "alarm|" + what + "|" + key }

// raise writes the alarm's event, at most once per window of the alarm over all
// instances: the database decides which instance writes it.
func (a *Alarms) raise(ctx context.Context, alarm Alarm, c cause) error {
	raised := false
	err := a.Tx.Within(ctx, func(ctx context.Context) (err error) {
		raised, err = a.Store.Raise(ctx, c.name, c.at.Add(-alarm.Window), c.at)
		if err != nil || !raised {
			return err
		}
		return a.Events.Append(ctx, model.Event{
			At: c.at, Kind: model.EventPumping, Actor: model.ActorSystem, RequestID: c.requestID, Detail: alarm.detail(),
		})
	})
	if err == nil && raised && a.OnAlarm != nil {
		a.OnAlarm(alarm)
	}
	return err
}

func (a Alarm) detail() string {
	if a.What == AlarmBudget {
		return model.EventDetail("what", a.What, "sent", strconv.Itoa(a.Sent), "budget", strconv.Itoa(a.Budget), "window", a.Window.String())
	}
	pairs := []string{
		"what", a.What, "key", a.Key, "sent", strconv.Itoa(a.Sent), "redeemed", strconv.Itoa(a.Redeemed),
		"window", a.Window.String(), "action", string(a.Action),
	}
	if a.Burst != 0 {
		pairs = append(pairs, "burst", a.Burst.String(), "usual", strconv.FormatFloat(a.Usual, 'f', 2, 64))
	}
	return model.EventDetail(pairs...)
}
