package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
)

// TestForeignHosts: a name that a stranger can let lead here is refused, whatever its form.
func TestForeignHosts(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/", Hosts{"menshen.corp.example", "admin.example.com"}.Guard, func(c *gin.Context) { c.Status(http.StatusOK) })
	for host, own := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8081": true, "[::1]": true, "[::1]:8081": true, "10.1.2.3:8081": true, "[fe80::1%25eth0]:1": true, "203.0.113.9": true,
		"localhost": true, "LocalHost:8081": true, "localhost.": true, "menshen.localhost:8081": true, "menshen-1:8081": true, "": true,
		"menshen.corp.example": true, "Menshen.Corp.Example:8081": true, "admin.example.com.": true,
		"evil.example": false, "evil.example:8081": false, "EVIL.example.": false, "localhost.evil.example": false, "127.0.0.1.evil.example:8081": false,
		"menshen.corp.example.evil.example": false, "x.menshen.corp.example": false, "evil.example:x": false, "evil.example:": false, "127.0.0.1.": true,
		"[evil.example]": false, "[evil.example]:80": false, "127.0.0.1@evil.example": false, "menshen.corp.example@evil.example": false, "notlocalhost.": true,
		"evil.localhost.example": false, "256.0.0.1": false, "127.1": false, "7f.0.0.1": false,
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, request)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[own]; w.Code != want {
			t.Errorf("%q: status %d, want %d", host, w.Code, want)
		}
	}
}
