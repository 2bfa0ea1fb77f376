package controller

import (
	"time"

	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// Session serves the routes about sessions.
type Session struct {
	Sessions *service.Sessions
	Now      func() time.Time // for the deadlines of connections
	// OnStreamError receives panics of open streams. May be nil. Must not block.
	OnStreamError func(err error)
}

// Refresh is POST /app/auth/token/refresh.
func (h Session) Refresh(c *gin.Context) (any, error) {
	access, refresh, err := readPair(c)
	if err != nil {
		return nil, err
	}
	token, err := h.Sessions.Refresh(c.Request.Context(), access, refresh, callerOf(c))
	if err != nil {
		return nil, err
	}
	return viewToken(token), nil
}

func readPair(c *gin.Context) (access, refresh model.Secret, err error) {
	body, err := readObject(c)
	if err != nil {
		return "", "", err
	}
	access = model.Secret(body.Verbatim("accessToken", maxBody))
	refresh = model.Secret(body.Verbatim("refreshToken", maxBody))
	return access, refresh, body.Err()
}

// checkView is CheckLoginStatusResp.
type checkView struct {
	IsLogin       bool       `json:"isLogin"`
	LastLoginTime model.Time `json:"lastLoginTime"`
}

// The response to nearly every check: the session is active.
var (
	activeState   = []string{string(service.StateActive)}
	stillLoggedIn = &middleware.StaticData{Data: checkView{IsLogin: true}}
)

// Check is GET /wx/pc/check-login-status. It bounds its work by itself, since a client
// may ask for the response to be held.
func (h Session) Check(c *gin.Context) (any, error) {
	device, err := deviceFromCheck(c)
	if err != nil {
		return nil, err
	}
	wait, err := queryWait(c, h.Now)
	if err != nil {
		return nil, err
	}
	result, err := h.Sessions.CheckAndWait(c.Request.Context(), middleware.RequestOf(c).Claims, device, wait,
		func() model.Caller { return callerOf(c) })
	if err != nil {
		return nil, err
	}
	if result.State == service.StateActive {
		c.Writer.Header()["X-Login-State"] = activeState
		return stillLoggedIn, nil
	}
	c.Header("X-Login-State", string(result.State))
	return checkView{IsLogin: result.IsLogin, LastLoginTime: result.LastLoginTime}, nil
}

type endedView struct {
	Ended int `json:"ended"`
}

// Logout is POST /app/auth/logout.
func (h Session) Logout(c *gin.Context) (any, error) {
	body, err := readOptionalObject(c)
	if err != nil {
		return nil, err
	}
	scope := service.ScopeCurrent
	if text, given := body.OptionalString("scope", maxText); given {
		scope = service.Scope(text)
		switch scope {
		case service.ScopeCurrent, service.ScopeOthers, service.ScopeAll:
		default:
			body.Reject("scope", model.ReasonUnknown)
		}
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	r := middleware.RequestOf(c)
	ended, err := h.Sessions.Logout(c.Request.Context(), r.Token, r.Claims, scope, callerOf(c))
	return endedView{Ended: ended}, err
}

type sessionView struct {
	ID           string     `json:"id"`
	ProductType  int32      `json:"productType"`
	DeviceNumber string     `json:"deviceNumber"`
	DeviceName   string     `json:"deviceName"`
	IP           string     `json:"ip"`
	LoginTime    model.Time `json:"loginTime"`
	LastSeenTime model.Time `json:"lastSeenTime"`
	Current      bool       `json:"current"`
}

type endedSessionView struct {
	sessionView
	EndedAt model.Time   `json:"endedAt"`
	Reason  model.Reason `json:"reason"`
	By      *string      `json:"by"`
}

// viewer is who reads a list of sessions: an operator, or the device of a session.
type viewer struct {
	operator bool
	session  string
	device   string // its number, "" if it gave none
}

// viewerOf is the sender of a request.
func viewerOf(c *gin.Context) viewer {
	return viewer{session: middleware.RequestOf(c).Session.ID, device: deviceFromHeader(c)}
}

// viewSession shows a device number in full to operators and to that device alone: who
// knows it can pass as the device.
func (v viewer) viewSession(s model.Session) sessionView {
	number := s.DeviceNumber
	if !v.operator && number != v.device {
		number = maskDevice(number)
	}
	return sessionView{
		ID: s.ID, ProductType: s.ProductType, DeviceNumber: number, DeviceName: s.DeviceName, IP: s.IP,
		LoginTime: s.LoginAt, LastSeenTime: s.LastSeenAt, Current: s.ID == v.session,
	}
}

func (v viewer) viewSessions(sessions []model.Session) []sessionView {
	return viewEach(sessions, v.viewSession)
}

func (v viewer) viewEndedSessions(sessions []model.Session) []endedSessionView {
	return viewEach(sessions, func(s model.Session) endedSessionView {
		view := endedSessionView{sessionView: v.viewSession(s), EndedAt: s.EndedAt, Reason: s.EndReason}
		if s.EndedBy != "" {
			view.By = &s.EndedBy
		}
		return view
	})
}

// List is GET /app/auth/sessions.
func (h Session) List(c *gin.Context) (any, error) {
	own := middleware.RequestOf(c).Session
	value, given, err := queryValue(c, "ended")
	if err != nil {
		return nil, err
	}
	switch {
	case !given, value == "false":
		sessions, err := h.Sessions.Active(c.Request.Context(), own)
		return viewerOf(c).viewSessions(sessions), err
	case value == "true":
		sessions, err := h.Sessions.Ended(c.Request.Context(), own)
		return viewerOf(c).viewEndedSessions(sessions), err
	default:
		return nil, model.MalformedField("ended", model.ReasonFormat)
	}
}

// Delete is DELETE /app/auth/sessions/{id}.
func (h Session) Delete(c *gin.Context) (any, error) {
	ended, err := h.Sessions.Delete(c.Request.Context(), middleware.RequestOf(c).Session, c.Param("id"), callerOf(c))
	return endedView{Ended: ended}, err
}
