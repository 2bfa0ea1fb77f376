// Command verify is a resource server in Go: it verifies access tokens by the
// published keys and refuses those of ended sessions, of which it hears by the
// revocation feed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func main() {
	ctx := context.Background()
	v, err := newVerifier(ctx, os.Getenv("JWKS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	v.issuer, v.audience = os.Getenv("ISSUER"), os.Getenv("AUDIENCE")
	v.revoked, err = followRevocations(ctx, os.Getenv("FEED_URL"), os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, v))
}

// verifier judges access tokens.
type verifier struct {
	url, issuer, audience string
	cache                 *jwk.Cache
	revoked               *revocations

	mu        sync.Mutex
	refreshed time.Time
}

func newVerifier(ctx context.Context, url string) (*verifier, error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	// As often as the answer's Cache-Control says, within these bounds.
	err = cache.Register(ctx, url, jwk.WithMinInterval(5*time.Second), jwk.WithMaxInterval(5*time.Minute))
	return &verifier{url: url, cache: cache}, err
}

// verify returns the claims of a token that is currently valid.
func (v *verifier) verify(ctx context.Context, raw string) (jwt.Token, error) {
	message, err := jws.Parse([]byte(raw), jws.WithCompact())
	if err != nil {
		return nil, err
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if typ, _ := header.Type(); typ != "at+jwt" { // RFC 9068: refuse the issuer's other JWTs
		return nil, errors.New("not an access token")
	}
	kid, _ := header.KeyID()
	keys, err := v.keys(ctx, kid)
	if err != nil {
		return nil, err
	}
	token, err := jwt.Parse([]byte(raw), jwt.WithKeySet(keys), jwt.WithIssuer(v.issuer), jwt.WithAudience(v.audience),
		jwt.WithRequiredClaim("exp"), jwt.WithRequiredClaim("sub"))
	if err != nil {
		return nil, err
	}
	var sid string
	if err := token.Get("sid", &sid); err != nil {
		return nil, err
	}
	if v.revoked.ended(sid) {
		return nil, errors.New("the session has ended")
	}
	return token, nil
}

// keys returns the published keys. If kid is unknown it fetches them again, at most
// every five seconds.
func (v *verifier) keys(ctx context.Context, kid string) (jwk.Set, error) {
	keys, err := v.cache.Lookup(ctx, v.url)
	if err != nil {
		return nil, err
	}
	if _, known := keys.LookupKeyID(kid); known {
		return keys, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.refreshed) < 5*time.Second {
		return keys, nil
	}
	v.refreshed = time.Now()
	return v.cache.Refresh(ctx, v.url)
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		raw = ""
	}
	token, err := v.verify(r.Context(), raw)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	subject, _ := token.Subject()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"sub": subject})
}
