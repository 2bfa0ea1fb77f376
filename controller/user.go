package controller

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// User serves the routes about the user's own account.
type User struct{ Users *service.Users }

// Bounds of the fields that a user may change, in characters.
const (
	maxNickName  = 32
	maxRealName  = 64
	maxAvatarURL = 512
)

// Show is GET /app/auth/user.
func (h User) Show(c *gin.Context) (any, error) {
	profile, err := h.Users.ByID(c.Request.Context(), middleware.RequestOf(c).Session.UserID)
	return viewUser(profile), err
}

// Change is PATCH /app/auth/user.
func (h User) Change(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	var changes service.Changes
	if text, given := body.OptionalString("nickName", maxNickName); given {
		changes.NickName = &text
		if text == "" {
			body.Reject("nickName", model.ReasonLength)
		} else if problem := service.CheckNickName(text); problem != "" {
			body.Reject("nickName", problem)
		}
	}
	if text, given := body.OptionalString("realName", maxRealName); given {
		changes.RealName = &text
		if problem := service.CheckName(text); problem != "" {
			body.Reject("realName", problem)
		}
	}
	if text, given := body.OptionalString("avatarUrl", maxAvatarURL); given {
		changes.AvatarURL = &text
		if !avatarURL(text) {
			body.Reject("avatarUrl", model.ReasonFormat)
		}
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	profile, err := h.Users.Change(c.Request.Context(), middleware.RequestOf(c).Session, changes, callerOf(c))
	return viewUser(profile), err
}

// avatarURL is empty or an absolute https URL with a host, no user and no space.
func avatarURL(text string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && strings.HasPrefix(text, "https://") && u.Host != "" && u.User == nil && !strings.ContainsFunc(text, unicode.IsSpace)
}

// ChangeNumber is POST /app/auth/user/mobile.
func (h User) ChangeNumber(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	change := service.NumberChange{
		Mobile:  body.Verbatim("mobile", maxText),
		NewCode: model.Secret(body.Verbatim("validateNo", maxText)),
		OldCode: model.Secret(body.Verbatim("oldValidateNo", maxText)),
		Tickets: ticketsOf(c),
		Session: middleware.RequestOf(c).Session, Caller: callerOf(c),
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	profile, credential, err := h.Users.ChangeNumber(c.Request.Context(), change)
	if err != nil {
		return nil, err
	}
	c.Header(credentialHeader, string(credential))
	return viewUser(profile), nil
}

// Delete is DELETE /app/auth/user.
func (h User) Delete(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	deletion := service.Deletion{
		Code: model.Secret(body.Verbatim("validateNo", maxText)), Ticket: ticketOf(c),
		Session: middleware.RequestOf(c).Session, Caller: callerOf(c),
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Users.Delete(c.Request.Context(), deletion)
	return endedView{Ended: ended}, err
}
