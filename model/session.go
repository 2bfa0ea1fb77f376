package model

// Reason is why a session ended. Its values are part of the contract.
type Reason string

// The reasons. The reason of an ended session does not change.
const (
	ReasonDisplaced Reason = "displaced"  // by a login on another device
	ReasonRelogin   Reason = "relogin"    // the same device logged in again
	ReasonLoggedOut Reason = "logged_out" // logout, or deletion from the list
	ReasonKicked    Reason = "kicked"     // by an operator
	ReasonBanned    Reason = "banned"     // by an operator
	ReasonReuse     Reason = "reuse"      // an old token pair was replayed
	ReasonExpired   Reason = "expired"    // idle or absolute end
)

// Session is one login of a user in a product, from the login to its end.
type Session struct {
	ID           string // 130 random bits
	UserID       int64
	CompanyType  int32
	ProductType  int32
	ProductGroup string // group of the product at login; it does not change
	Epoch        int64  // number of the login within (user, group): the order of logins
	Seat         *int32 // one of max_sessions; nil once the session has ended
	DeviceNumber string // "": none is bound
	DeviceName   string
	IP           string
	Source       string
	LoginAt      Time
	LastSeenAt   Time // last login, refresh or first use of a token
	RefreshHash  []byte

	Gen       int64  // generation of the current access token
	PrevGen   int64  // generation that the current one replaced
	CurJTI    string // jti, iat, exp of the current access token
	CurIat    Time
	CurExp    Time
	MaxExp    Time // latest exp of all tokens of the session
	MintedAt  Time
	Confirmed bool // whether the current access token has been used

	IdleUntil Time
	EndsAt    Time
	EndedAt   Time // 0 while active
	EndReason Reason
	EndedBy   string // label of the newer device that displaced or replaced it; "" otherwise
}

// Expired reports whether the session's idle or absolute end has come.
func (s Session) Expired(now Time) bool { return now >= s.IdleUntil || now >= s.EndsAt }

// Alive reports whether the session is active at now.
func (s Session) Alive(now Time) bool { return s.EndedAt == 0 && !s.Expired(now) }

// LoginSequence is the newest login of a user in a product group. Each login locks the row and
// takes the next Epoch from it, so that logins are in one order.
type LoginSequence struct {
	UserID       int64
	ProductGroup string
	Epoch        int64
	LoginAt      Time
	SessionID    string
}

// Revocation says that a session has ended. It is for back ends that verify tokens
// themselves. They may forget it after Exp, when the last token of the session has
// expired.
type Revocation struct {
	Seq       int64 // order of publication; never used twice
	SessionID string
	UserID    int64
	Reason    Reason
	EndedAt   Time
	Exp       Time
}

// TableName names the table.
func (Revocation) TableName() string { return "feed" }
