package model

import (
	"errors"
	"math"
)

// ErrIDTaken says that another account has the id of a new one. It is no failure of
// the table: no client sees it.
var ErrIDTaken = errors.New("user id is taken")

// Forever is the BannedUntil of a ban without an end.
const Forever = Time(math.MaxInt64)

// User is an account: one per company and number.
type User struct {
	ID          int64 // 52 random bits: exact in JavaScript; does not reveal the number of users
	CompanyType int32
	MobileKey   []byte // keyed hash of company and number; nil once the number is freed
	Mobile      []byte // sealed number; nil after deletion
	UserName    string
	NickName    string
	RealName    string
	AvatarURL   string
	FirstSource string // source of the first login; it does not change
	LastSource  string
	BannedUntil Time // 0: not banned
	BanReason   string
	CreatedAt   Time
	DeletedAt   Time // 0: not deleted
	// CredentialEpoch is part of the device credentials of the account. It rises when
	// they all end.
	CredentialEpoch int64
	ExternalID      *string // id in the company's own system, unique in the company; nil: none
	Metadata        []byte  // JSON object in compact form; nil: the empty object
}

// Banned reports whether the account is banned at now.
func (u User) Banned(now Time) bool { return now < u.BannedUntil }
