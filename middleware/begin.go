package middleware

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Begin starts the exchange: it names the request, finds the client's address
// and sets the headers that every answer carries. It comes first.
func Begin(now func() time.Time, addresses Addresses) gin.HandlerFunc {
	writers := sync.Pool{New: func() any { return new(exchangeWriter) }}
	return func(c *gin.Context) {
		w := writers.Get().(*exchangeWriter)
		w.ResponseWriter = c.Writer
		x := &w.exchange
		x.start = now()
		x.ID = requestID(c.Request.Header["X-Request-Id"], &w.own)
		x.IP = addresses.Of(c.Request)
		header := c.Writer.Header()
		header["X-Request-Id"] = []string{x.ID} // not of the writer: it is read after the handlers
		header["X-Content-Type-Options"] = nosniff
		c.Writer = w
		c.Next()
		c.Writer = w.ResponseWriter
		w.ResponseWriter, w.exchange = nil, exchange{}
		writers.Put(w) // one that a panic passed by is left to the collector
	}
}

var nosniff = []string{"nosniff"}

// requestID keeps the client's id when it is short and plain.
func requestID(given []string, own *ids) string {
	if len(given) == 1 && plain(given[0]) {
		return given[0]
	}
	return own.next()
}

// ids makes ids of 128 random bits, several at a time: that costs less.
type ids struct {
	bits [16 * idBytes]byte
	left int // bytes not used yet, at the end
}

const idBytes = 16

func (i *ids) next() string {
	if i.left == 0 {
		_, _ = rand.Read(i.bits[:]) // never fails
		i.left = len(i.bits)
	}
	var text [2 * idBytes]byte
	hex.Encode(text[:], i.bits[len(i.bits)-i.left:][:idBytes])
	i.left -= idBytes
	return string(text[:])
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
