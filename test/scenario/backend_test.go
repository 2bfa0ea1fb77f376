package scenario

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service/token"
)

// The client of the deployments of TestBackend; its secret has what OAuth 2 wants
// encoded.
const (
	clientID     = "orders"
	clientSecret = "s3cret+of/the orders:back%end=0123456789"
)

// TestBackend tests the calls of back ends.
func TestBackend(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0",
				"CLIENTS="+jsonOf(t, []map[string]string{{"id": clientID, "secret": clientSecret}, {"id": "other", "secret": strings.Repeat("o", 32)}}))
			d.secrets.add(kindToken, clientSecret)
			d.start(t)
			t.Run("introspection", func(t *testing.T) { testIntrospection(t, d) })
			t.Run("introspection of old tokens", func(t *testing.T) { testOldTokensAtBackends(t, d) })
			t.Run("introspection of bad requests", func(t *testing.T) { testBadIntrospection(t, d) })
			t.Run("feed", func(t *testing.T) { testFeed(t, d) })
			t.Run("feed of bad requests", func(t *testing.T) { testBadFeed(t, d) })
			t.Run("feed after a restart", func(t *testing.T) { testFeedRestart(t, d) })
		})
	}
}

// basic returns the header of HTTP Basic authentication.
func basic(id, secret string) http.Header {
	return headersOf("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

// introspect returns the row that introspects a token.
func introspect(token string) call {
	headers := basic(clientID, clientSecret)
	headers.Set("Content-Type", "application/x-www-form-urlencoded")
	return call{path: "/oauth/introspect", headers: headers, body: url.Values{"token": {token}}.Encode()}
}

// testIntrospection: the token of an active session is active, with the members of
// RFC 7662; every other token gets one and the same body.
func testIntrospection(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	got := d.do(t, introspect(a.AccessToken.Value))
	if names := slices.Sorted(maps.Keys(a.claims)); got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json; charset=utf-8" ||
		!slices.Equal(names, []string{"aud", "company_type", "exp", "gen", "iat", "iss", "jti", "product_type", "sid", "sub"}) {
		t.Errorf("%v of %v", got.header, names)
	}
	for name, aud := range map[string]any{"as signed": nil, "one": "menshen", "array of one": []string{"menshen"}, "array": []string{"elsewhere", "menshen"}} {
		token := a.AccessToken.Value
		if aud != nil {
			token = d.forge(t, token, func(_, payload claims) {
				payload["aud"], payload["of_a_newer_instance"] = aud, map[string]any{"n": json.Number("12345678901234567890"), "text": "门<&>"}
			})
		}
		_, want := parseJWT(t, token)
		want["active"], want["token_type"] = true, "Bearer"
		if got := decodeJSON(t, d.do(t, introspect(token)).raw); !reflect.DeepEqual(got, map[string]any(want)) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	ended := map[string]string{"expired": d.expire(t, a.AccessToken.Value), "refresh token": a.RefreshToken.Value, "garbage": "x.y.z", "one byte": "x", "of no session": d.forge(t, a.AccessToken.Value, func(_, payload claims) { payload["sid"] = "NONE" })}
	ended["foreign issuer"] = d.forge(t, a.AccessToken.Value, func(_, payload claims) { payload["iss"] = "https://other.example.com" })
	ended["foreign audience"] = d.forge(t, a.AccessToken.Value, func(_, payload claims) { payload["aud"] = "other" })
	ended["of another type"] = d.forge(t, a.AccessToken.Value, func(header, _ claims) { header["typ"] = "JWT" })
	ended["forged"] = a.AccessToken.Value[:len(a.AccessToken.Value)-8] + "AAAAAAAA"
	out := d.login(t, form{Mobile: d.number()})
	d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: out.AccessToken.Value})
	ended["logged out"] = out.AccessToken.Value
	displaced := d.login(t, form{Mobile: d.number()})
	d.login(t, form{Mobile: displaced.UserInfo.Mobile})
	ended["displaced"] = displaced.AccessToken.Value
	idle := d.login(t, form{Mobile: d.number()})
	d.exec(t, "UPDATE sessions SET idle_until = 1 WHERE id = ?", idle.claims["sid"])
	ended["idle"] = idle.AccessToken.Value
	for name, token := range ended {
		got := d.do(t, introspect(token))
		if got.status != http.StatusOK || string(got.raw) != `{"active":false}` || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	t.Run("storage away", func(t *testing.T) {
		d.exec(t, "ALTER TABLE sessions RENAME TO away")
		defer d.exec(t, "ALTER TABLE away RENAME TO sessions")
		row := introspect(d.forge(t, a.AccessToken.Value, func(_, payload claims) { payload["sid"] = "ANOTHER" }))
		row.code = 50300
		d.do(t, row)
	})
}

// testBadIntrospection: clients without access, and malformed requests.
func testBadIntrospection(t *testing.T, d *deployment) {
	token := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	encoded := introspect(token)
	encoded.headers.Set("Authorization", basic(url.QueryEscape(clientID), url.QueryEscape(clientSecret)).Get("Authorization"))
	if got := d.do(t, encoded); !bytes.HasPrefix(got.raw, []byte(`{"active":true`)) {
		t.Errorf("a client that encodes as OAuth 2 asks: %s", got.raw)
	}
	for name, authorization := range map[string][]string{
		"nobody": nil, "wrong secret": basic(clientID, clientSecret+"x")["Authorization"], "no secret": basic(clientID, "")["Authorization"], "other's secret": basic("other", clientSecret)["Authorization"],
		"unknown": basic("unknown", clientSecret)["Authorization"], "the user": {"Bearer " + token}, "garbage": {"Basic !"}, "twice": append(basic(clientID, clientSecret)["Authorization"], "Basic x"),
	} {
		row := introspect(token)
		row.headers["Authorization"] = authorization
		got := d.do(t, row)
		if got.status != http.StatusUnauthorized || string(got.raw) != `{"error":"invalid_client"}` || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %d %s with %v", name, got.status, got.raw, got.header)
		}
	}
	for _, body := range []string{"token_type_hint=access_token", "token=", "token=a&token=b", "token=%zz"} {
		row := introspect("")
		row.body = body
		if got := d.do(t, row); got.status != http.StatusBadRequest || string(got.raw) != `{"error":"invalid_request"}` {
			t.Errorf("%s: %d %s", body, got.status, got.raw)
		}
	}
	row := introspect(token)
	for value, code := range map[string]int32{
		"application/json": 41500, "text/plain": 41500, "application/x-www-form-urlencoded, text/plain": 41500,
		"application/x-www-form-urlencoded; charset=utf8": 0, "Application/X-WWW-Form-Urlencoded;charset=\"UTF-8\"": 0, "application/x-www-form-urlencoded;": 0,
	} {
		for language, sentence := range map[string]string{"en": "The request body must be application/x-www-form-urlencoded.", "zh-CN": "请求内容须为 application/x-www-form-urlencoded"} {
			row = introspect(token)
			row.headers.Set("Content-Type", value)
			row.headers.Set("Accept-Language", language)
			row.code = code
			if got := d.do(t, row); code != 0 && got.msg != sentence || code == 0 && !bytes.HasPrefix(got.raw, []byte(`{"active":true`)) {
				t.Errorf("%s: %s", value, got.raw)
			}
		}
	}
	row = introspect(strings.Repeat("x", 17<<10))
	row.code = 41300
	d.do(t, row)
}

// revocations is the data of an answer of the feed.
type revocations struct {
	Items []struct {
		Sid, Sub, Reason string
		EndedAt, Exp     time.Time
	}
	Next string
}

// feed requests the feed with headers. The answer may be a failure.
func (d *deployment) feed(t *testing.T, query string, headers http.Header) (answer, revocations) {
	t.Helper()
	response, err := d.client.Do(call{path: "/internal/revocations" + query, headers: headers}.request(t, d.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header}
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	a.raw = text.Bytes()
	a.readEnvelope(t, false)
	var data revocations
	if !a.enveloped || a.header.Get("Cache-Control") != "no-store" || a.code == 0 && json.Unmarshal(a.data, &data) != nil {
		t.Fatalf("the feed answers %d %s", a.status, a.raw)
	}
	return a, data
}

// follow requests the feed as the client, which must succeed.
func (d *deployment) follow(t *testing.T, query string) revocations {
	t.Helper()
	a, data := d.feed(t, query, basic(clientID, clientSecret))
	if a.code != 0 {
		t.Fatalf("the feed answers %d %s", a.status, a.raw)
	}
	return data
}

// adminKey returns the admin key that the program has generated.
func (d *deployment) adminKey(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// testFeed: ended sessions come in order, and a held request returns at once.
func testFeed(t *testing.T, d *deployment) {
	begin := d.follow(t, "?since=")
	a := d.login(t, form{Mobile: d.number()})
	held := make(chan revocations, 1)
	go func() {
		defer close(held)
		held <- d.follow(t, "?wait=20&since="+begin.Next)
	}()
	refreshed := d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
	d.login(t, form{Mobile: a.UserInfo.Mobile})
	displaced := time.Now()
	got := <-held
	if took := time.Since(displaced); took > patience/2 {
		t.Errorf("told after %s", took)
	}
	if len(got.Items) != 1 || got.Next == begin.Next {
		t.Fatalf("told %+v", got)
	}
	item := got.Items[0]
	if item.Sid != a.claims.text("sid") || item.Sub != a.claims.text("sub") || item.Reason != "displaced" || !item.Exp.Equal(refreshed.Expire) || time.Since(item.EndedAt).Abs() > patience {
		t.Errorf("told %+v of %v", item, a.claims)
	}
	if again := d.follow(t, "?since="+got.Next); len(again.Items) != 0 || again.Next != got.Next {
		t.Errorf("told again %+v", again)
	}
	t.Run("a wait without an end", func(t *testing.T) {
		asked := time.Now()
		if quiet := d.follow(t, "?wait=1&since="+got.Next); len(quiet.Items) != 0 || quiet.Next != got.Next {
			t.Errorf("told %+v", quiet)
		}
		if took := time.Since(asked); took < time.Second || took > patience/2 {
			t.Errorf("held for %s", took)
		}
	})
	t.Run("until the tokens have expired", func(t *testing.T) {
		d.exec(t, "UPDATE feed SET exp = 1 WHERE session_id = ?", a.claims["sid"])
		for _, item := range d.follow(t, "?since="+begin.Next).Items {
			t.Errorf("told %+v", item)
		}
	})
}

// testBadFeed: clients without access, and malformed requests.
func testBadFeed(t *testing.T, d *deployment) {
	token := d.login(t, form{Mobile: d.number()}).AccessToken.Value
	for name, headers := range map[string]http.Header{
		"nobody": nil, "wrong secret": basic(clientID, clientSecret+"x"), "unknown": basic("unknown", clientSecret), "no secret": basic(clientID, ""),
		"a user": headersOf("Authorization", "Bearer "+token), "an operator": headersOf("Authorization", "Bearer "+d.adminKey(t)),
	} {
		if a, _ := d.feed(t, "?since=", headers); a.status != http.StatusUnauthorized || a.code != 40100 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %d %s with %v", name, a.status, a.raw, a.header)
		}
	}
	for query, problem := range map[string]string{
		"?since=999999": "since unknown", "?since=-1": "since format", "?since=x": "since format", "?since=1&since=1": "since duplicate", "?wait=31": "wait range", "?wait=-1": "wait range",
		"?wait=1.5": "wait range", "?wait=x": "wait range", "?wait=": "wait range", "?wait=1&wait=1": "wait duplicate",
	} {
		a, _ := d.feed(t, query, basic(clientID, clientSecret))
		if a.code != 40000 || strings.Join(a.fieldProblems(t), ",") != problem {
			t.Errorf("%s: %d %s", query, a.status, a.raw)
		}
	}
	for _, path := range []string{"/internal/revocations", "/metrics", "/admin/users"} {
		d.do(t, call{path: path, headers: basic(clientID, clientSecret), code: 40400}) // on the public listener
	}
}

// testFeedRestart: a cursor is valid after a restart.
func testFeedRestart(t *testing.T, d *deployment) {
	cursor := d.follow(t, "").Next
	a := d.login(t, form{Mobile: d.number()})
	d.stop(t)
	d.start(t)
	d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: a.AccessToken.Value})
	if got := d.follow(t, "?since="+cursor); len(got.Items) != 1 || got.Items[0].Sid != a.claims.text("sid") || got.Items[0].Reason != "logged_out" {
		t.Errorf("told %+v", got)
	}
}

// TestKeysMaxAge: before a new key signs, it is published for twice as long as a
// cache may keep the old set.
func TestKeysMaxAge(t *testing.T) {
	for activation, want := range map[time.Duration]string{0: "0", time.Second: "0", 15 * time.Second: "5", time.Minute: "27", 10 * time.Minute: "297", 15 * time.Minute: "300", 720 * time.Hour: "300"} {
		d := newDeployment(t, repository.SQLite, "TOKEN_KEY_ACTIVATION="+activation.String())
		d.start(t)
		d.do(t, call{path: "/.well-known/jwks.json", header: map[string]string{"Cache-Control": "public, max-age=" + want}})
		d.stop(t)
		if age := token.KeysMaxAge(activation); age > time.Hour || 2*age+token.KeyReloadEvery > max(activation, token.KeyReloadEvery) {
			t.Errorf("%s is too long for an activation of %s", age, activation)
		}
	}
}
