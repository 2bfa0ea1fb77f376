package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
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
	result, err := h.Sessions.CheckAndWait(c.Request.Context(), requestOf(c).Claims, device, wait, callerOf(c))
	if err != nil {
		return nil, err
	}
	c.Header("X-Login-State", string(result.State))
	return checkView{IsLogin: result.IsLogin, LastLoginTime: result.LastLoginTime}, nil
}
