package model

// Claims are the facts that an access token carries (RFC 9068): no personal data.
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

// Expired reports whether the token's own end has come (RFC 7519 §4.1.4: on or after exp).
func (c Claims) Expired(now Time) bool { return now >= c.ExpiresAt }
