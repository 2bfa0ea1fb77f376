package service

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"menshen/model"
)

const (
	tokenType     = "at+jwt"             // RFC 9068 §2.1
	tokenTypeLong = "application/at+jwt" // the same in full, RFC 7515 §4.1.9
	tokenMax      = 4 << 10
	tokenIDMax    = 64
	tokenSkew     = 30 * time.Second // by which another instance's clock may be ahead
	tokenTimeMax  = 253402300799     // 9999-12-31T23:59:59Z: beyond it RFC 3339 ends
)

// tokenProblem says why a token is refused, for the log. Being a constant it
// can't hold any part of the token.
type tokenProblem string

// Error is the problem.
func (p tokenProblem) Error() string { return string(p) }

const (
	tokenBadForm      tokenProblem = "token is not three base64url parts of at most 4 KiB"
	tokenBadHeader    tokenProblem = "token header is not exactly alg, kid and typ"
	tokenBadType      tokenProblem = "token typ is not at+jwt"
	tokenBadKey       tokenProblem = "token kid is not known"
	tokenBadAlg       tokenProblem = "token alg is not that of its key"
	tokenBadSignature tokenProblem = "token signature does not verify"
	tokenBadClaims    tokenProblem = "token claims are not the exact set, each once and of its type"
	tokenBadIssuer    tokenProblem = "token iss is foreign"
	tokenBadAudience  tokenProblem = "token aud is foreign"
	tokenBadSubject   tokenProblem = "token sub is not a user id"
	tokenBadID        tokenProblem = "token sid or jti is not plausible"
	tokenBadNumber    tokenProblem = "token gen, iat or exp is out of range"
	tokenBadIssuedAt  tokenProblem = "token iat is in the future"
)

// Tokens makes and checks access tokens: JWTs (RFC 7519) in the profile of
// RFC 9068, signed by JWS (RFC 7515). They prove who signed, for whom and about
// which session; whether that session lives is another question.
type Tokens struct {
	Keys     *KeyRing
	Issuer   string
	Audience []string // aud of new tokens; a token is ours if it names one of them
	Now      func() time.Time
	Seen     *TokenCache // optional
}

// tokenClaims is the payload as it is signed. aud always is an array, also of
// one (RFC 7519 §4.1.3 allows both): its type must not change with the
// configuration.
type tokenClaims struct {
	jwt.RegisteredClaims
	SessionID   string `json:"sid"`
	Gen         int64  `json:"gen"`
	CompanyType int32  `json:"company_type"`
	ProductType int32  `json:"product_type"`
}

// Sign makes the access token of the claims with the signing key of the moment.
// Times are cut to whole seconds. Claims that Verify would refuse are an error. The
// token counts as seen: what this process signed it need not verify.
func (t Tokens) Sign(claims model.Claims) (string, error) {
	if err := checkTokenClaims(claims); err != nil {
		return "", err
	}
	generation, now := t.Keys.Generation(), model.TimeOf(t.Now())
	key := t.Keys.signer()
	if key == nil {
		return "", errors.New("no key to sign with")
	}
	token := &jwt.Token{
		Method: key.method,
		Header: map[string]any{"alg": key.alg, "kid": key.kid, "typ": tokenType},
		Claims: tokenClaims{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer:    t.Issuer,
				Subject:   strconv.FormatInt(claims.UserID, 10),
				Audience:  t.Audience,
				ExpiresAt: jwt.NewNumericDate(claims.ExpiresAt.Std()),
				IssuedAt:  jwt.NewNumericDate(claims.IssuedAt.Std()),
				ID:        claims.TokenID,
			},
			SessionID:   claims.SessionID,
			Gen:         claims.Gen,
			CompanyType: claims.CompanyType,
			ProductType: claims.ProductType,
		},
	}
	raw, err := token.SignedString(key.private)
	if err == nil {
		claims.IssuedAt, claims.ExpiresAt = claims.IssuedAt.Second(), claims.ExpiresAt.Second()
		t.Seen.keep(raw, generation, claims, now)
	}
	return raw, err
}

// Verify proves everything about an access token but its expiry, and gives its
// claims: form and size, header, signature by the key and the one algorithm
// that its kid names (RFC 8725 §3.1), type, issuer, audience, and that each
// claim is there once, by its exact name, and plausible. Nothing else may be
// in header or payload: what this service did not mint is not for it, and what
// names a key from elsewhere (jku, jwk, x5u, x5c) or a demand (crit, RFC 7515
// §4.1.11) is refused unread.
//
// Whether the token has expired is the caller's to ask: model.Claims.Expired.
// Every error is model.ErrToken; its cause never holds any part of the token.
func (t Tokens) Verify(raw string) (model.Claims, error) {
	// The generation is read first: a key removed meanwhile makes what is kept
	// worthless, never the reverse.
	generation, now := t.Keys.Generation(), model.TimeOf(t.Now())
	if claims, ok := t.Seen.find(raw, generation, now); ok {
		return claims, nil
	}
	claims, err := t.verify(raw)
	if err != nil {
		return model.Claims{}, model.ErrToken.Wrap(err)
	}
	t.Seen.keep(raw, generation, claims, now)
	return claims, nil
}

func (t Tokens) verify(raw string) (model.Claims, error) {
	if !tokenFormed(raw) {
		return model.Claims{}, tokenBadForm
	}
	key, err := t.tokenKey(raw)
	if err != nil {
		return model.Claims{}, err
	}
	var payload tokenPayload
	if _, err := key.parser.ParseWithClaims(raw, &payload, key.verifier); err != nil {
		return model.Claims{}, tokenBadSignature
	}
	wire, err := payload.decode()
	if err != nil {
		return model.Claims{}, err
	}
	if *wire.Issuer != t.Issuer {
		return model.Claims{}, tokenBadIssuer
	}
	if !slices.ContainsFunc(wire.audience(), func(aud string) bool { return slices.Contains(t.Audience, aud) }) {
		return model.Claims{}, tokenBadAudience
	}
	claims, err := wire.claims()
	if err != nil {
		return model.Claims{}, err
	}
	if claims.IssuedAt.Std().After(t.Now().Add(tokenSkew)) {
		return model.Claims{}, tokenBadIssuedAt
	}
	return claims, nil
}

// tokenFormed checks size and bytes before anything is parsed. golang-jwt, even
// when strict, overlooks line breaks within a part.
func tokenFormed(raw string) bool {
	if len(raw) > tokenMax {
		return false
	}
	dots := 0
	for _, c := range []byte(raw) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return dots == 2
}

// tokenKey reads the header and finds the key that it names.
func (t Tokens) tokenKey(raw string) (*keyEntry, error) {
	segment, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, tokenBadForm
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}
	if err := json.Unmarshal(text, &header, json.RejectUnknownMembers(true)); err != nil {
		return nil, tokenBadHeader
	}
	if !strings.EqualFold(header.Typ, tokenType) && !strings.EqualFold(header.Typ, tokenTypeLong) {
		return nil, tokenBadType
	}
	key := t.Keys.find(header.Kid)
	if key == nil {
		return nil, tokenBadKey
	}
	if header.Alg != key.alg {
		return nil, tokenBadAlg
	}
	return key, nil
}

// tokenPayload keeps golang-jwt from decoding the payload, which it would do
// without regard to case and with the last of two equal names winning.
type tokenPayload struct {
	jwt.RegisteredClaims // never read: for the methods of jwt.Claims
	text                 []byte
}

// UnmarshalJSON keeps the payload's bytes for decode.
func (p *tokenPayload) UnmarshalJSON(text []byte) error {
	p.text = slices.Clone(text)
	return nil
}

// tokenWire is the payload as it is read. Pointers tell a claim that is missing
// or null from zero.
type tokenWire struct {
	Issuer      *string        `json:"iss"`
	Subject     *string        `json:"sub"`
	Audience    jsontext.Value `json:"aud"`
	ExpiresAt   *int64         `json:"exp"`
	IssuedAt    *int64         `json:"iat"`
	TokenID     *string        `json:"jti"`
	SessionID   *string        `json:"sid"`
	Gen         *int64         `json:"gen"`
	CompanyType *int32         `json:"company_type"`
	ProductType *int32         `json:"product_type"`
}

// decode reads the payload strictly: names by exact case and once each, none
// missing, none unknown, valid UTF-8, whole numbers in range.
func (p *tokenPayload) decode() (tokenWire, error) {
	var wire tokenWire
	if err := json.Unmarshal(p.text, &wire, json.RejectUnknownMembers(true)); err != nil {
		return wire, tokenBadClaims
	}
	if wire.Issuer == nil || wire.Subject == nil || wire.Audience == nil || wire.ExpiresAt == nil ||
		wire.IssuedAt == nil || wire.TokenID == nil || wire.SessionID == nil || wire.Gen == nil ||
		wire.CompanyType == nil || wire.ProductType == nil {
		return wire, tokenBadClaims
	}
	return wire, nil
}

// audience reads aud, a string or an array of strings (RFC 7519 §4.1.3); nil
// for anything else.
func (w tokenWire) audience() []string {
	if w.Audience.Kind() == '"' {
		var one string
		if json.Unmarshal(w.Audience, &one) != nil {
			return nil
		}
		return []string{one}
	}
	var many []string
	if json.Unmarshal(w.Audience, &many) != nil || slices.Contains(many, "") {
		return nil // a null in the array reads as ""
	}
	return many
}

func (w tokenWire) claims() (model.Claims, error) {
	user, err := strconv.ParseInt(*w.Subject, 10, 64)
	if err != nil || strconv.FormatInt(user, 10) != *w.Subject {
		return model.Claims{}, tokenBadSubject
	}
	if !tokenTimePlausible(*w.ExpiresAt) || !tokenTimePlausible(*w.IssuedAt) {
		return model.Claims{}, tokenBadNumber
	}
	claims := model.Claims{
		UserID:      user,
		SessionID:   *w.SessionID,
		TokenID:     *w.TokenID,
		Gen:         *w.Gen,
		CompanyType: *w.CompanyType,
		ProductType: *w.ProductType,
		IssuedAt:    model.TimeOf(time.Unix(*w.IssuedAt, 0)),
		ExpiresAt:   model.TimeOf(time.Unix(*w.ExpiresAt, 0)),
	}
	return claims, checkTokenClaims(claims)
}

// checkTokenClaims holds for tokens both made and read.
func checkTokenClaims(c model.Claims) error {
	switch {
	case c.UserID <= 0:
		return tokenBadSubject
	case !tokenIDPlausible(c.SessionID), !tokenIDPlausible(c.TokenID):
		return tokenBadID
	case c.Gen < 0, !tokenTimePlausible(c.IssuedAt.Unix()), !tokenTimePlausible(c.ExpiresAt.Unix()):
		return tokenBadNumber
	}
	return nil
}

// tokenTimePlausible reports whether model.Time and RFC 3339 can hold the second.
func tokenTimePlausible(unix int64) bool { return 0 < unix && unix <= tokenTimeMax }

// tokenIDPlausible reports whether id is 1 to 64 visible ASCII characters.
func tokenIDPlausible(id string) bool {
	if id == "" || len(id) > tokenIDMax {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
