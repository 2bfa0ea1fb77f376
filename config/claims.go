package config

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Claims are the claims that the operator adds to access tokens, sorted by name. In the
// configuration they are a mapping of names to sources.
type Claims []Claim

// Claim is one claim of an access token.
type Claim struct {
	Name   string `mapstructure:"name"`
	Source string `mapstructure:"source"` // ExternalIDSource, or MetadataSource and the member's name
}

// Sources of a claim.
const (
	ExternalIDSource = "externalId"
	MetadataSource   = "metadata."
)

// MaxClaim bounds the JSON of a claim's value that comes from metadata, in bytes. A longer
// value is left out of the token.
const MaxClaim = 256

const (
	maxToken      = 4 << 10 // bytes of an access token
	maxExternalID = 64*6 + 2
	// tokenHeader is a bound of the header's JSON, tokenClaims one of the claims that every
	// token has, without the values of iss and aud. tokenSignature is that of RSA with 4096 bits.
	tokenHeader    = 96
	tokenClaims    = 256
	tokenSignature = 512
)

var claimsType = reflect.TypeFor[Claims]()

// claims reads a mapping of names to sources.
func (r *reader) claims(n *yaml.Node, key string) (reflect.Value, bool) {
	claims := Claims{}
	r.replaced(key)
	if null(n) {
		return reflect.ValueOf(claims), true
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(key, r.at(n), "must be %s", noun(claimsType))
		return reflect.Value{}, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, source := target(n.Content[i]), target(n.Content[i+1])
		switch {
		case name.Kind != yaml.ScalarNode || !claimName.MatchString(name.Value):
			r.refuse(join(key, unnamed), r.at(name), "is no name of a claim: 1 to 64 of A–Z a–z 0–9 _ - . : /")
		case source.Kind != yaml.ScalarNode || source.ShortTag() != "!!str":
			r.refuse(join(key, name.Value), r.at(source), "must be a string: a source")
		case slices.ContainsFunc(claims, func(c Claim) bool { return c.Name == name.Value }):
			r.refuse(join(key, name.Value), r.at(name), "is given twice")
		default:
			r.setOrigin(join(key, name.Value), r.at(source))
			claims = append(claims, Claim{name.Value, source.Value})
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
	return reflect.ValueOf(claims), true
}

// claimName is a name of a claim, which may be a URL (RFC 7519 §4.2).
var claimName = regexp.MustCompile(`\A[A-Za-z0-9_.:/-]{1,64}\z`)

// reservedClaims have a meaning in our tokens, in RFC 7519 or in RFC 7662. Verifiers that
// ignore case would take another spelling for them.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "gen", "company_type", "product_type",
	"active", "scope", "client_id", "username", "token_type",
}

func (r *rules) claims() {
	longest := 0
	for _, claim := range r.Token.Claims {
		key := join("token.claims", claim.Name)
		if slices.ContainsFunc(reservedClaims, func(reserved string) bool { return strings.EqualFold(reserved, claim.Name) }) {
			r.breaks(key, "is a reserved claim; choose another name")
		}
		member, isMetadata := strings.CutPrefix(claim.Source, MetadataSource)
		if claim.Source != ExternalIDSource && (!isMetadata || member == "") {
			r.breaks(key, "must be %s or %s<name>", ExternalIDSource, MetadataSource)
		}
		value := MaxClaim
		if claim.Source == ExternalIDSource {
			value = maxExternalID
		}
		longest += len(`,"":`) + len(claim.Name) + value
	}
	if longest == 0 {
		return
	}
	named, _ := json.Marshal([]any{r.Token.Issuer, r.Token.Audience}) // strings always marshal
	size := base64Size(tokenHeader) + 1 + base64Size(tokenClaims+len(named)+longest) + 1 + base64Size(tokenSignature)
	if size > maxToken {
		r.breaks("token.claims", "could make an access token of %d bytes, which is more than %d: a claim of metadata takes up to %d",
			size, maxToken, MaxClaim)
	}
}

// base64Size is the length of n bytes in unpadded base64.
func base64Size(n int) int { return (n*8 + 5) / 6 }
