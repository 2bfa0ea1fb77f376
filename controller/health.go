package controller

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Health answers the questions of orchestrators. Its form is its own, not the
// envelope's.
type Health struct {
	// Ready reports whether the storage answers and its schema is current.
	Ready func(ctx context.Context) error
}

type healthView struct {
	Status string `json:"status"`
}

// Alive is GET /healthz: the process serves. It asks nothing of the storage.
func (h Health) Alive(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, healthView{Status: "ok"})
}

// Serving is GET /readyz: 200 when requests can be answered, else 503.
func (h Health) Serving(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	if err := h.Ready(c.Request.Context()); err != nil {
		_ = c.Error(err)
		c.JSON(http.StatusServiceUnavailable, healthView{Status: "unavailable"})
		return
	}
	c.JSON(http.StatusOK, healthView{Status: "ok"})
}
