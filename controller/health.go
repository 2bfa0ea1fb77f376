package controller

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Health serves the probes of orchestrators, without the envelope.
type Health struct {
	// Ready returns nil if requests can be answered.
	Ready func(ctx context.Context) error
}

type healthView struct {
	Status string `json:"status"`
}

// Alive is GET /healthz: 200 while the process serves. It does not ask the storage.
func (h Health) Alive(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, healthView{Status: "ok"})
}

// Serving is GET /readyz: 200 if requests can be answered, else 503.
func (h Health) Serving(c *gin.Context) {
	if err := h.Ready(c.Request.Context()); err != nil {
		_ = c.Error(err)
		c.Header("Cache-Control", "no-store")
		c.JSON(http.StatusServiceUnavailable, healthView{Status: "unavailable"})
		return
	}
	h.Alive(c)
}
