package service

import (
	"context"
	"slices"

	"menshen/model"
)

// Export is all that is kept about a person.
type Export struct {
	Person   Person
	Mobile   string // whole, as the owner sees it; "" if it is erased or cannot be decrypted
	Sessions []model.Session
	Messages []model.TracedMessage
	Events   []model.Event // newest first
}

// Export returns all that is kept about a person, and records it. Events that the person
// did not cause are without address and device.
//
// Errors: model.ErrNotFound.
func (a *Admin) Export(ctx context.Context, by Operator, id int64) (export Export, err error) {
	user, err := a.user(ctx, by, id)
	if err != nil {
		return export, err
	}
	if export.Person, err = a.Person(ctx, user); err != nil {
		return export, err
	}
	if number, err := a.Vault.UnsealMobile(user.Mobile, user.ID); err == nil {
		export.Mobile = a.Numbers.National(number)
	}
	if export.Sessions, err = a.Endings.Store.All(ctx, id); err != nil {
		return export, err
	}
	if export.Messages, err = a.allMessages(ctx, user); err != nil {
		return export, err
	}
	if export.Events, err = a.allEvents(ctx, id); err != nil {
		return export, err
	}
	now := model.TimeOf(a.Now())
	return export, a.Endings.Events.Append(ctx, by.viewed(user, now), by.event(model.EventExported, user, now, ""))
}

// exportBatch is how many events or messages are read at once.
const exportBatch = 1000

// allMessages returns what was sent to the user.
func (a *Admin) allMessages(ctx context.Context, user model.User) (all []model.TracedMessage, err error) {
	for _, filter := range a.messagesOf(model.MessageFilter{}, user) {
		for batch := []model.TracedMessage(nil); ; filter.Before = batch[len(batch)-1].ID {
			if batch, err = a.Sent.List(ctx, filter, exportBatch); err != nil {
				return nil, err
			}
			if all = append(all, batch...); len(batch) < exportBatch {
				break
			}
		}
	}
	slices.SortFunc(all, newestMessage)
	return all, nil
}

// allEvents returns the user's events.
func (a *Admin) allEvents(ctx context.Context, id int64) (all []model.Event, err error) {
	for batch := []model.Event(nil); len(all) == 0 || len(batch) == exportBatch; {
		filter := model.EventFilter{UserID: id}
		if len(all) > 0 {
			filter.Before = all[len(all)-1].ID
		}
		if batch, err = a.Audit.List(ctx, filter, exportBatch); err != nil || len(batch) == 0 {
			break
		}
		if err = explain(ctx, a.Sent, batch); err != nil {
			return nil, err
		}
		all = append(all, batch...)
	}
	for i, e := range all {
		if e.Actor != model.ActorUser || slices.Contains(byOthers, e.Kind) {
			all[i].IP, all[i].Device = "", ""
		}
	}
	return all, err
}

// byOthers are the kinds of events whose address and device may be those of strangers. It
// is never written to.
var byOthers = []model.Kind{model.EventCodeFailed, model.EventDeviceMismatch}
