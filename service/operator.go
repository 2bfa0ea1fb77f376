package service

import (
	"context"
	"errors"
	"strconv"
	"time"

	"menshen/model"
)

// Operators serves those who run the deployment: they find users, ban them and
// end their sessions. Every act is one transaction with its audit line.
type Operators struct {
	Users    UserStore
	Sessions *Sessions
	Vault    *Vault
	Numbers  Numbers
	Catalog  Catalog
	Now      func() time.Time
	Report   func(err error) // told of numbers that do not open; nil: nobody
}

// Operator is who acts, by the name of the admin key.
type Operator struct {
	Name   string
	Caller Caller
}

// Find lists the accounts of a number, one per company at most, or of an id;
// with both given an account must fit both. None is an empty list.
//
// Errors: model.ErrMobile.
func (o *Operators) Find(ctx context.Context, mobile string, id int64) ([]Profile, error) {
	found, err := o.candidates(ctx, mobile, id)
	if err != nil {
		return nil, err
	}
	profiles := make([]Profile, 0, len(found))
	for _, user := range found {
		profiles = append(profiles, o.profile(user))
	}
	return profiles, nil
}

func (o *Operators) candidates(ctx context.Context, mobile string, id int64) ([]model.User, error) {
	if mobile == "" {
		user, err := o.Users.ByID(ctx, id)
		if errors.Is(err, model.ErrNotFound) {
			return nil, nil
		}
		return []model.User{user}, err
	}
	number, err := o.Numbers.Parse(mobile)
	if err != nil {
		return nil, err
	}
	var found []model.User
	for _, company := range o.Catalog.Companies {
		user, err := o.Users.ByNumber(ctx, company.Type, o.Vault.MobileKey(company.Type, number))
		if errors.Is(err, model.ErrNotFound) || err == nil && id != 0 && user.ID != id {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, user)
	}
	return found, nil
}

// profile shows the number masked: an operator needs no more. One that does not
// open is masked whole: its owner can be helped all the same.
func (o *Operators) profile(user model.User) Profile {
	if user.Mobile == nil {
		return Profile{User: user}
	}
	mobile, err := o.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil && o.Report != nil {
		o.Report(err)
	}
	return Profile{User: user, Mobile: mobile.String()}
}

// Show is a user with the live sessions, newest first.
//
// Errors: model.ErrNotFound.
func (o *Operators) Show(ctx context.Context, id int64) (Profile, []model.Session, error) {
	user, err := o.Users.ByID(ctx, id)
	if err != nil {
		return Profile{}, nil, err
	}
	sessions, err := o.Sessions.Active(ctx, model.Session{UserID: id})
	return o.profile(user), sessions, err
}

// Ban bans a user until the given time, or for ever when it is 0, and ends all
// sessions in the same transaction: at no moment has a banned user an active
// one. A ban of a banned user replaces reason and end. It returns how many
// sessions ended.
//
// Of acts that race the log's last line tells what holds.
//
// Errors: model.ErrNotFound, and ErrMalformed for an end that is not to come.
func (o *Operators) Ban(ctx context.Context, by Operator, id int64, reason string, until model.Time) (int, error) {
	if until == 0 {
		until = model.Forever
	}
	ended := 0
	err := o.Sessions.atomically(ctx, func(ctx context.Context) error {
		if err := o.setBan(ctx, id, until, reason); err != nil {
			return err
		}
		now := model.TimeOf(o.Now()) // under the lock: times follow the order of the acts
		if until <= now {
			return model.Malformed1("until", model.ReasonRange)
		}
		line := o.line(model.EventBan, id, by, now, reason)
		if until != model.Forever {
			line.Detail = detail("reason", reason, "until", until.String())
		}
		if err := o.Sessions.Events.Append(ctx, line); err != nil {
			return err
		}
		var err error
		ended, err = o.endAll(ctx, id, KickTarget{}.fits, ending{
			reason: model.ReasonBanned, actor: by.Name, note: reason, at: now, caller: by.Caller,
		})
		return err
	})
	return ended, err
}

// Unban lifts a ban. It revives nothing, and lifting none is a success.
//
// Errors: model.ErrNotFound.
func (o *Operators) Unban(ctx context.Context, by Operator, id int64) error {
	return o.Sessions.atomically(ctx, func(ctx context.Context) error {
		if err := o.setBan(ctx, id, 0, ""); err != nil {
			return err
		}
		return o.Sessions.Events.Append(ctx, o.line(model.EventUnban, id, by, model.TimeOf(o.Now()), ""))
	})
}

func (o *Operators) setBan(ctx context.Context, id int64, until model.Time, reason string) error {
	if _, err := o.Users.Lock(ctx, id); err != nil {
		return err
	}
	return o.Users.SetBan(ctx, id, until, reason)
}

// Kick ends sessions of a user, all or those that fit the target, and returns
// how many this call ended. One that ended none has a line of its own, without a
// session; else the lines of the sessions are its lines.
//
// Errors: model.ErrNotFound for an unknown user.
func (o *Operators) Kick(ctx context.Context, by Operator, id int64, target KickTarget, reason string) (int, error) {
	ended := 0
	err := o.Sessions.atomically(ctx, func(ctx context.Context) error {
		if _, err := o.Users.Lock(ctx, id); err != nil {
			return err
		}
		now := model.TimeOf(o.Now()) // under the lock: times follow the order of the acts
		var err error
		ended, err = o.endAll(ctx, id, target.fits, ending{
			reason: model.ReasonKicked, actor: by.Name, note: reason, at: now, caller: by.Caller,
		})
		if err != nil || ended > 0 {
			return err
		}
		line := o.line(model.EventKick, id, by, now, reason)
		line.Detail = target.detail(reason)
		return o.Sessions.Events.Append(ctx, line)
	})
	return ended, err
}

// KickTarget narrows a kick; nil and "" leave it wide.
type KickTarget struct {
	ProductType *int32
	SessionID   string
}

func (k KickTarget) fits(s model.Session) bool {
	return (k.ProductType == nil || *k.ProductType == s.ProductType) && (k.SessionID == "" || k.SessionID == s.ID)
}

// detail tells why, and what a kick was aimed at. What cannot be a session's id is
// left out: it could be anything.
func (k KickTarget) detail(reason string) string {
	pairs := []string{"reason", reason}
	if k.ProductType != nil {
		pairs = append(pairs, "productType", strconv.Itoa(int(*k.ProductType)))
	}
	if len(k.SessionID) == len(newName()) {
		pairs = append(pairs, "sessionId", k.SessionID)
	}
	return detail(pairs...)
}

// endAll ends the user's sessions that fit. One that has come to its own end
// meanwhile has expired and counts for nobody.
func (o *Operators) endAll(ctx context.Context, id int64, fits func(model.Session) bool, act ending) (int, error) {
	sessions, err := o.Sessions.Store.Active(ctx, id, "")
	if err != nil {
		return 0, err
	}
	count := 0
	for _, session := range sessions {
		if !fits(session) {
			continue
		}
		how := act
		if session.Expired(act.at) {
			how = ending{reason: model.ReasonExpired, actor: actorSystem, at: act.at}
		}
		ended, err := o.Sessions.end(ctx, session, how)
		if err != nil {
			return 0, err
		}
		if ended && how.reason == act.reason {
			count++
		}
	}
	return count, nil
}

func (o *Operators) line(kind model.Kind, id int64, by Operator, now model.Time, reason string) model.Event {
	line := event(kind, model.Session{UserID: id}, now, Caller{IP: by.Caller.IP, RequestID: by.Caller.RequestID})
	line.Actor = by.Name
	if reason != "" {
		line.Detail = detail("reason", reason)
	}
	return line
}

// ParseID reads a user's id as it stands in a path; anything else is
// model.ErrNotFound.
func ParseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text {
		return 0, model.ErrNotFound
	}
	return id, nil
}
