package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

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
	r := requestOf(c)
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

func viewSession(s model.Session, current string) sessionView {
	return sessionView{
		ID: s.ID, ProductType: s.ProductType, DeviceNumber: s.DeviceNumber, DeviceName: s.DeviceName, IP: s.IP,
		LoginTime: s.LoginAt, LastSeenTime: s.LastSeenAt, Current: s.ID == current,
	}
}

// List is GET /app/auth/sessions.
func (h Session) List(c *gin.Context) (any, error) {
	own := requestOf(c).Session
	value, given, err := queryValue(c, "ended")
	if err != nil {
		return nil, err
	}
	switch {
	case !given, value == "false":
		sessions, err := h.Sessions.Active(c.Request.Context(), own)
		views := make([]sessionView, 0, len(sessions))
		for _, s := range sessions {
			views = append(views, viewSession(s, own.ID))
		}
		return views, err
	case value == "true":
		sessions, err := h.Sessions.Ended(c.Request.Context(), own)
		return viewEnded(sessions, own.ID), err
	default:
		return nil, model.Malformed1("ended", model.ReasonFormat)
	}
}

func viewEnded(sessions []model.Session, current string) []endedSessionView {
	views := make([]endedSessionView, 0, len(sessions))
	for _, s := range sessions {
		view := endedSessionView{sessionView: viewSession(s, current), EndedAt: s.EndedAt, Reason: s.EndReason}
		if s.EndedBy != "" {
			view.By = &s.EndedBy
		}
		views = append(views, view)
	}
	return views
}

// Delete is DELETE /app/auth/sessions/{id}.
func (h Session) Delete(c *gin.Context) (any, error) {
	ended, err := h.Sessions.Delete(c.Request.Context(), requestOf(c).Session, c.Param("id"), callerOf(c))
	return endedView{Ended: ended}, err
}
