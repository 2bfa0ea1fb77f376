package middleware

import (
	"time"

	"github.com/gin-gonic/gin"

	"menshen/telemetry"
)

// Count counts every request by its route and the code of its response.
func Count(requests *telemetry.Requests, now func() time.Time) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		x := exchangeOf(c)
		requests.Observe(telemetry.RequestLabels{
			Method: knownMethod(c.Request.Method), Route: routeOf(c), Status: c.Writer.Status(), Code: x.code,
		}, x.duration(now))
	}
}

// routeOf is the pattern of the route that matched, "none" if none did.
func routeOf(c *gin.Context) string {
	if route := c.FullPath(); route != "" {
		return route
	}
	return "none"
}
