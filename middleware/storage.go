package middleware

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"
)

// RequireStorage refuses a request if the storage does not answer a ping within the
// time. It stands before reports, which may take long.
func RequireStorage(ping func(ctx context.Context) error, within time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), within)
		defer cancel()
		if err := ping(ctx); err != nil {
			Fail(c, err)
		}
	}
}
