package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// checkView is CheckLoginStatusResp.
type checkView struct {
	IsLogin       bool       `json:"isLogin"`
	LastLoginTime model.Time `json:"lastLoginTime"`
}

// Check is GET /wx/pc/check-login-status, with the device number in the query,
// the path or a header. It bounds its work by itself, for it may be asked to wait.
func (h Session) Check(c *gin.Context) (any, error) {
	device, err := deviceFromCheck(c)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(c)
	if err != nil {
		return nil, err
	}
	if err := h.hold(c, wait); err != nil {
		return nil, err
	}
	result, err := h.Sessions.CheckAndWait(c.Request.Context(), requestOf(c).Claims, device, wait,
		func() service.Caller { return callerOf(c) })
	if err != nil {
		return nil, err
	}
	if result.State == service.StateActive { // nearly every answer, and always the same
		c.Writer.Header()["X-Login-State"] = activeState
		return stillLoggedIn, nil
	}
	c.Header("X-Login-State", string(result.State))
	return checkView{IsLogin: result.IsLogin, LastLoginTime: result.LastLoginTime}, nil
}

// What does not change from one active session to the next.
var (
	activeState   = []string{string(service.StateActive)}
	stillLoggedIn = &model.Constant{Data: checkView{IsLogin: true}}
)
