package model

import (
	"time"
)

// Time is an instant in milliseconds since 1970 UTC, as the database stores it
// (DATETIME is rounded differently on every engine). Zero means "never".
type Time int64

// TimeOf truncates t to the millisecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std is the instant in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add is t plus d.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub is the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// Second is t without the fraction of a second, which is the precision of a JWT.
func (t Time) Second() Time { return t - t%1000 }

// Unix is t in whole seconds.
func (t Time) Unix() int64 { return int64(t) / 1000 }

const wireLayout = "2006-01-02T15:04:05Z"

// String is RFC 3339 in UTC with whole seconds: the form on the wire.
func (t Time) String() string { return t.Std().Format(wireLayout) }

// MarshalJSON is the time string, or null for never.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return t.Std().AppendFormat(make([]byte, 0, len(wireLayout)+2), `"`+wireLayout+`"`), nil
}

// Time budgets of requests.
const (
	// StorageTime bounds the work of a request on the database, waits and retries
	// included, so that storage that is away is answered within two seconds.
	StorageTime = 1800 * time.Millisecond
	// ReportTime bounds a request that reads as much as an operator asks for. It is
	// less than a stop leaves to accepted requests.
	ReportTime = 7 * time.Second
)
