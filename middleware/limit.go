package middleware

import (
	"time"

	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"menshen/model"
)

// Limiter is a token bucket per key (rate and burst perMinute) in this process. It
// protects the instance from load; limits that save money or protect accounts are in
// the database. The nil Limiter passes every request.
type Limiter struct {
	perMinute int
	now       func() time.Time
	buckets   *otter.Cache[string, *rate.Limiter]
}

// maxKeys bounds the memory. A key that is evicted starts with a full bucket.
const maxKeys = 200_000

// NewLimiter returns nil if perMinute is 0.
func NewLimiter(perMinute int, now func() time.Time) *Limiter {
	if perMinute == 0 {
		return nil
	}
	return &Limiter{
		perMinute: perMinute, now: now,
		buckets: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxKeys}),
	}
}

// Take counts one request of the key. If the limit is reached it returns
// model.ErrTooMany with the time after which the next request passes, and does not
// count the request. Safe for concurrent use.
func (l *Limiter) Take(key string) error {
	if l == nil {
		return nil
	}
	bucket, ok := l.buckets.GetIfPresent(key)
	if !ok {
		fresh := rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)
		bucket, _ = l.buckets.SetIfAbsent(key, fresh)
	}
	now := l.now()
	if bucket.AllowN(now, 1) {
		return nil
	}
	// A reservation that is cancelled while later ones exist would not give its token
	// back.
	missing := max(0, 1-bucket.TokensAt(now))
	return model.ErrTooMany.After(time.Duration(missing / float64(bucket.Limit()) * float64(time.Second)))
}

// Sweep removes the buckets that are full again: a key without one starts with a full one.
func (l *Limiter) Sweep() {
	if l == nil {
		return
	}
	now := l.now()
	for key, bucket := range l.buckets.All() {
		if bucket.TokensAt(now) >= float64(l.perMinute) {
			l.buckets.Invalidate(key)
		}
	}
}

// ByAddress is a guard that limits requests by the client's address.
func (l *Limiter) ByAddress(c *gin.Context) {
	if err := l.Take(model.AddressKey(exchangeOf(c).IP)); err != nil {
		Fail(c, err)
	}
}

// refuse fails the request with err, or with model.ErrTooMany if its address has
// reached the limit. l counts refused requests only.
func (l *Limiter) refuse(c *gin.Context, err error) {
	if limited := l.Take(model.AddressKey(exchangeOf(c).IP)); limited != nil {
		err = limited
	}
	Fail(c, err)
}

// BySession returns a guard that limits requests by session. Those whose token may not use
// the share of its session, by own, are limited by session and address. It stands behind
// RequireToken.
func (l *Limiter) BySession(own func(claims model.Claims) bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		key := x.Claims.SessionID
		if !own(x.Claims) {
			key = model.SessionAddressKey(key, x.IP)
		}
		if err := l.Take(key); err != nil {
			Fail(c, err)
		}
	}
}
