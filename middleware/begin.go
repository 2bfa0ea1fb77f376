package middleware

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Begin starts the exchange: it names the request, finds the client's address
// and sets the headers that every answer carries. It comes first.
func Begin(now func() time.Time, addresses Addresses) gin.HandlerFunc {
	rooms := sync.Pool{New: func() any { return newRoom() }}
	return func(c *gin.Context) {
		room := rooms.Get().(*exchangeRoom)
		x := &room.exchange
		*x = exchange{start: now(), room: room}
		x.ID = requestID(c.Request.Header["X-Request-Id"])
		x.IP = addresses.Of(c.Request)
		c.Keys = room.keys
		header := c.Writer.Header()
		header["X-Request-Id"] = []string{x.ID} // not of the room: it is read after the handlers
		header["X-Content-Type-Options"] = nosniff
		c.Next()
		c.Keys = nil
		*x = exchange{}
		clear(room.fields[:])
		rooms.Put(room) // one that a panic passed by is left to the collector
	}
}

var nosniff = []string{"nosniff"}

func newRoom() *exchangeRoom {
	room := &exchangeRoom{}
	room.keys = map[any]any{exchangeKey{}: &room.exchange, model.RequestKey: &room.exchange.Request}
	return room
}

// requestID keeps the client's id when it is short and plain.
func requestID(given []string) string {
	if len(given) == 1 && plain(given[0]) {
		return given[0]
	}
	return rand.Text()
}

func plain(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, b := range []byte(id) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '.':
		default:
			return false
		}
	}
	return true
}

// maxURL bounds path and query, in bytes.
const maxURL = 2048

// ShortURL refuses what no client of ours sends.
func ShortURL(c *gin.Context) {
	if len(c.Request.RequestURI) > maxURL {
		Fail(c, model.Malformed1("url", model.ReasonLength))
	}
}
