package service

import (
	"context"
	"strconv"
	"time"

	"menshen/model"
)

// What an alarm is about.
const (
	AlarmPrefix = "prefix" // numbers that begin alike
	AlarmBlock  = "block"  // addresses that neighbour
	AlarmBudget = "budget" // the messages of the deployment
)

// Alarm says that money may be leaking: the codes of a group are redeemed too
// seldom, or the budget is nearly used up.
type Alarm struct {
	What     string
	Key      string // prefix or block, for people; "" for the budget
	Sent     int
	Redeemed int         // of a group
	Budget   int         // of the deployment
	Action   GuardAction // what a group's alarm means for sending
	Window   time.Duration
}

// Alarms writes alarms into the log of events.
type Alarms struct {
	Tx     Tx
	Store  GuardStore
	Events EventLog
	Told   func(Alarm) // is called once for each event that was written
}

// alarmName is the alarm's row among the gates.
func alarmName(what, key string) string { return "alarm|" + what + "|" + key }

// raise writes the alarm's event, at most once in the alarm's window whoever
// else raises it meanwhile: the database decides.
func (a *Alarms) raise(ctx context.Context, name string, alarm Alarm, now model.Time, requestID string) error {
	raised := false
	err := a.Tx.Within(ctx, func(ctx context.Context) (err error) {
		raised, err = a.Store.Raise(ctx, name, now.Add(-alarm.Window), now)
		if err != nil || !raised {
			return err
		}
		return a.Events.Append(ctx, model.Event{
			At: now, Kind: model.EventPumping, Actor: actorSystem, RequestID: requestID, Detail: alarm.detail(),
		})
	})
	if err == nil && raised {
		a.Told(alarm)
	}
	return err
}

func (a Alarm) detail() string {
	if a.What == AlarmBudget {
		return detail("what", a.What, "sent", strconv.Itoa(a.Sent), "budget", strconv.Itoa(a.Budget), "window", a.Window.String())
	}
	return detail("what", a.What, "key", a.Key, "sent", strconv.Itoa(a.Sent), "redeemed", strconv.Itoa(a.Redeemed),
		"window", a.Window.String(), "action", string(a.Action))
}
