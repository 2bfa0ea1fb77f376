package service

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"menshen/model"
	"menshen/service/code"
	"menshen/service/phone"
	"menshen/service/random"
	"menshen/service/vault"
)

// Admin holds the rules of operators: they find users, ban them, end their sessions and
// lift the limits of numbers. Every act is one transaction with its audit line.
type Admin struct {
	Users   UserStore
	Sent    MessageLog
	Endings *Endings
	Audit   AuditStore
	Marks   Marks
	Quotas  *code.Quotas // of numbers
	Codes   *code.Verifier
	Sender  *code.Sender
	Vault   *vault.Vault
	Numbers phone.Numbers
	Catalog model.Catalog
	Now     func() time.Time
	// OnError may be nil. It receives numbers that cannot be decrypted, and must not block.
	OnError func(err error)
}

// Operator is the person who acts. Every method of Admin and Audit treats users of
// companies that the operator does not serve as if there were none.
type Operator struct {
	Name      string // of the admin key
	Role      model.Role
	Companies model.Companies // whose users the operator serves
	Caller    model.Caller
}

// event returns an event about a user, caused by the operator. The zero user is none. An
// empty reason is left out.
func (o Operator) event(kind model.Kind, user model.User, now model.Time, reason string) model.Event {
	line := event(kind, model.Session{UserID: user.ID, CompanyType: user.CompanyType}, now, model.Caller{IP: o.Caller.IP, RequestID: o.Caller.RequestID})
	line.Actor = o.Name
	if user.ID == 0 {
		line.CompanyType = nil
	}
	if reason != "" {
		line.Detail = model.EventDetail("reason", reason)
	}
	return line
}

// MaxReason bounds an operator's reason, in characters.
const MaxReason = 256

// CheckReason checks the reason that an operator gives for an act: text of 1
// to MaxReason characters, none of them a control character. It returns what is wrong,
// model.ReasonRequired, ReasonLength or ReasonCharset, or "" if the reason is valid.
func CheckReason(reason string) (problem string) {
	switch {
	case reason == "":
		return model.ReasonRequired
	case utf8.RuneCountInString(reason) > MaxReason:
		return model.ReasonLength
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return model.ReasonCharset
	}
	return ""
}

// profile returns the user with the number masked, because an operator needs no more. A
// number that cannot be decrypted is masked entirely, so that its owner can be helped
// all the same.
func (a *Admin) profile(user model.User) Profile {
	if user.Mobile == nil {
		return Profile{User: user}
	}
	mobile, err := a.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil && a.OnError != nil {
		a.OnError(err)
	}
	return Profile{User: user, Mobile: mobile.String()}
}

// Person is what an operator sees of a user.
type Person struct {
	Profile   Profile
	Sessions  []model.Session // active ones, newest first
	LastLogin model.Time      // 0: none is known
	Locks     code.Locks      // of the number; none if it cannot be decrypted
}

// user returns an account that the operator serves, model.ErrNotFound if there is none.
func (a *Admin) user(ctx context.Context, by Operator, id int64) (model.User, error) {
	return served(by)(a.Users.ByID(ctx, id))
}

// lock is user that makes other writers of the account wait until the transaction ends.
func (a *Admin) lock(ctx context.Context, by Operator, id int64) (model.User, error) {
	return served(by)(a.Users.Lock(ctx, id))
}

// served replaces an account that the operator does not serve by model.ErrNotFound.
func served(by Operator) func(user model.User, err error) (model.User, error) {
	return func(user model.User, err error) (model.User, error) {
		if err == nil && !by.Companies.Include(user.CompanyType) {
			return model.User{}, model.ErrNotFound
		}
		return user, err
	}
}

// Show returns a user, and records the look.
//
// Errors: model.ErrNotFound.
func (a *Admin) Show(ctx context.Context, by Operator, id int64) (Person, error) {
	user, err := a.user(ctx, by, id)
	if err != nil {
		return Person{}, err
	}
	person, err := a.Person(ctx, user)
	if err != nil {
		return person, err
	}
	return person, a.Endings.Events.Append(ctx, by.viewed(user, model.TimeOf(a.Now())))
}

// Person returns what an operator sees of a user. The caller must have recorded the look,
// as Find does.
func (a *Admin) Person(ctx context.Context, user model.User) (person Person, err error) {
	person.Profile = a.profile(user)
	if person.Sessions, err = a.Endings.Active(ctx, model.Session{UserID: user.ID}); err != nil {
		return person, err
	}
	if person.LastLogin, err = a.Endings.Store.LastLogin(ctx, user.ID); err != nil {
		return person, err
	}
	if number, err := a.Vault.UnsealMobile(user.Mobile, user.ID); err == nil {
		person.Locks, err = a.Quotas.Locks(ctx, a.Vault.NumberKey(number))
		return person, err
	}
	return person, nil
}

// Ban bans a user until the given time, or for ever if until is 0. It ends all sessions
// in the same transaction: at no moment has a banned user an active one. A ban of a
// banned user replaces reason and end. Ban returns how many sessions ended.
//
// If acts race, the one whose line is last in the log holds.
//
// Errors: model.ErrNotFound, and ErrMalformed for an end in the past.
func (a *Admin) Ban(ctx context.Context, by Operator, id int64, reason string, until model.Time) (ended int, err error) {
	until = cmp.Or(until, model.Forever)
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		user, err := a.setBan(ctx, by, id, ban{until, reason})
		if err != nil {
			return err
		}
		now := model.TimeOf(a.Now()) // under the lock: times follow the order of the acts
		if until <= now {
			return model.MalformedField("until", model.ReasonRange)
		}
		line := by.event(model.EventBan, user, now, reason)
		if until != model.Forever {
			line.Detail = model.EventDetail("reason", reason, "until", until.String())
		}
		if err := a.Endings.Events.Append(ctx, line); err != nil {
			return err
		}
		ended, err = a.Endings.endAll(ctx, id, anySession, endSpec{
			reason: model.ReasonBanned, actor: by.Name, note: reason, at: now, caller: by.Caller,
		})
		return err
	})
	return ended, err
}

// Unban lifts a ban. Ended sessions stay ended. Success if the user is not banned. The
// reason may be empty.
//
// Errors: model.ErrNotFound.
func (a *Admin) Unban(ctx context.Context, by Operator, id int64, reason string) error {
	return a.Endings.Within(ctx, func(ctx context.Context) error {
		user, err := a.setBan(ctx, by, id, ban{})
		if err != nil {
			return err
		}
		return a.Endings.Events.Append(ctx, by.event(model.EventUnban, user, model.TimeOf(a.Now()), reason))
	})
}

// ban is the end of a ban and its reason; the zero value is none.
type ban struct {
	until  model.Time
	reason string
}

// setBan locks the account and sets its ban.
func (a *Admin) setBan(ctx context.Context, by Operator, id int64, b ban) (model.User, error) {
	user, err := a.lock(ctx, by, id)
	if err != nil {
		return user, err
	}
	return user, a.Users.SetBan(ctx, id, b.until, b.reason)
}

// Kick ends the sessions of a user that match the target and returns how many this call
// ended. Each session that ends has a line in the log. A kick that ends none writes one
// line, without a session.
//
// Errors: model.ErrNotFound for an unknown user.
func (a *Admin) Kick(ctx context.Context, by Operator, id int64, target KickTarget, reason string) (ended int, err error) {
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		user, err := a.lock(ctx, by, id)
		if err != nil {
			return err
		}
		now := model.TimeOf(a.Now()) // under the lock: times follow the order of the acts
		ended, err = a.Endings.endAll(ctx, id, target.matches, endSpec{
			reason: model.ReasonKicked, actor: by.Name, note: reason, at: now, caller: by.Caller,
		})
		if err != nil || ended > 0 {
			return err
		}
		if target.SessionID != "" { // ended by another
			a.Endings.Cache.markEnded(target.SessionID)
		}
		line := by.event(model.EventKick, user, now, reason)
		line.Detail = target.detail(reason)
		return a.Endings.Events.Append(ctx, line)
	})
	return ended, err
}

// KickTarget selects the sessions of a kick. nil and "" match every session.
type KickTarget struct {
	ProductType *int32
	SessionID   string
}

func (k KickTarget) matches(s model.Session) bool {
	return (k.ProductType == nil || *k.ProductType == s.ProductType) && (k.SessionID == "" || k.SessionID == s.ID)
}

// detail returns the reason and the target of a kick. It leaves out text that cannot be
// a session's id, because the text could be anything.
func (k KickTarget) detail(reason string) string {
	pairs := []string{"reason", reason}
	if k.ProductType != nil {
		pairs = append(pairs, "productType", strconv.Itoa(int(*k.ProductType)))
	}
	if len(k.SessionID) == len(random.TextID()) {
		pairs = append(pairs, "sessionId", k.SessionID)
	}
	return model.EventDetail(pairs...)
}

// ParseID parses a user's id in a path. Any other text is model.ErrNotFound.
func ParseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text {
		return 0, model.ErrNotFound
	}
	return id, nil
}
