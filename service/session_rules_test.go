package service_test

import (
	"slices"
	"time"

	"menshen/model"
	"menshen/service"
)

// The rules of sessions, written from the contract (§2, §4 to §7) and not
// from the code, on lists in memory: what the model test holds the service to.
// Failures are rows of the table, nil is success.

// rules is a deployment.
type rules struct {
	now    model.Time
	places map[string]int // max_sessions by group
	users  []*ruledUser
}

// ruledUser is an account, which exists once it has an id.
type ruledUser struct {
	company  int32
	number   string
	id       int64
	banned   model.Time // until when
	logins   map[string]int64
	newest   map[string]model.Time // login by group
	sessions []*ruledSession
}

// ruledSession is a login and what became of it.
type ruledSession struct {
	user     *ruledUser
	id       string
	product  model.Product
	device   string
	label    string
	epoch    int64
	login    model.Time
	idle     model.Time
	ends     model.Time
	reason   model.Reason // "" while it goes on
	by       string
	access   []ruledToken // by generation, the first is 1
	replaced int          // generation that the newest took the place of
	minted   model.Time   // when the newest was
	used     bool         // the newest was seen in use
	refresh  model.Secret
	probe    model.Secret // the test's own token
	changed  bool         // by the command of the moment
}

type ruledToken struct {
	raw    model.Secret
	claims model.Claims
	exp    model.Time
}

func newRules(users ...*ruledUser) *rules {
	return &rules{places: map[string]int{}, users: users}
}

// gone reports whether the session has ended; one whose time has come ends by
// being looked at.
func (r *rules) gone(s *ruledSession) bool {
	if s.reason == "" && r.spent(s) {
		s.over(model.ReasonExpired, "")
	}
	return s.reason != ""
}

func (r *rules) spent(s *ruledSession) bool { return r.now >= s.idle || r.now >= s.ends }

func (s *ruledSession) over(reason model.Reason, by string) {
	s.reason, s.by, s.changed = reason, by, true
}

// failure is how a call that needs a live session is refused.
func (s *ruledSession) failure() *model.Failure {
	if s.reason == model.ReasonDisplaced {
		return model.ErrDisplaced
	}
	return model.ErrSessionEnded
}

// lastLogin is the time of the newest login in the session's group.
func (s *ruledSession) lastLogin() model.Time { return s.user.newest[s.product.Group] }

// going lists the user's sessions of a group that have not been seen to end; of
// all groups for "".
func (u *ruledUser) going(group string) (going []*ruledSession) {
	for _, s := range u.sessions {
		if s.reason == "" && (group == "" || s.product.Group == group) {
			going = append(going, s)
		}
	}
	return going
}

// loginAttempt is a login that is loginAttempt for.
type loginAttempt struct {
	user          *ruledUser
	product       model.Product
	device, label string
	replace       string // session
}

// login is the new session and how many it displaced.
func (r *rules) login(a loginAttempt) (*ruledSession, int, *model.Failure) {
	if r.now < a.user.banned {
		return nil, 0, model.ErrBanned
	}
	group, leaving := a.product.Group, map[*ruledSession]model.Reason{}
	var staying []*ruledSession
	for _, s := range a.user.going(group) {
		switch {
		case r.spent(s):
			leaving[s] = model.ReasonExpired
		case a.device != "" && s.device == a.device:
			leaving[s] = model.ReasonRelogin
		case a.product.Reject && a.replace == s.id:
			leaving[s] = model.ReasonDisplaced
		default:
			staying = append(staying, s)
		}
	}
	slices.SortFunc(staying, func(a, b *ruledSession) int { return int(a.epoch - b.epoch) })
	if over := len(staying) + 1 - r.places[group]; over > 0 {
		replaced := false
		for _, reason := range leaving {
			replaced = replaced || reason != model.ReasonExpired
		}
		switch {
		case a.product.Reject && !replaced:
			return nil, 0, model.ErrDeviceLimit
		case !a.product.Reject:
			for _, s := range staying[:over] {
				leaving[s] = model.ReasonDisplaced
			}
		}
	}
	displaced := 0
	for s, reason := range leaving {
		s.over(reason, a.label)
		if reason == model.ReasonDisplaced {
			displaced++
		}
	}
	a.user.logins[group]++
	a.user.newest[group] = max(a.user.newest[group], r.now)
	s := &ruledSession{
		user: a.user, product: a.product, device: a.device, label: a.label, epoch: a.user.logins[group], login: a.user.newest[group],
		ends: r.now.Add(refreshTTL(a.product)).Second(), changed: true,
	}
	r.mint(s, 0)
	a.user.sessions = append(a.user.sessions, s)
	return s, displaced, nil
}

func refreshTTL(p model.Product) time.Duration {
	if p.RefreshTTL != 0 {
		return p.RefreshTTL
	}
	return shortRefresh
}

func accessTTL(p model.Product) time.Duration {
	if p.AccessTTL != 0 {
		return p.AccessTTL
	}
	return tokenTTL
}

// mint adds the session's next access token.
func (r *rules) mint(s *ruledSession, replaced int) {
	s.access = append(s.access, ruledToken{exp: min(r.now.Second().Add(accessTTL(s.product)), s.ends)})
	s.replaced, s.minted, s.used, s.idle = replaced, r.now, false, r.now.Add(shortIdle)
}

// authenticate is any call that needs a live session, by the token of
// generation gen.
func (r *rules) authenticate(s *ruledSession, gen int) *model.Failure {
	switch {
	case r.gone(s):
		return s.failure()
	case r.now >= s.access[gen-1].exp:
		return model.ErrTokenExpired
	}
	s.used = s.used || gen == len(s.access)
	return nil
}

// check is the answer to a check with the token of generation gen.
func (r *rules) check(s *ruledSession, gen int, device string) (service.LoginState, *model.Failure) {
	if r.gone(s) {
		return service.LoginState(s.reason), nil
	}
	if r.now >= s.access[gen-1].exp {
		return "", model.ErrTokenExpired
	}
	bound := s.device == ""
	if bound {
		if r.bind(s, device); s.reason != "" {
			return service.LoginState(s.reason), nil
		}
	}
	s.used = s.used || gen == len(s.access)
	switch {
	case s.device != device:
		return service.StateDeviceMismatch, nil
	case bound:
		return service.StateBound, nil
	}
	return service.StateActive, nil
}

// bind ties a session to its first device: it and another of the group on that
// device are one device, whose older login ends.
func (r *rules) bind(s *ruledSession, device string) {
	s.device, s.changed = device, true
	for _, twin := range s.user.going(s.product.Group) {
		if twin == s || twin.device != device || r.gone(twin) {
			continue
		}
		older := twin
		if s.epoch < twin.epoch {
			older = s
		}
		older.over(model.ReasonRelogin, "")
	}
}

// fastRotate is a refresh with the token of generation gen: the outcome is the
// session's newest token.
func (r *rules) renew(s *ruledSession, gen int) *model.Failure {
	if r.gone(s) {
		return s.failure()
	}
	newest, fresh := len(s.access), r.now-s.minted <= model.Time(reuseGrace.Milliseconds())
	switch {
	case gen == newest:
		r.mint(s, newest)
	case gen < s.replaced && fresh:
		return model.ErrStalePair
	case gen >= s.replaced && fresh && r.now < s.access[newest-1].exp:
		// the newest once more
	case gen >= s.replaced && fresh, gen == s.replaced && !s.used:
		r.mint(s, s.replaced) // no client ever had the newest, or it is of no use
	default:
		s.over(model.ReasonReuse, "")
		return s.failure()
	}
	return nil
}

// end ends those of the user's sessions that fit, and counts them: one whose
// time has come was no longer there to be ended.
func (r *rules) end(u *ruledUser, reason model.Reason, fits func(s *ruledSession) bool) (ended int) {
	for _, s := range u.going("") {
		if fits(s) && !r.gone(s) {
			s.over(reason, "")
			ended++
		}
	}
	return ended
}

func everySession(*ruledSession) bool { return true }
