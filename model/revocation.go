package model

// Revocation tells those who verify tokens by themselves that a session has
// ended. It is of interest until Exp, the latest end of any token minted for it.
type Revocation struct {
	Seq       int64 // order in which revocations are told; never used twice
	SessionID string
	UserID    int64
	Reason    Reason
	EndedAt   Time
	Exp       Time
}

// TableName names the table.
func (Revocation) TableName() string { return "feed" }
