package controller

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// Keys publishes the public keys (RFC 7517).
type Keys struct {
	JWKS func() []byte
	// MaxAge is how long caches may keep the keys; a new key signs after twice as long.
	MaxAge time.Duration
}

// Show is GET /.well-known/jwks.json. A cache whose copy is current gets 304 (RFC
// 9110 §13.1.2).
func (h Keys) Show(c *gin.Context) {
	keys := h.JWKS()
	sum := sha256.Sum256(keys)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	c.Header("Cache-Control", "public, max-age="+strconv.FormatInt(int64(h.MaxAge.Seconds()), 10))
	c.Header("ETag", tag)
	if strings.Contains(c.GetHeader("If-None-Match"), tag) { // one of a list of tags, strong or weak
		c.Status(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, "application/json; charset=utf-8", keys)
}
