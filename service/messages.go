package service

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"menshen/model"
)

// MessageQuery selects messages. A member that is empty selects all.
type MessageQuery struct {
	Mobile   string // in any spelling
	UserID   int64
	Provider string
	State    model.MessageState
	Cursor   string
}

const (
	messagePage = 50
	// registrationTime is the most time between a code and the account that it registers.
	registrationTime = 10 * time.Minute
)

// Messages returns a page of the messages that match the query, newest first, and the cursor
// of the next page, "" if this is the last. It records the look at a number or a user.
//
// Errors: model.ErrMobile, ErrMalformed for an unknown state or cursor.
func (a *Admin) Messages(ctx context.Context, by Operator, q MessageQuery) ([]model.TracedMessage, string, error) {
	if q.State != "" && !q.State.Known() {
		return nil, "", model.MalformedField("state", model.ReasonUnknown)
	}
	filters, looks, err := a.messageFilters(ctx, by, q)
	if err != nil {
		return nil, "", err
	}
	before, err := a.messageCursor(ctx, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	var messages []model.TracedMessage
	for _, filter := range filters {
		filter.Before = before
		found, err := a.Sent.List(ctx, filter, messagePage+1)
		if err != nil {
			return nil, "", err
		}
		messages = append(messages, found...)
	}
	slices.SortFunc(messages, newestMessage)
	next := ""
	if len(messages) > messagePage {
		messages = messages[:messagePage]
		next = strconv.FormatInt(messages[messagePage-1].ID, 10)
	}
	return messages, next, a.Endings.Events.Append(ctx, looks...)
}

// messageFilters returns filters that select the messages of the query together, each
// message once, and the events of the look.
func (a *Admin) messageFilters(ctx context.Context, by Operator, q MessageQuery) (filters []model.MessageFilter, looks []model.Event, err error) {
	all := model.MessageFilter{Provider: q.Provider, State: q.State, Companies: by.Companies}
	if q.Mobile != "" {
		number, err := a.Numbers.Parse(q.Mobile)
		if err != nil {
			return nil, nil, err
		}
		accounts, err := a.accounts(ctx, number, a.companies(by.Companies))
		if err != nil {
			return nil, nil, err
		}
		all.NumberKey, looks = a.Vault.NumberKey(number), a.viewedNumber(by, number, accounts)
	}
	if q.UserID == 0 {
		return []model.MessageFilter{all}, looks, nil
	}
	user, err := served(by)(a.Users.ByID(ctx, q.UserID))
	if errors.Is(err, model.ErrNotFound) {
		return nil, looks, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(looks, func(look model.Event) bool { return look.UserID == user.ID }) {
		looks = append(looks, by.viewed(user, model.TimeOf(a.Now())))
	}
	return a.messagesOf(all, user), looks, nil
}

// messagesOf returns filters that select those of the messages that were sent to the user.
func (a *Admin) messagesOf(all model.MessageFilter, user model.User) []model.MessageFilter {
	own := all
	own.UserID = user.ID
	return append([]model.MessageFilter{own}, a.registering(all, user)...)
}

// newestMessage orders messages, the newest first.
func newestMessage(x, y model.TracedMessage) int { return cmp.Compare(y.ID, x.ID) }

// registering returns the filter that selects what was sent to the user's number before it had
// an account, none if nothing can match.
func (a *Admin) registering(all model.MessageFilter, user model.User) []model.MessageFilter {
	number, err := a.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil || !all.Companies.Include(user.CompanyType) {
		return nil // the user is deleted, or the operator may not see the company
	}
	key := a.Vault.NumberKey(number)
	if all.NumberKey != nil && !bytes.Equal(all.NumberKey, key) {
		return nil
	}
	all.NumberKey, all.Companies, all.Ownerless = key, model.Companies{user.CompanyType}, user.CreatedAt.Add(-registrationTime)
	return []model.MessageFilter{all}
}

// messageCursor returns the id that a cursor names: that of the last message of a page.
func (a *Admin) messageCursor(ctx context.Context, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || id <= 0 || id == math.MaxInt64 || strconv.FormatInt(id, 10) != cursor {
		return 0, model.MalformedField("cursor", model.ReasonFormat)
	}
	found, err := a.Sent.List(ctx, model.MessageFilter{Before: id + 1}, 1)
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = model.MalformedField("cursor", model.ReasonUnknown)
	}
	return id, err
}
