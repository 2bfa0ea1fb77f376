package service

import (
	"context"

	"menshen/model"
)

// Dumped is an account as Dump writes it: the columns of an import.
type Dumped struct {
	User   model.User
	Mobile model.Mobile
}

// dumpBatch is how many accounts Dump reads at once.
const dumpBatch = 1000

// Dump hands each account that is not deleted to write, whole number included, in the
// order of the ids, and records that before the first. An account whose number cannot be
// decrypted is left out and counted.
func (a *Admin) Dump(ctx context.Context, by Operator, write func(Dumped) error) (unreadable int, err error) {
	if err := a.Endings.Events.Append(ctx, by.event(model.EventExported, model.User{}, model.TimeOf(a.Now()), "")); err != nil {
		return 0, err
	}
	for id := int64(0); ; {
		users, err := a.Users.After(ctx, id, dumpBatch)
		if err != nil || len(users) == 0 {
			return unreadable, err
		}
		for _, user := range users {
			mobile, err := a.Vault.UnsealMobile(user.Mobile, user.ID)
			if err != nil {
				unreadable++
				continue
			}
			if err := write(Dumped{user, mobile}); err != nil {
				return unreadable, err
			}
		}
		id = users[len(users)-1].ID
	}
}
