package model

// Reason says why a session ended. Its words are part of the contract.
type Reason string

// The reasons. The first one stays: ended is final.
const (
	ReasonDisplaced Reason = "displaced"  // by a login on another device
	ReasonRelogin   Reason = "relogin"    // the same device logged in anew
	ReasonLoggedOut Reason = "logged_out" // logout, or deletion from the list
	ReasonKicked    Reason = "kicked"     // by an operator
	ReasonBanned    Reason = "banned"     // by an operator
	ReasonReuse     Reason = "reuse"      // an old token pair was replayed
	ReasonExpired   Reason = "expired"    // idle or absolute end
)

// Session is one login of a user in a product, from login to its end.
type Session struct {
	ID           string // 130 random bits
	UserID       int64
	CompanyType  int32
	ProductType  int32
	ProductGroup string // group of the product at login, kept for life
	Epoch        int64  // number of the login within (user, group): orders logins, never time
	ActiveSlot   *int32 // place among max_sessions; nil once ended
	DeviceNumber string // "" while none is bound
	DeviceName   string
	IP           string
	Source       string
	LoginAt      Time
	LastSeenAt   Time // last login, refresh or first use of a token
	RefreshHash  []byte

	Gen       int64  // generation of the current access token
	PrevGen   int64  // the generation that the current one replaced
	CurJTI    string // jti, iat, exp of the current access token
	CurIat    Time
	CurExp    Time
	MaxExp    Time // the latest exp ever minted for this session
	MintedAt  Time
	Confirmed bool // the current access token was seen in use

	IdleUntil Time
	EndsAt    Time
	EndedAt   Time // 0 while active
	EndReason Reason
	EndedBy   string // label of the newer device, or the actor
}

// Expired reports whether the session's idle or absolute end has come.
func (s Session) Expired(now Time) bool { return now >= s.IdleUntil || now >= s.EndsAt }

// Alive reports whether the session is active at now.
func (s Session) Alive(now Time) bool { return s.EndedAt == 0 && !s.Expired(now) }

// Slot is the mutex and the fence of logins of one user in one product group,
// and remembers the newest login there.
type Slot struct {
	UserID       int64
	ProductGroup string
	Epoch        int64
	LoginAt      Time
	SessionID    string
}
