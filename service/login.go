package service

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"menshen/model"
)

// Login exchanges a right code for a session.
type Login struct {
	Codes    *Codes
	Users    UserStore
	Sessions *Sessions
	Vault    *Vault
	Numbers  Numbers
	Catalog  Catalog
	Shield   Shield // by address
	Now      func() time.Time
}

// LoginRequest is a well-shaped request.
type LoginRequest struct {
	CompanyType    int32
	ProductType    int32
	Mobile         string
	Source         string
	ValidateNo     model.Secret
	DeviceNumber   string // "": bind at the first check
	ReplaceSession string // under the policy "reject": the session that gives way
	Caller         Caller
}

// LoginResult is a new session's tokens and its user.
type LoginResult struct {
	Access    IssuedToken
	Refresh   IssuedToken
	User      Profile
	Displaced int // sessions that this login displaced
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

// errIDTaken asks for another try with another random id.
var errIDTaken = errors.New("user id is taken")

// Do logs in: of any number of concurrent requests with one right code exactly
// one succeeds. The first login of a number registers its user. Older sessions
// of the same user and product group beyond the product's limit end.
//
// Errors, in the order in which they are judged: model.ErrMalformed, ErrMobile,
// ErrTooMany, ErrTooManyFailures, ErrCode, ErrBanned (the code is used up), ErrDeviceLimit
// (the code stays unused).
func (l *Login) Do(ctx context.Context, r LoginRequest) (LoginResult, error) {
	company, product, err := l.Catalog.find(r.CompanyType, r.ProductType)
	if err != nil {
		return LoginResult{}, err
	}
	mobile, err := l.Numbers.Parse(r.Mobile)
	if err != nil {
		return LoginResult{}, err
	}
	if err := l.Shield.take(model.AddressKey(r.Caller.IP)); err != nil {
		return LoginResult{}, err
	}
	code, err := l.Codes.attempt(ctx, r.CompanyType, model.PurposeLogin, mobile, r.ValidateNo, r.Caller)
	if err != nil {
		return LoginResult{}, err
	}
	for {
		var result LoginResult
		var banned error
		err = l.Sessions.atomically(ctx, func(ctx context.Context) error {
			now := model.TimeOf(l.Now())
			if err := l.Codes.Store.Use(ctx, code.ID, now); err != nil {
				return err
			}
			user, created, err := l.account(ctx, company, mobile, r.Source, now)
			if err != nil {
				return err
			}
			if banned = bannedFailure(user, now); banned != nil {
				return nil //nolint:nilerr // told afterwards: the code is used up
			}
			result, err = l.open(ctx, opening{request: r, product: product, user: user, created: created, now: now})
			result.User = Profile{User: user, Mobile: l.Numbers.National(mobile)}
			return err
		})
		if !errors.Is(err, errIDTaken) {
			return result, errors.Join(err, banned)
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

// account is the number's account in the company, locked; made at the first
// login. Where registration is closed an unknown number is model.ErrCode.
func (l *Login) account(ctx context.Context, company Company, mobile model.Mobile, source string, now model.Time) (model.User, bool, error) {
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
		// A ban kept the number of a deleted account, and is over: whoever has
		// the number now begins afresh.
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

func (l *Login) register(ctx context.Context, company Company, mobile model.Mobile, source string, now model.Time) (model.User, bool, error) {
	id := newID()
	user, created, err := l.Users.Register(ctx, model.User{
		ID: id, CompanyType: company.Type, MobileKey: l.Vault.MobileKey(company.Type, mobile), Mobile: l.Vault.SealMobile(mobile, id),
		UserName: "u" + strconv.FormatInt(id, 36), NickName: "用户" + mobile.Last4(),
		FirstSource: source, LastSource: source, CreatedAt: now,
	})
	if errors.Is(err, model.ErrNotFound) {
		err = errIDTaken
	}
	return user, created, err
}

// opening is what a new session is made of.
type opening struct {
	request LoginRequest
	product Product
	user    model.User
	created bool
	now     model.Time
}

// open makes room among the user's sessions of the product group and inserts
// the new one, all under the lock of the slot.
func (l *Login) open(ctx context.Context, o opening) (LoginResult, error) {
	s := l.Sessions
	session := model.Session{
		ID: newName(), UserID: o.user.ID, CompanyType: o.user.CompanyType, ProductType: o.product.Type,
		ProductGroup: o.product.Group, DeviceNumber: o.request.DeviceNumber, DeviceName: o.request.Caller.Device,
		IP: o.request.Caller.IP, Source: o.request.Source,
	}
	slot, err := s.Store.Advance(ctx, model.Slot{
		UserID: session.UserID, ProductGroup: session.ProductGroup, LoginAt: o.now, SessionID: session.ID,
	})
	if err != nil {
		return LoginResult{}, err
	}
	session.Epoch, session.LoginAt = slot.Epoch, slot.LoginAt
	var active []model.Session
	if slot.Epoch > 1 { // else nobody was there before
		if active, err = s.Store.Active(ctx, session.UserID, session.ProductGroup); err != nil {
			return LoginResult{}, err
		}
	}
	leaving, err := giveWay(active, session, o)
	if err != nil {
		return LoginResult{}, err
	}
	displaced, err := l.clear(ctx, leaving, session, o)
	if err != nil {
		return LoginResult{}, err
	}
	session.ActiveSlot = freePlace(active, leaving)
	result, err := l.insert(ctx, session, o)
	result.Displaced = displaced
	return result, err
}

// clear ends the sessions that give way and returns how many were displaced.
func (l *Login) clear(ctx context.Context, leaving []model.Session, session model.Session, o opening) (int, error) {
	displaced := 0
	for _, old := range leaving {
		how := ending{reason: old.EndReason, by: session.DeviceName, actor: actorUser, at: o.now, caller: o.request.Caller}
		if old.EndReason == model.ReasonExpired {
			how = ending{reason: model.ReasonExpired, actor: actorSystem, at: o.now}
		}
		ended, err := l.Sessions.end(ctx, old, how)
		if err != nil {
			return 0, err
		}
		if !ended || old.EndReason != model.ReasonDisplaced {
			continue
		}
		displaced++
		if err := l.Sessions.noteWar(ctx, session, old, o.now, o.request.Caller); err != nil {
			return 0, err
		}
	}
	return displaced, nil
}

// insert mints the tokens of the new session and stores it with its events.
func (l *Login) insert(ctx context.Context, session model.Session, o opening) (result LoginResult, err error) {
	s := l.Sessions
	_, refreshTTL := s.ttls(o.product)
	session.EndsAt = o.now.Add(refreshTTL).Second()
	s.plan(&session, 1, o.now)
	signed := s.signAside(session)
	defer func() {
		token, failed := signed()
		if err == nil {
			result.Access, err = token, failed
		}
	}()
	result.Refresh.Expire = session.EndsAt
	result.Refresh.Value, session.RefreshHash = newRefreshToken(session.ID)
	if err := s.Store.Insert(ctx, session); err != nil {
		return result, err
	}
	line := event(model.EventLogin, session, o.now, o.request.Caller)
	line.Detail = detail("source", o.request.Source, "productType", strconv.Itoa(int(session.ProductType)))
	lines := []model.Event{line}
	if o.created {
		register := event(model.EventRegister, model.Session{UserID: session.UserID}, o.now, o.request.Caller)
		register.Detail = line.Detail
		lines = []model.Event{register, line}
	}
	return result, s.Events.Append(ctx, lines...)
}

// giveWay chooses which active sessions end for the new one, each with its
// reason set: those past their end, then the one on the same device, then the
// lowest epochs beyond the limit. Under the policy "reject" the limit refuses
// the new one instead, unless one on the same device or one that the request
// names gives way: then the new one takes its place, even where the limit has
// been lowered below what there is.
func giveWay(active []model.Session, session model.Session, o opening) ([]model.Session, error) {
	var leaving, staying []model.Session
	for _, old := range active {
		switch {
		case old.Expired(o.now):
			old.EndReason = model.ReasonExpired
		case session.DeviceNumber != "" && old.DeviceNumber == session.DeviceNumber:
			old.EndReason = model.ReasonRelogin
		case o.product.Reject && old.ID == o.request.ReplaceSession:
			old.EndReason = model.ReasonDisplaced
		default:
			staying = append(staying, old)
			continue
		}
		leaving = append(leaving, old)
	}
	excess := len(staying) - (o.product.MaxSessions - 1)
	if excess <= 0 || o.product.Reject && slices.ContainsFunc(leaving, makesRoom) {
		return leaving, nil
	}
	if o.product.Reject {
		return nil, model.ErrDeviceLimit.With(devicesInUse(staying))
	}
	for _, old := range staying[:excess] { // lowest epochs first
		old.EndReason = model.ReasonDisplaced
		leaving = append(leaving, old)
	}
	return leaving, nil
}

// makesRoom reports whether the session would have stayed but for the new one.
func makesRoom(leaving model.Session) bool { return leaving.EndReason != model.ReasonExpired }

func devicesInUse(sessions []model.Session) DevicesInUse {
	devices := make([]DeviceInUse, 0, len(sessions))
	for _, s := range slices.Backward(sessions) {
		devices = append(devices, DeviceInUse{ID: s.ID, DeviceName: s.DeviceName, LoginTime: s.LoginAt, LastSeenTime: s.LastSeenAt})
	}
	return DevicesInUse{Devices: devices}
}

// freePlace is the lowest place that no staying session holds.
func freePlace(active, leaving []model.Session) *int32 {
	taken := map[int32]bool{}
	for _, s := range active {
		left := slices.ContainsFunc(leaving, func(l model.Session) bool { return l.ID == s.ID })
		if !left && s.ActiveSlot != nil {
			taken[*s.ActiveSlot] = true
		}
	}
	place := int32(0)
	for taken[place] {
		place++
	}
	return &place
}
