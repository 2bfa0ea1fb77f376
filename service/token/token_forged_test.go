package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"menshen/model"
)

func tokenHeader(key *keyEntry) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, key.alg, key.kid)
}

// tokenPayloadText is a good payload in which pairs of name and JSON value
// replace or add members; the value "" leaves the member out.
func tokenPayloadText(now time.Time, pairs ...string) string {
	members := map[string]string{
		"iss": `"menshen"`, "sub": `"42"`, "aud": `["menshen"]`, "jti": `"j1"`, "sid": `"s1"`, "gen": `1`,
		"iat": fmt.Sprint(now.Unix()), "exp": fmt.Sprint(now.Unix() + 900), "company_type": `0`, "product_type": `0`,
	}
	for i := 0; i < len(pairs); i += 2 {
		members[pairs[i]] = pairs[i+1] //nolint:gosec // they come in pairs
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] != "" {
			text = append(text, fmt.Sprintf("%q:%s", name, members[name]))
		}
	}
	return "{" + strings.Join(text, ",") + "}"
}

func tokenInput(header, payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
}

// forgeToken signs any header and payload with the key.
func forgeToken(t testing.TB, key *keyEntry, header, payload string) string {
	t.Helper()
	return forgeSigned(t, key.method, key.private, tokenInput(header, payload))
}

func forgeSigned(t testing.TB, method jwt.SigningMethod, key any, input string) string {
	t.Helper()
	signature, err := method.Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// forgedHeaders are headers over a right signature of the key.
func forgedHeaders(key *keyEntry, url string) map[string]string {
	with := func(alg, kid, more string) string {
		return fmt.Sprintf(`{"alg":%s,"kid":%s,"typ":"at+jwt"%s}`, alg, kid, more)
	}
	alg, kid := fmt.Sprintf("%q", key.alg), fmt.Sprintf("%q", key.kid)
	jwk, _ := key.public.MarshalJSON()
	headers := map[string]string{
		"no alg":          fmt.Sprintf(`{"kid":%s,"typ":"at+jwt"}`, kid),
		"alg null":        with("null", kid, ""),
		"alg number":      with("256", kid, ""),
		"alg lower":       with(strings.ToLower(alg), kid, ""),
		"alg twice":       with(alg, kid, `,"alg":`+alg),
		"Alg beside":      with(alg, kid, `,"Alg":"none"`),
		"no kid":          fmt.Sprintf(`{"alg":%s,"typ":"at+jwt"}`, alg),
		"kid empty":       with(alg, `""`, ""),
		"kid traversal":   with(alg, `"../../dev/null"`, ""),
		"kid SQL":         with(alg, `"' OR 1=1--"`, ""),
		"kid long":        with(alg, `"`+strings.Repeat("A", 10<<10)+`"`, ""),
		"kid 2 kB":        with(alg, `"`+strings.Repeat("A", 2<<10)+`"`, ""),
		"kid number":      with(alg, "1", ""),
		"kid null":        with(alg, "null", ""),
		"kid array":       with(alg, "["+kid+"]", ""),
		"kid object":      with(alg, "{}", ""),
		"kid twice":       with(alg, kid, `,"kid":"x"`),
		"kid unknown":     with(alg, `"`+strings.Repeat("A", 43)+`"`, ""),
		"kid with NUL":    with(alg, `"`+key.kid+`\u0000"`, ""),
		"kid file name":   with(alg, `"`+key.kid+`.pem"`, ""),
		"crit empty":      with(alg, kid, `,"crit":[]`),
		"crit":            with(alg, kid, `,"crit":["exp"]`),
		"crit b64":        with(alg, kid, `,"b64":true,"crit":["b64"]`),
		"jku":             with(alg, kid, fmt.Sprintf(`,"jku":%q`, url)),
		"x5u":             with(alg, kid, fmt.Sprintf(`,"x5u":%q`, url)),
		"jku, kid new":    with(alg, `"`+strings.Repeat("B", 42)+`A"`, fmt.Sprintf(`,"jku":%q`, url)),
		"kid is a URL":    with(alg, fmt.Sprintf("%q", url), ""),
		"jwk":             with(alg, kid, `,"jwk":`+string(jwk)),
		"x5c":             with(alg, kid, `,"x5c":["AAAA"]`),
		"cty":             with(alg, kid, `,"cty":"JWT"`),
		"no typ":          fmt.Sprintf(`{"alg":%s,"kid":%s}`, alg, kid),
		"header array":    `[]`,
		"header null":     `null`,
		"header empty":    ``,
		"header no JSON":  `alg=` + key.alg,
		"header twice":    tokenHeader(key) + tokenHeader(key),
		"header not utf8": "{\"alg\":" + alg + ",\"kid\":\"\xff\",\"typ\":\"at+jwt\"}",
	}
	for _, typ := range []string{`"JWT"`, `""`, `null`, `"rt+jwt"`, `"at-jwt"`, `["at+jwt"]`, `"application/application/at+jwt"`, `"at+jwt "`} {
		headers["typ "+typ] = fmt.Sprintf(`{"alg":%s,"kid":%s,"typ":%s}`, alg, kid, typ)
	}
	for _, other := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "ES256", "ES384", "ES512",
		"RS256", "RS384", "RS512", "PS256", "EdDSA", "Ed25519", "ES256K", "XX"} {
		if other != key.alg {
			headers["alg "+other] = with(fmt.Sprintf("%q", other), kid, "")
		}
	}
	return headers
}

// forgedPayloads are payloads over a right signature of the key.
func forgedPayloads(now time.Time) map[string]string {
	payloads := map[string]string{
		"sid twice":        strings.Replace(tokenPayloadText(now), "{", `{"sid":"s1",`, 1),
		"SID beside":       tokenPayloadText(now, "SID", `"s2"`),
		"Exp beside":       tokenPayloadText(now, "Exp", `1`),
		"SUB for sub":      tokenPayloadText(now, "sub", "", "SUB", `"42"`),
		"escaped twice":    strings.Replace(tokenPayloadText(now), "{", `{"\u0073ub":"43",`, 1),
		"new twice":        strings.Replace(tokenPayloadText(now, "new", `1`), "{", `{"new":1,`, 1),
		"nbf ahead":        tokenPayloadText(now, "nbf", fmt.Sprint(now.Unix()+900)),
		"payload null":     `null`,
		"payload array":    `[` + tokenPayloadText(now) + `]`,
		"payload string":   `"x"`,
		"payload empty":    ``,
		"payload {}":       `{}`,
		"payload twice":    tokenPayloadText(now) + tokenPayloadText(now),
		"payload not utf8": tokenPayloadText(now, "jti", "\"\xff\""),
		"payload BOM":      "\xef\xbb\xbf" + tokenPayloadText(now),
	}
	wrong := map[string][]string{
		"iss":          {`""`, `"Menshen"`, `"menshen "`, `["menshen"]`, `1`},
		"aud":          {`""`, `"bank"`, `[]`, `["bank"]`, `["menshen",1]`, `["menshen",null]`, `{"menshen":1}`, `"Menshen"`, `[["menshen"]]`},
		"sub":          {`""`, `"0"`, `"-1"`, `"+42"`, `"042"`, `"42 "`, `"4.2e1"`, `42`, `"9223372036854775808"`, `"４２"`, `["42"]`},
		"sid":          {`""`, `1`, `"` + strings.Repeat("s", 65) + `"`, `"a b"`, `"a\u0000"`, `"é"`, `["s1"]`},
		"jti":          {`""`, `1`, `"` + strings.Repeat("j", 65) + `"`, `"a\n"`, `{}`},
		"gen":          {`-1`, `"1"`, `1.5`, `1.0`, `1e3`, `9223372036854775808`, `true`},
		"exp":          {`0`, `-1`, `-9223372036854775808`, `"1900000000"`, `1e300`, `1e9`, `1900000000.5`, `9223372036854775807`, `253402300800`, `[]`, `true`},
		"iat":          {`0`, `-1`, `-9223372036854775808`, `"1"`, `1e300`, `1.5`, fmt.Sprint(now.Unix() + 31), `9223372036854775807`},
		"company_type": {`"0"`, `0.5`, `2147483648`, `-2147483649`},
		"product_type": {`"0"`, `0.5`, `2147483648`, `[0]`},
	}
	for name, values := range wrong {
		for _, value := range slices.Concat(values, []string{"null"}) {
			payloads[name+" "+value] = tokenPayloadText(now, name, value)
		}
		payloads["no "+name] = tokenPayloadText(now, name, "")
	}
	return payloads
}

// forgedSpellings are other spellings of a good token, and spoilt signatures.
func forgedSpellings(raw string) map[string]string {
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	bytesOf, _ := base64.RawURLEncoding.DecodeString(signature)
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, len(bytesOf)))
	half := len(signature) / 2
	return map[string]string{
		"empty": "", "dots": "..", "one part": header, "two parts": join(header, payload), "four parts": raw + ".x",
		"trailing dot": raw + ".", "leading dot": "." + raw, "double dot": join(header, "", payload, signature),
		"empty signature": join(header, payload, ""), "zero signature": join(header, payload, zero),
		"short zeros":   join(header, payload, "AA"),
		"truncated":     raw[:len(raw)-1],
		"cut to bytes":  join(header, payload, base64.RawURLEncoding.EncodeToString(bytesOf[:len(bytesOf)-1])),
		"longer":        join(header, payload, base64.RawURLEncoding.EncodeToString(append(bytesOf, 0))),
		"unused bits":   raw[:len(raw)-1] + nextUnusedBit(raw[len(raw)-1]),
		"newline end":   raw + "\n",
		"CRLF end":      raw + "\r\n",
		"CR inside":     join(header, payload, signature[:half]+"\r"+signature[half:]),
		"LF inside":     join(header, payload, signature[:half]+"\n"+signature[half:]),
		"LF in payload": join(header, payload[:4]+"\n"+payload[4:], signature),
		"LF in header":  join(header[:4]+"\n"+header[4:], payload, signature),
		"space before":  " " + raw, "space after": raw + " ", "Bearer": "Bearer " + raw, "NUL": raw + "\x00",
		"padding": raw + "==", "standard base64": join(header, payload, strings.NewReplacer("-", "+", "_", "/").Replace(signature)+"+"),
		"percent": strings.Replace(raw, ".", "%2E", 1), "full width": strings.Replace(raw, ".", "．", 1),
		"swapped": join(payload, header, signature), "other payload": join(header, payload[:10]+"A"+payload[11:], signature),
		"no header": join("", payload, signature), "no payload": join(header, "", signature),
		"JSON form": `{"payload":"` + payload + `"}`, "5 kB": join(header, payload, strings.Repeat("A", 5<<10)),
		"undefined": "undefined", "null": "null",
	}
}

// nextUnusedBit changes the lowest bit of a base64url character; at the end of a
// signature of 64 bytes it carries no data.
func nextUnusedBit(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// forgedWithPublicKey are tokens whose HMAC key is a spelling of the public key.
func forgedWithPublicKey(t *testing.T, key *keyEntry, payload string) map[string]string {
	t.Helper()
	public := key.private.Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	jwk, err2 := json.Marshal(key.public)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	secrets := map[string][]byte{"PEM": text, "PEM cut": bytes.TrimSpace(text), "DER": der, "JWK": jwk, "empty": {}}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		secrets["raw"], _ = k.Bytes()
	case *rsa.PublicKey:
		secrets["raw"], secrets["PKCS#1"] = k.N.Bytes(), x509.MarshalPKCS1PublicKey(k)
	default:
		secrets["raw"] = der[len(der)-32:]
	}
	tokens := map[string]string{}
	for name, secret := range secrets {
		for _, method := range []*jwt.SigningMethodHMAC{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, method.Alg(), key.kid)
			tokens[method.Alg()+" with "+name] = forgeSigned(t, method, secret, tokenInput(header, payload))
		}
		tokens["own alg with HMAC of "+name] = forgeSigned(t, jwt.SigningMethodHS256, secret, tokenInput(tokenHeader(key), payload))
	}
	return tokens
}

// checkForged fails unless raw is refused with a cause that holds none of it.
func checkForged(t *testing.T, tokens *Issuer, name, raw string) {
	t.Helper()
	claims, err := tokens.Verify(raw)
	if !errors.Is(err, model.ErrToken) || claims != (model.Claims{}) {
		t.Errorf("%s: error %v, claims %+v", name, err, claims)
		return
	}
	var problem problem
	if !errors.As(err, &problem) {
		t.Errorf("%s: cause %v is not a constant", name, err)
	}
}

func TestTokensForged(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { connections.Add(1) }))
	defer server.Close()
	for _, alg := range tokenAlgs {
		t.Run(alg, func(t *testing.T) {
			tokens, clock := tokenSetup(t, alg)
			key, payload := tokens.Keys.signer(), tokenPayloadText(clock.Now())
			good := forgeToken(t, key, tokenHeader(key), payload)
			if _, err := tokens.Verify(good); err != nil {
				t.Fatalf("the token that all are forged from: %v", err)
			}
			forged := forgedSpellings(good)
			for name, header := range forgedHeaders(key, server.URL) {
				forged[name] = forgeToken(t, key, header, payload)
				forged[name+", unsigned"] = tokenInput(header, payload) + "."
			}
			for name, wrong := range forgedPayloads(clock.Now()) {
				forged[name] = forgeToken(t, key, tokenHeader(key), wrong)
			}
			maps.Copy(forged, forgedWithPublicKey(t, key, payload))
			t.Logf("%d forged tokens", len(forged))
			for name, raw := range forged {
				checkForged(t, tokens, name, raw)
			}
		})
	}
	if connections.Load() != 0 {
		t.Errorf("%d connections were made for a token's sake", connections.Load())
	}
}

// TestTokensOtherAlgorithmOfKey signs with methods that the key could serve as
// well as the one it is pinned to.
func TestTokensOtherAlgorithmOfKey(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgRS256)
	key := tokens.Keys.signer()
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS512} {
		for _, alg := range []string{method.Alg(), AlgRS256} {
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, key.kid)
			checkForged(t, tokens, method.Alg()+" as "+alg, forgeSigned(t, method, key.private, tokenInput(header, tokenPayloadText(clock.Now()))))
		}
	}
}

func TestTokensLenient(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	key := tokens.Keys.signer()
	header, payload := tokenHeader(key), tokenPayloadText(clock.Now())
	for name, raw := range map[string]string{
		"typ upper":       forgeToken(t, key, strings.Replace(header, "at+jwt", "AT+JWT", 1), payload),
		"typ long":        forgeToken(t, key, strings.Replace(header, "at+jwt", "application/at+jwt", 1), payload),
		"header order":    forgeToken(t, key, fmt.Sprintf(`{ "typ":"at+jwt", "kid":%q,"alg":"ES256"}`, key.kid), payload),
		"aud string":      forgeToken(t, key, header, tokenPayloadText(clock.Now(), "aud", `"shop"`)),
		"aud among other": forgeToken(t, key, header, tokenPayloadText(clock.Now(), "aud", `["bank","menshen"]`)),
		"int32 edges":     forgeToken(t, key, header, tokenPayloadText(clock.Now(), "company_type", "-2147483648", "product_type", "2147483647")),
		"expired":         forgeToken(t, key, header, tokenPayloadText(clock.Now(), "exp", "1")),
	} {
		if _, err := tokens.Verify(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	padded := tokenPayloadText(clock.Now(), "jti", `"j"`+strings.Repeat(" ", 4<<10))
	checkForged(t, tokens, "over 4 KiB", forgeToken(t, key, header, padded))
}

func TestTokensWithoutKey(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	opts.Generate, opts.Lenient = false, true
	tokens := newTestTokens(mustOpenKeys(t, opts), clock)
	if raw, err := tokens.Sign(tokenTestClaims(clock.Now())); err == nil || raw != "" {
		t.Error("signed without a key")
	}
	if _, err := tokens.Verify("a." + rand.Text() + ".c"); !errors.Is(err, model.ErrToken) {
		t.Errorf("error %v", err)
	}
}
