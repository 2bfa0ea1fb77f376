package controller

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Backend serves the programs behind the app.
type Backend struct {
	Sessions *service.Sessions
	Feed     *service.Feed
	Session  Session // for the deadlines of held requests
	Issuer   string
	Audience []string
}

// inactiveView is the one answer for every token that is not active: why is
// nobody's business (RFC 7662 §2.2).
type inactiveView struct {
	Active bool `json:"active"`
}

type activeView struct {
	Active      bool     `json:"active"`
	TokenType   string   `json:"token_type"`
	Iss         string   `json:"iss"`
	Sub         string   `json:"sub"`
	Aud         []string `json:"aud"`
	Exp         int64    `json:"exp"`
	Iat         int64    `json:"iat"`
	Jti         string   `json:"jti"`
	Sid         string   `json:"sid"`
	CompanyType int32    `json:"company_type"`
	ProductType int32    `json:"product_type"`
}

type invalidRequestView struct {
	Error string `json:"error"`
}

// Introspect is POST /oauth/introspect (RFC 7662). It writes by itself: the RFC
// shapes its answers.
func (h Backend) Introspect(c *gin.Context) (any, error) {
	token, err := formToken(c)
	if err != nil {
		return nil, err
	}
	c.Header("Cache-Control", "no-store")
	if token == "" {
		c.JSON(http.StatusBadRequest, invalidRequestView{Error: "invalid_request"})
		return nil, nil
	}
	claims, active, err := h.Sessions.Introspect(c.Request.Context(), token)
	if err != nil {
		return nil, err
	}
	if !active {
		c.JSON(http.StatusOK, inactiveView{})
		return nil, nil
	}
	c.JSON(http.StatusOK, activeView{
		Active: true, TokenType: "Bearer", Iss: h.Issuer, Sub: strconv.FormatInt(claims.UserID, 10), Aud: h.Audience,
		Exp: claims.ExpiresAt.Unix(), Iat: claims.IssuedAt.Unix(), Jti: claims.TokenID, Sid: claims.SessionID,
		CompanyType: claims.CompanyType, ProductType: claims.ProductType,
	})
	return nil, nil
}

// formToken is the parameter "token" of a form, "" unless it is there once.
func formToken(c *gin.Context) (string, error) {
	media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", model.ErrMediaType
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if err != nil {
		return "", model.ErrTooLarge
	}
	form, err := url.ParseQuery(string(text))
	if err != nil || len(form["token"]) != 1 {
		return "", nil //nolint:nilerr // told by the caller in the RFC's form
	}
	return form["token"][0], nil
}

type revocationView struct {
	Sid     string       `json:"sid"`
	Sub     string       `json:"sub"`
	Reason  model.Reason `json:"reason"`
	EndedAt model.Time   `json:"endedAt"`
	Exp     model.Time   `json:"exp"`
}

// Revocations is GET /internal/revocations?since=&wait=.
func (h Backend) Revocations(c *gin.Context) (any, error) {
	since, _, err := queryValue(c, "since")
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(c)
	if err != nil {
		return nil, err
	}
	if err := h.Session.hold(c, wait); err != nil {
		return nil, err
	}
	page, err := h.Feed.Read(c.Request.Context(), since, wait)
	if err != nil {
		return nil, err
	}
	views := make([]revocationView, 0, len(page.Items))
	for _, r := range page.Items {
		views = append(views, revocationView{
			Sid: r.SessionID, Sub: strconv.FormatInt(r.UserID, 10), Reason: r.Reason, EndedAt: r.EndedAt, Exp: r.Exp,
		})
	}
	return listView{Items: views, Next: &page.Next}, nil
}
