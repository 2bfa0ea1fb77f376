package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// User serves the routes about the user's own account.
type User struct{ Users *service.Users }

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
	changes := readChanges(body)
	if err := body.Err(); err != nil {
		return nil, err
	}
	profile, err := h.Users.Change(c.Request.Context(), middleware.RequestOf(c).Session, changes, callerOf(c))
	return viewUser(profile), err
}

// readChanges reads the members that owners and operators may change.
func readChanges(body *object) service.Changes {
	return service.Changes{
		NickName:  body.optional("nickName", model.CheckNickName),
		RealName:  body.optional("realName", model.CheckRealName),
		AvatarURL: body.optional("avatarUrl", service.CheckAvatarURL),
	}
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
