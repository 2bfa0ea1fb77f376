package service

import (
	"strconv"
	"time"

	"menshen/model"
)

// viewed returns the event of a look at a user, folded by operator, person and hour.
func (o Operator) viewed(user model.User, now model.Time) model.Event {
	return o.event(model.EventViewed, user, now, "").Folded(time.Hour, o.Name, strconv.FormatInt(user.ID, 10))
}

// viewedNumber returns the events of a look at a number: one for each account, or one
// without a user. They are folded by operator, person and hour.
func (a *Admin) viewedNumber(by Operator, number model.Mobile, accounts []model.User) []model.Event {
	lines := by.numberEvents(model.EventViewed, model.TimeOf(a.Now()), accounts, "mobile", number.String())
	for i, line := range lines {
		person := strconv.FormatInt(line.UserID, 10)
		if line.UserID == 0 {
			person = string(a.Vault.NumberKey(number))
		}
		lines[i] = line.Folded(time.Hour, by.Name, person)
	}
	return lines
}
