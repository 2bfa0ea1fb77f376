package controller

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Login exchanges a code for a session.
type Login struct{ Login *service.Login }

// maxSource bounds the registration source, in characters.
const maxSource = 64

type loginView struct {
	AccessToken  tokenView `json:"accessToken"`
	RefreshToken tokenView `json:"refreshToken"`
	UserInfo     userView  `json:"userInfo"`
}

// Mobile is POST /auth/mobile/login.
func (h Login) Mobile(c *gin.Context) (any, error) {
	request, err := readLogin(c)
	if err != nil {
		return nil, err
	}
	result, err := h.Login.Do(c.Request.Context(), request)
	if err != nil {
		return nil, err
	}
	c.Header("X-Displaced", strconv.Itoa(result.Displaced))
	c.Header(credentialHeader, string(result.Credential))
	return viewLogin(result), nil
}

func readLogin(c *gin.Context) (service.LoginRequest, error) {
	body, err := readObject(c)
	if err != nil {
		return service.LoginRequest{}, err
	}
	request := service.LoginRequest{
		CompanyType: body.Int32("companyType"),
		Mobile:      body.Verbatim("mobile", maxText),
		ProductType: body.Int32("productType"),
		Source:      body.String("source", maxSource),
		ValidateNo:  model.Secret(body.Verbatim("validateNo", maxText)),
		Ticket:      ticketOf(c),
		Caller:      callerOf(c),
	}
	request.DeviceNumber = deviceFromLogin(c, body)
	request.ReplaceSession, _ = body.OptionalString("replaceSession", maxText)
	return request, body.Err()
}

func viewLogin(result service.LoginResult) loginView {
	return loginView{
		AccessToken: viewToken(result.Access), RefreshToken: viewToken(result.Refresh), UserInfo: viewUser(result.User),
	}
}
