package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"menshen/model"
	"menshen/service/code"
	"menshen/service/phone"
	"menshen/service/random"
	"menshen/service/token"
	"menshen/service/vault"
)

// Login exchanges a valid code for a session.
type Login struct {
	Codes    *code.Verifier
	Users    UserStore
	Sessions *Sessions
	Vault    *vault.Vault
	Numbers  phone.Numbers
	Catalog  model.Catalog
	Limit    RateLimit // by address; may be nil
	Now      func() time.Time
}

// LoginRequest is a request whose form has been checked.
type LoginRequest struct {
	CompanyType    int32
	ProductType    int32
	Mobile         string
	Source         string
	ValidateNo     model.Secret
	DeviceNumber   string       // "": bind at the first check
	ReplaceSession string       // under the policy "reject": the session to end for the new one
	Ticket         model.Secret // of the code; "" when none was given
	Caller         model.Caller
}

// LoginResult is a new session's tokens and its user.
type LoginResult struct {
	Access    IssuedToken
	Refresh   IssuedToken
	User      Profile
	Displaced int // sessions that this login displaced
	// Credential shows that the device has logged in.
	Credential model.Secret
}

// BannedUntil is the data of model.ErrBanned; null is for ever.
type BannedUntil struct {
	Until *model.Time `json:"until"`
}

// DeviceInUse is one line of the data of model.ErrDeviceLimit.
type DeviceInUse struct {
	ID           string     `json:"id"`
	DeviceName   string     `json:"deviceName"`
	LoginTime    model.Time `json:"loginTime"`
	LastSeenTime model.Time `json:"lastSeenTime"`
}

// DevicesInUse is the data of model.ErrDeviceLimit.
type DevicesInUse struct {
	Devices []DeviceInUse `json:"devices"`
}

// Do logs in. Of any number of concurrent requests with one valid code exactly one
// succeeds. The first login of a number registers its user. Older sessions of the same
// user and product group beyond the product's limit end.
//
// Errors, in the order in which they are judged: model.ErrMalformed, ErrMobile,
// ErrTooMany, ErrTooManyFailures, ErrCode, ErrBanned (the code is used up), ErrDeviceLimit
// (the code stays unused).
func (l *Login) Do(ctx context.Context, r LoginRequest) (LoginResult, error) {
	company, product, err := l.Catalog.Find(r.CompanyType, r.ProductType)
	if err != nil {
		return LoginResult{}, err
	}
	mobile, err := l.Numbers.Parse(r.Mobile)
	if err != nil {
		return LoginResult{}, err
	}
	if err := l.Limit.take(model.AddressKey(r.Caller.IP)); err != nil {
		return LoginResult{}, err
	}
	attempt := code.Attempt{
		CompanyType: r.CompanyType, Purpose: model.PurposeLogin, Mobile: mobile, Code: r.ValidateNo, Tickets: []model.Secret{r.Ticket}, Caller: r.Caller,
	}
	for { // each try draws another id for a new account
		var result LoginResult
		var banned error
		err = l.Codes.Redeem(ctx, l.Sessions, func(ctx context.Context) error {
			now := model.TimeOf(l.Now())
			user, created, err := l.account(ctx, company, mobile, r.Source, now)
			if err != nil {
				return err
			}
			if banned = bannedFailure(user, now); banned != nil {
				return nil //nolint:nilerr // the refusal is returned after the commit: the code is used up
			}
			result, err = l.openSession(ctx, newSession{request: r, product: product, user: user, created: created, now: now})
			result.User = Profile{User: user, Mobile: l.Numbers.National(mobile)}
			result.Credential = l.Vault.Credential(user, now)
			return err
		}, attempt)
		if !errors.Is(err, model.ErrIDTaken) {
			if err == nil && banned == nil {
				l.Sessions.keepPair(result.Refresh.Value)
			}
			return result, cmp.Or(err, banned)
		}
	}
}

func bannedFailure(user model.User, now model.Time) error {
	if !user.Banned(now) {
		return nil
	}
	if user.BannedUntil == model.Forever {
		return model.ErrBanned.With(BannedUntil{})
	}
	return model.ErrBanned.With(BannedUntil{Until: &user.BannedUntil})
}

// account returns the number's account in the company, locked. The first login creates
// it. If registration is closed, an unknown number is model.ErrCode.
func (l *Login) account(ctx context.Context, company model.Company, mobile model.Mobile, source string, now model.Time) (model.User, bool, error) {
	if company.Closed {
		_, err := l.Users.ByNumber(ctx, company.Type, l.Vault.MobileKey(company.Type, mobile))
		if errors.Is(err, model.ErrNotFound) {
			return model.User{}, false, model.ErrCode
		}
		if err != nil {
			return model.User{}, false, err
		}
	}
	user, created, err := l.register(ctx, company, mobile, source, now)
	if err == nil && user.DeletedAt != 0 && !user.Banned(now) {
		// A ban kept the number of a deleted account, and is over: the present owner of
		// the number gets a new account.
		if company.Closed {
			return user, false, model.ErrCode
		}
		if err := l.Users.Free(ctx, user.ID); err != nil {
			return user, false, err
		}
		return l.register(ctx, company, mobile, source, now)
	}
	if err == nil && created && company.Closed { // the account was deleted since it was found
		err = model.ErrCode
	}
	return user, created, err
}

func (l *Login) register(ctx context.Context, company model.Company, mobile model.Mobile, source string, now model.Time) (model.User, bool, error) {
	user := newUser(l.Vault, company.Type, mobile, now)
	user.FirstSource, user.LastSource = source, source
	return l.Users.Register(ctx, user)
}

// newSession holds what openSession needs for a new session.
type newSession struct {
	request LoginRequest
	product model.Product
	user    model.User
	created bool
	now     model.Time
}

// openSession ends sessions of the user and product group as the limit demands and
// inserts the new one, all under the lock of the login sequence.
func (l *Login) openSession(ctx context.Context, n newSession) (LoginResult, error) {
	s := l.Sessions
	session := model.Session{
		ID: random.TextID(), UserID: n.user.ID, CompanyType: n.user.CompanyType, ProductType: n.product.Type,
		ProductGroup: n.product.Group, DeviceNumber: n.request.DeviceNumber, DeviceName: n.request.Caller.Device,
		IP: n.request.Caller.IP, Source: n.request.Source,
	}
	sequence, active, err := s.Store.Advance(ctx, model.LoginSequence{
		UserID: session.UserID, ProductGroup: session.ProductGroup, LoginAt: n.now, SessionID: session.ID,
	})
	if err != nil {
		return LoginResult{}, err
	}
	session.Epoch, session.LoginAt = sequence.Epoch, sequence.LoginAt
	leaving, err := sessionsToEnd(active, session, n)
	if err != nil {
		return LoginResult{}, err
	}
	displaced, err := l.endReplaced(ctx, leaving, session, n)
	if err != nil {
		return LoginResult{}, err
	}
	session.Seat = lowestFreeSeat(active, leaving)
	result, err := l.insert(ctx, session, n)
	result.Displaced = displaced
	return result, err
}

// endReplaced ends the sessions in leaving and returns how many were displaced.
func (l *Login) endReplaced(ctx context.Context, leaving []model.Session, session model.Session, n newSession) (int, error) {
	displaced := 0
	for _, old := range leaving {
		how := endSpec{reason: old.EndReason, by: session.DeviceName, actor: model.ActorUser, at: n.now, caller: n.request.Caller}
		if old.EndReason == model.ReasonExpired {
			how = expired(n.now)
		}
		ended, err := l.Sessions.end(ctx, old, how)
		if err != nil {
			return 0, err
		}
		if !ended || old.EndReason != model.ReasonDisplaced {
			continue
		}
		displaced++
		if err := l.Sessions.recordKickWar(ctx, session, old, n.now, n.request.Caller); err != nil {
			return 0, err
		}
	}
	return displaced, nil
}

// insert mints the tokens of the new session and stores it with its events.
func (l *Login) insert(ctx context.Context, session model.Session, n newSession) (result LoginResult, err error) {
	s := l.Sessions
	session.EndsAt = n.now.Add(cmp.Or(n.product.RefreshTTL, s.RefreshTTL)).Second()
	if result.Access, err = s.issue(ctx, &session, 1, n.now); err != nil {
		return result, err
	}
	result.Refresh.Expire = session.EndsAt
	result.Refresh.Value, session.RefreshHash = token.NewRefresh(session.ID)
	if err := s.Store.Insert(ctx, session); err != nil {
		return result, err
	}
	line := event(model.EventLogin, session, n.now, n.request.Caller)
	line.Detail = model.EventDetail("source", n.request.Source, "productType", strconv.Itoa(int(session.ProductType)))
	lines := []model.Event{line}
	if n.created {
		register := event(model.EventRegister, model.Session{UserID: session.UserID, CompanyType: session.CompanyType}, n.now, n.request.Caller)
		register.Detail = line.Detail
		lines = []model.Event{register, line}
	}
	return result, s.Events.Append(ctx, lines...)
}

// sessionsToEnd selects the active sessions that end for the new one, each with its
// reason set. In this order: sessions past their end, the one on the same device, then
// the lowest epochs beyond the limit. Under the policy "reject" the limit refuses the
// new session instead, unless a session on the same device or one that the request names
// ends for it. Then the new session takes its place, even if the limit is now below the
// number of sessions.
func sessionsToEnd(active []model.Session, session model.Session, n newSession) ([]model.Session, error) {
	var leaving, staying []model.Session
	for _, old := range active {
		switch {
		case old.Expired(n.now):
			old.EndReason = model.ReasonExpired
		case session.DeviceNumber != "" && old.DeviceNumber == session.DeviceNumber:
			old.EndReason = model.ReasonRelogin
		case n.product.Reject && old.ID == n.request.ReplaceSession:
			old.EndReason = model.ReasonDisplaced
		default:
			staying = append(staying, old)
			continue
		}
		leaving = append(leaving, old)
	}
	excess := len(staying) - (n.product.MaxSessions - 1)
	gaveWay := func(old model.Session) bool { return old.EndReason != model.ReasonExpired } // ended to make room
	if excess <= 0 || n.product.Reject && slices.ContainsFunc(leaving, gaveWay) {
		return leaving, nil
	}
	if n.product.Reject {
		devices := make([]DeviceInUse, 0, len(staying))
		for _, s := range slices.Backward(staying) {
			devices = append(devices, DeviceInUse{ID: s.ID, DeviceName: s.DeviceName, LoginTime: s.LoginAt, LastSeenTime: s.LastSeenAt})
		}
		return nil, model.ErrDeviceLimit.With(DevicesInUse{Devices: devices})
	}
	for _, old := range staying[:excess] { // lowest epochs first
		old.EndReason = model.ReasonDisplaced
		leaving = append(leaving, old)
	}
	return leaving, nil
}

// lowestFreeSeat returns the lowest seat that no staying session holds.
func lowestFreeSeat(active, leaving []model.Session) *int32 {
	taken := map[int32]bool{}
	for _, s := range active {
		left := slices.ContainsFunc(leaving, func(l model.Session) bool { return l.ID == s.ID })
		if !left && s.Seat != nil {
			taken[*s.Seat] = true
		}
	}
	seat := int32(0)
	for taken[seat] {
		seat++
	}
	return &seat
}
