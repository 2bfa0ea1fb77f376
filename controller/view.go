// Package controller binds requests, calls one service method each, and shapes
// the views. What crosses the wire is a struct of this package, never a row.
package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// tokenView is AccessToken and RefreshToken.
type tokenView struct {
	Expire model.Time `json:"expire"`
	Value  string     `json:"value"`
}

func viewToken(t service.IssuedToken) tokenView {
	return tokenView{Expire: t.Expire, Value: string(t.Value)}
}

// userView is UserInfo. Strings are "" when unset, never null.
type userView struct {
	AvatarURL   string `json:"avatarUrl"`
	CompanyType int32  `json:"companyType"`
	ID          int64  `json:"id"`
	Mobile      string `json:"mobile"`
	NickName    string `json:"nickName"`
	RealName    string `json:"realName"`
	UserName    string `json:"userName"`
}

func viewUser(p service.Profile) userView {
	return userView{
		AvatarURL: p.User.AvatarURL, CompanyType: p.User.CompanyType, ID: p.User.ID, Mobile: p.Mobile,
		NickName: p.User.NickName, RealName: p.User.RealName, UserName: p.User.UserName,
	}
}

// requestOf is what the guards found out.
func requestOf(c *gin.Context) *model.Request {
	return c.Writer.(model.Asked).Asked()
}

func callerOf(c *gin.Context) service.Caller {
	r := requestOf(c)
	return service.Caller{IP: r.IP, Device: deviceName(c), RequestID: r.ID}
}
