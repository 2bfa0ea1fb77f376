package model

import "math"

// Forever is the BannedUntil of a ban without an end.
const Forever = Time(math.MaxInt64)

// User is an account: one per company and number.
type User struct {
	ID          int64 // random, 52 bits: exact in JavaScript, counts nobody
	CompanyType int32
	MobileKey   []byte // keyed hash of company and number; nil once the number is freed
	Mobile      []byte // sealed number; nil after deletion
	UserName    string
	NickName    string
	RealName    string
	AvatarURL   string
	FirstSource string // kept from the first login for ever
	LastSource  string
	BannedUntil Time // 0: not banned
	BanReason   string
	CreatedAt   Time
	DeletedAt   Time // 0: not deleted
}

// Banned reports whether the account is banned at now.
func (u User) Banned(now Time) bool { return now < u.BannedUntil }
