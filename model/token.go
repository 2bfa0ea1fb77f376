package model

// Claims are the claims of an access token (RFC 9068). They hold no personal data.
type Claims struct {
	UserID      int64  // sub
	SessionID   string // sid
	TokenID     string // jti
	Gen         int64  // gen: generation of the access token within its session
	CompanyType int32  // company_type
	ProductType int32  // product_type
	IssuedAt    Time   // iat, whole seconds
	ExpiresAt   Time   // exp, whole seconds
}

// Expired reports whether the token has expired at now (RFC 7519 §4.1.4: on or after
// exp).
func (c Claims) Expired(now Time) bool { return now >= c.ExpiresAt }

// ClaimSource is where the value of a further claim comes from.
type ClaimSource struct {
	Name    string
	Member  string // of the user's metadata; "": the external id
	Longest int    // value from metadata, in bytes of JSON; a longer one is left out
}
