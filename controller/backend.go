package controller

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
	"menshen/service"
)

// Backend serves the back ends of the app: introspection and the revocation feed.
type Backend struct {
	Sessions *service.Sessions
	Feed     *service.Feed
	Now      func() time.Time // for the deadlines of connections
}

// inactiveView does not say why (RFC 7662 §2.2).
type inactiveView struct {
	Active bool `json:"active"`
}

// activeView has the token's own claims as members, beside those of RFC 7662.
type activeView struct {
	Active    bool           `json:"active"`
	TokenType string         `json:"token_type"`
	Claims    jsontext.Value `json:",embed"`
}

type invalidRequestView struct {
	Error string `json:"error"`
}

// Introspect is POST /oauth/introspect (RFC 7662). It writes its responses itself,
// in the form of the RFC.
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
	claims, err := h.Sessions.Introspect(c.Request.Context(), token)
	if err != nil {
		return nil, err
	}
	if claims == nil {
		c.JSON(http.StatusOK, inactiveView{})
		return nil, nil
	}
	text, err := json.Marshal(activeView{Active: true, TokenType: "Bearer", Claims: claims})
	if err != nil {
		return nil, fmt.Errorf("claims of a token: %w", err)
	}
	c.Data(http.StatusOK, "application/json; charset=utf-8", text)
	return nil, nil
}

// formToken is the parameter "token" of a form, "" unless it is given exactly once.
func formToken(c *gin.Context) (string, error) {
	if err := checkMediaType(c.Request.Header, typeForm); err != nil {
		return "", err
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if err != nil {
		return "", model.ErrTooLarge
	}
	form, err := url.ParseQuery(string(text))
	if err != nil || len(form["token"]) != 1 {
		return "", nil //nolint:nilerr // the caller reports it in the form of the RFC
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

func viewRevocation(r model.Revocation) revocationView {
	return revocationView{
		Sid: r.SessionID, Sub: strconv.FormatInt(r.UserID, 10), Reason: r.Reason, EndedAt: r.EndedAt, Exp: r.Exp,
	}
}

// Revocations is GET /internal/revocations?since=&wait=.
func (h Backend) Revocations(c *gin.Context) (any, error) {
	since, _, err := queryValue(c, "since")
	if err != nil {
		return nil, err
	}
	wait, err := queryWait(c, h.Now)
	if err != nil {
		return nil, err
	}
	page, err := h.Feed.Read(c.Request.Context(), since, wait)
	if err != nil {
		return nil, err
	}
	return listView{Items: viewEach(page.Items, viewRevocation), Next: &page.Next}, nil
}
