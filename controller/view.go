// Package controller holds the handlers. Each binds a request, calls one service
// method and shapes a view. Only views of this package are sent, never rows.
package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/middleware"
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

// userView is UserInfo. A string that is not set is "", never null.
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

// viewEach returns the view of each item. It is never nil, so that no item is [].
func viewEach[T, V any](items []T, view func(T) V) []V {
	views := make([]V, 0, len(items))
	for _, item := range items {
		views = append(views, view(item))
	}
	return views
}

// callerOf is the caller as the event log names it.
func callerOf(c *gin.Context) model.Caller {
	r := middleware.RequestOf(c)
	return model.Caller{IP: r.IP, Device: deviceName(c), RequestID: r.ID}
}
