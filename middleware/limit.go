package middleware

import (
	"time"

	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"menshen/model"
)

// Limiter is a cheap shield in this process: so many requests a minute for each
// key, all of them at once if need be. It guards the work behind it; limits that
// cost money or guard accounts are counted in the database. The nil Limiter
// lets everything pass.
type Limiter struct {
	perMinute int
	now       func() time.Time
	buckets   *otter.Cache[string, *rate.Limiter]
}

// limiterKeys bounds the memory; a key that is forgotten begins anew.
const limiterKeys = 200_000

// NewLimiter allows perMinute requests a minute; 0 is off.
func NewLimiter(perMinute int, now func() time.Time) *Limiter {
	if perMinute == 0 {
		return nil
	}
	return &Limiter{
		perMinute: perMinute, now: now,
		buckets: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: limiterKeys}),
	}
}

// Take counts one request of the key, or refuses it with model.ErrTooMany and
// the time after which the next one passes. A refused one is not counted.
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
	// Asked, not reserved: a reservation that is taken back while others wait
	// behind it takes its token along.
	missing := max(0, 1-bucket.TokensAt(now))
	return model.ErrTooMany.After(time.Duration(missing / float64(bucket.Limit()) * float64(time.Second)))
}

// ByAddress limits requests by the client's address.
func (l *Limiter) ByAddress(c *gin.Context) {
	if err := l.Take(model.AddressKey(exchangeOf(c).IP)); err != nil {
		Fail(c, err)
	}
}

// BySession limits requests by the session of a token that a guard before has
// verified: nobody uses up another's share.
func (l *Limiter) BySession(c *gin.Context) {
	if err := l.Take(exchangeOf(c).Claims.SessionID); err != nil {
		Fail(c, err)
	}
}
