package controller

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Keys publishes the public keys (RFC 7517).
type Keys struct{ JWKS func() []byte }

// Show is GET /.well-known/jwks.json. A new key is published long before it
// signs, so that a cache of five minutes never misses one.
func (h Keys) Show(c *gin.Context) {
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "application/json; charset=utf-8", h.JWKS())
}
