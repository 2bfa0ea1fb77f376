package middleware

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
)

// maxURL bounds path and query, in bytes.
const maxURL = 2048

// LimitURL refuses a request whose path and query are longer than maxURL.
func LimitURL(c *gin.Context) {
	if len(c.Request.RequestURI) > maxURL {
		Fail(c, model.MalformedField("url", model.ReasonLength))
	}
}
