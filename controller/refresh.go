package controller

import (
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Session serves the calls about sessions.
type Session struct {
	Sessions *service.Sessions
	Now      func() time.Time // for deadlines of connections
	Report   func(err error)  // what befell an open stream that should not have
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
