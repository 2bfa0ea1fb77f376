package controller

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// BenchmarkBind reads the requests of login, refresh and check.
func BenchmarkBind(b *testing.B) {
	token := model.Secret(strings.Repeat("t", 400)) // as long as an access token
	for _, route := range []struct {
		name, target, body string
		bind               func(c *gin.Context) error
	}{
		{"login", "/", `{"companyType":0,"mobile":"13800138000","productType":0,"source":"bench","validateNo":"123456"}`,
			func(c *gin.Context) error { _, err := readLogin(c); return err }},
		{"refresh", "/", `{"accessToken":"` + string(token) + `","refreshToken":"` + strings.Repeat("r", 70) + `"}`,
			func(c *gin.Context) error { _, _, err := readPair(c); return err }},
		{"check", "/?deviceNumber=device-00000001", "", func(c *gin.Context) error {
			_, errDevice := deviceFromCheck(c)
			_, errWait := queryWait(c, time.Now)
			return errors.Join(errDevice, errWait)
		}},
	} {
		b.Run(route.name, func(b *testing.B) {
			c := jsonRequest("", false)
			c.Request = httptest.NewRequest(http.MethodPost, route.target, nil)
			c.Request.Header.Set("Content-Type", "application/json")
			c.Request.ContentLength = int64(len(route.body))
			text := strings.NewReader(route.body)
			c.Request.Body = io.NopCloser(text)
			b.ReportAllocs()
			for b.Loop() {
				text.Reset(route.body)
				if err := route.bind(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRender writes the responses of login, refresh and check, through the chain
// around every handler without access log and metrics.
func BenchmarkRender(b *testing.B) {
	token := service.IssuedToken{Value: model.Secret(strings.Repeat("t", 400)), Expire: model.TimeOf(time.Now())}
	user := service.Profile{Mobile: "13800138000", User: model.User{ID: 1 << 51, NickName: "用户8000", UserName: "user"}}
	for name, view := range map[string]any{
		"login":   viewLogin(service.LoginResult{Access: token, Refresh: token, User: user}),
		"refresh": viewToken(token),
		"check":   stillLoggedIn,
	} {
		b.Run(name, func(b *testing.B) {
			gin.SetMode(gin.ReleaseMode)
			envelope := middleware.Envelope{Locale: "zh-CN", Log: zap.NewNop()}
			engine := gin.New()
			engine.Use(middleware.Begin(time.Now, middleware.Addresses{}), envelope.Render)
			engine.GET("/", middleware.Handle(func(*gin.Context) (any, error) { return view, nil }))
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			w := &discardedResponse{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				if engine.ServeHTTP(w, request); w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// discardedResponse keeps the status of a response and nothing else.
type discardedResponse struct {
	header http.Header
	status int
}

func (d *discardedResponse) Header() http.Header         { return d.header }
func (d *discardedResponse) WriteHeader(status int)      { d.status = status }
func (d *discardedResponse) Write(p []byte) (int, error) { return len(p), nil }
