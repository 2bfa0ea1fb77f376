package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
)

// bareCommand makes this program the bare Gin server.
const bareCommand = "bare"

// recorded is an answer of menshen that the bare server repeats.
type recorded struct {
	Header   http.Header
	Body     []byte
	TimeOuts bool // menshen's
}

// plain is the answer without what a bare server need not send, and without time-outs.
func (r recorded) plain() recorded {
	return recorded{Header: http.Header{"Content-Type": r.Header["Content-Type"]}, Body: r.Body}
}

// serveBare answers the check's route with the recorded bytes and does nothing
// else: it is what Gin and net/http cost by themselves. It tells its address on
// the standard output and ends with SIGTERM.
func serveBare(text string) error {
	var same recorded
	if err := json.Unmarshal([]byte(text), &same); err != nil {
		return fmt.Errorf("recorded answer: %w", err)
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET(checkPath, func(c *gin.Context) {
		header := c.Writer.Header()
		for name, values := range same.Header {
			header[name] = values
		}
		c.Writer.WriteHeader(http.StatusOK)
		_, _ = c.Writer.Write(same.Body)
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r} //nolint:gosec // bare: without time-outs, unless asked for
	if same.TimeOuts {
		server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout = 5*time.Second, 10*time.Second, 15*time.Second
		server.IdleTimeout = 75 * time.Second
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println(listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
