// Package token signs and verifies access tokens, keeps the keys for that in a folder
// that the instances of a deployment share, and caches verified tokens.
package token

import (
	"encoding/base64"
	stdjson "encoding/json"
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
	typeShort = "at+jwt"             // RFC 9068 §2.1
	typeLong  = "application/at+jwt" // the same in full, RFC 7515 §4.1.9
	maxToken  = 4 << 10
	maxID     = 64
	clockSkew = 30 * time.Second // by which another instance's clock may be ahead
	maxTime   = 253402300799     // 9999-12-31T23:59:59Z: beyond it RFC 3339 ends
)

// problem is why a token is refused, for the log. It is a constant, so that it cannot
// hold any part of the token.
type problem string

// Error is the problem.
func (p problem) Error() string { return string(p) }

const (
	badForm      problem = "token is not three base64url parts of at most 4 KiB"
	badHeader    problem = "token header is not exactly alg, kid and typ"
	badType      problem = "token typ is not at+jwt"
	badKey       problem = "token kid is not known"
	badAlg       problem = "token alg is not that of its key"
	badSignature problem = "token signature does not verify"
	badClaims    problem = "token claims are not all there, each once by its exact name and of its type"
	badIssuer    problem = "token iss is foreign"
	badAudience  problem = "token aud is foreign"
	badSubject   problem = "token sub is not a user id"
	badID        problem = "token sid or jti is not plausible"
	badNumber    problem = "token gen, iat or exp is out of range"
	badIssuedAt  problem = "token iat is in the future"
)

// Issuer signs and verifies access tokens: JWTs (RFC 7519) in the profile of RFC 9068,
// signed by JWS (RFC 7515). A token proves its signer, audience, user and session. It
// does not prove that the session is active.
type Issuer struct {
	Keys     *KeyRing
	Name     string   // iss of tokens
	Audience []string // aud of new tokens; a token is ours if it names one of them
	Now      func() time.Time
	Latest   func() time.Time // the newest time seen, after Now if a clock was set back; may be nil: Now
	Cache    *Cache           // may be nil
}

// signedClaims is the payload as it is signed. aud is always an array, even of one (RFC
// 7519 §4.1.3 allows both): its type must not change with the configuration.
type signedClaims struct {
	jwt.RegisteredClaims
	SessionID   string `json:"sid"`
	Gen         int64  `json:"gen"`
	CompanyType int32  `json:"company_type"`
	ProductType int32  `json:"product_type"`
	more        []byte // further members, each behind a comma
}

// MarshalJSON is the payload with the further members.
func (c signedClaims) MarshalJSON() ([]byte, error) {
	type plain signedClaims // without this method
	text, err := stdjson.Marshal(plain(c))
	if err != nil || len(c.more) == 0 {
		return text, err
	}
	return append(append(text[:len(text)-1], c.more...), '}'), nil
}

// Sign signs an access token with the claims, using the key that signs now. Times are
// truncated to whole seconds. Claims that Verify would refuse are an error. The token is
// added to the cache, because this process need not verify its own signature.
func (t Issuer) Sign(claims model.Claims) (string, error) { return t.SignWith(claims, nil) }

// SignWith is Sign with further claims: members of a JSON object, each behind a comma,
// whose names are none of Sign's. Verify ignores them.
func (t Issuer) SignWith(claims model.Claims, more []byte) (string, error) {
	if err := checkClaims(claims); err != nil {
		return "", err
	}
	generation, now := t.Keys.Generation(), model.TimeOf(t.Now())
	key := t.Keys.signer()
	if key == nil {
		return "", errors.New("no key to sign with")
	}
	token := &jwt.Token{
		Method: key.method,
		Header: map[string]any{"alg": key.alg, "kid": key.kid, "typ": typeShort},
		Claims: signedClaims{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer: t.Name, Subject: strconv.FormatInt(claims.UserID, 10), Audience: t.Audience, ID: claims.TokenID,
				ExpiresAt: jwt.NewNumericDate(claims.ExpiresAt.Std()), IssuedAt: jwt.NewNumericDate(claims.IssuedAt.Std()),
			},
			SessionID: claims.SessionID, Gen: claims.Gen, CompanyType: claims.CompanyType, ProductType: claims.ProductType, more: more,
		},
	}
	raw, err := token.SignedString(key.private)
	if err == nil {
		claims.IssuedAt, claims.ExpiresAt = claims.IssuedAt.Second(), claims.ExpiresAt.Second()
		t.Cache.put(raw, generation, claims, now)
	}
	return raw, err
}

// Verify checks everything about an access token except its expiry, and returns its
// claims: form and size, signature by the key and the one algorithm that its kid names
// (RFC 8725 §3.1), type, issuer, audience, and that each claim is present once and
// plausible. A header parameter besides alg, kid and typ is refused, such as one that
// names a key (jku, jwk, x5u, x5c) or crit (RFC 7515 §4.1.11). Unknown claims are ignored
// (RFC 7519 §4), because a newer instance may add some. A claim that differs from a known
// one in case alone is refused, and so is nbf (RFC 7519 §4.1.5).
//
// The caller must check expiry: model.Claims.Expired. Every error is model.ErrToken; its
// cause never holds any part of the token.
func (t Issuer) Verify(raw string) (model.Claims, error) {
	// The generation is read first: if a key is removed meanwhile, the cached entry is
	// useless, but an entry never outlives its key.
	generation, now := t.Keys.Generation(), model.TimeOf(t.Now())
	if claims, ok := t.Cache.get(raw, generation, now); ok {
		return claims, nil
	}
	claims, err := t.verify(raw)
	if err != nil {
		return model.Claims{}, model.ErrToken.Wrap(err)
	}
	t.Cache.put(raw, generation, claims, now)
	return claims, nil
}

func (t Issuer) verify(raw string) (model.Claims, error) {
	if !wellFormed(raw) {
		return model.Claims{}, badForm
	}
	key, err := t.headerKey(raw)
	if err != nil {
		return model.Claims{}, err
	}
	var payload payloadBytes
	if _, err := key.parser.ParseWithClaims(raw, &payload, key.verifier); err != nil {
		return model.Claims{}, badSignature
	}
	wire, err := payload.decode()
	if err != nil {
		return model.Claims{}, err
	}
	if *wire.Issuer != t.Name {
		return model.Claims{}, badIssuer
	}
	if !slices.ContainsFunc(wire.audience(), func(aud string) bool { return slices.Contains(t.Audience, aud) }) {
		return model.Claims{}, badAudience
	}
	claims, err := wire.claims()
	if err != nil {
		return model.Claims{}, err
	}
	if claims.IssuedAt.Std().After(t.latest().Add(clockSkew)) {
		return model.Claims{}, badIssuedAt
	}
	return claims, nil
}

// latest is the time before which tokens may have been issued. If a clock is set back,
// tokens from before are none from the future: to refuse them would log their users out.
func (t Issuer) latest() time.Time {
	if t.Latest == nil {
		return t.Now()
	}
	return t.Latest()
}

// wellFormed checks size and bytes before anything is parsed. golang-jwt ignores line
// breaks within a part, even in strict mode.
func wellFormed(raw string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(raw) <= maxToken && strings.Count(raw, ".") == 2 && strings.Trim(raw, alphabet+".") == ""
}

// headerKey reads the header and finds the key that it names.
func (t Issuer) headerKey(raw string) (*keyEntry, error) {
	segment, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, badForm
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}
	if err := json.Unmarshal(text, &header, json.RejectUnknownMembers(true)); err != nil {
		return nil, badHeader
	}
	if !strings.EqualFold(header.Typ, typeShort) && !strings.EqualFold(header.Typ, typeLong) {
		return nil, badType
	}
	key := t.Keys.find(header.Kid)
	if key == nil {
		return nil, badKey
	}
	if header.Alg != key.alg {
		return nil, badAlg
	}
	return key, nil
}

// payloadBytes prevents golang-jwt from decoding the payload, because it ignores case
// and takes the last of two equal names.
type payloadBytes struct {
	jwt.RegisteredClaims // never read: for the methods of jwt.Claims
	text                 []byte
}

// UnmarshalJSON keeps the payload's bytes for decode.
func (p *payloadBytes) UnmarshalJSON(text []byte) error {
	p.text = slices.Clone(text)
	return nil
}

// Payload returns the claims of a token that was verified, a JSON object as it was signed.
func Payload(raw string) []byte {
	_, rest, _ := strings.Cut(raw, ".")
	segment, _, _ := strings.Cut(rest, ".")
	text, _ := base64.RawURLEncoding.DecodeString(segment) // Verify has decoded it
	return text
}

// wireClaims is the payload as it is read. Pointers distinguish a missing or null claim
// from zero.
type wireClaims struct {
	Issuer      *string                   `json:"iss"`
	Subject     *string                   `json:"sub"`
	Audience    jsontext.Value            `json:"aud"`
	ExpiresAt   *int64                    `json:"exp"`
	IssuedAt    *int64                    `json:"iat"`
	TokenID     *string                   `json:"jti"`
	SessionID   *string                   `json:"sid"`
	Gen         *int64                    `json:"gen"`
	CompanyType *int32                    `json:"company_type"`
	ProductType *int32                    `json:"product_type"`
	Others      map[string]jsontext.Value `json:",embed"`
}

// knownClaims have a meaning for Verify: in another case they could mislead
// another verifier. nbf is never signed.
var knownClaims = []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "gen", "company_type", "product_type", "nbf"}

// decode reads the payload strictly: known names in exact case and once each, none
// missing, valid UTF-8, whole numbers in range.
func (p *payloadBytes) decode() (wireClaims, error) {
	var wire wireClaims
	if err := json.Unmarshal(p.text, &wire); err != nil {
		return wire, badClaims
	}
	if wire.Issuer == nil || wire.Subject == nil || wire.Audience == nil || wire.ExpiresAt == nil ||
		wire.IssuedAt == nil || wire.TokenID == nil || wire.SessionID == nil || wire.Gen == nil ||
		wire.CompanyType == nil || wire.ProductType == nil {
		return wire, badClaims
	}
	for other := range wire.Others {
		if slices.ContainsFunc(knownClaims, func(known string) bool { return strings.EqualFold(known, other) }) {
			return wire, badClaims
		}
	}
	return wire, nil
}

// audience reads aud, a string or an array of strings (RFC 7519 §4.1.3). It returns nil
// for anything else.
func (w wireClaims) audience() []string {
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

func (w wireClaims) claims() (model.Claims, error) {
	user, err := strconv.ParseInt(*w.Subject, 10, 64)
	if err != nil || strconv.FormatInt(user, 10) != *w.Subject {
		return model.Claims{}, badSubject
	}
	if !plausibleTime(*w.ExpiresAt) || !plausibleTime(*w.IssuedAt) {
		return model.Claims{}, badNumber
	}
	claims := model.Claims{
		UserID: user, SessionID: *w.SessionID, TokenID: *w.TokenID, Gen: *w.Gen,
		CompanyType: *w.CompanyType, ProductType: *w.ProductType,
		IssuedAt: model.TimeOf(time.Unix(*w.IssuedAt, 0)), ExpiresAt: model.TimeOf(time.Unix(*w.ExpiresAt, 0)),
	}
	return claims, checkClaims(claims)
}

// checkClaims checks the claims of tokens both signed and read.
func checkClaims(c model.Claims) error {
	switch {
	case c.UserID <= 0:
		return badSubject
	case !plausibleID(c.SessionID), !plausibleID(c.TokenID):
		return badID
	case c.Gen < 0, !plausibleTime(c.IssuedAt.Unix()), !plausibleTime(c.ExpiresAt.Unix()):
		return badNumber
	}
	return nil
}

// plausibleTime reports whether model.Time and RFC 3339 can hold the second.
func plausibleTime(unix int64) bool { return 0 < unix && unix <= maxTime }

// plausibleID reports whether id is 1 to 64 visible ASCII characters.
func plausibleID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
