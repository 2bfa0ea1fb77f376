package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const refreshPath = "/app/auth/token/refresh"

// testRefresh: what a refresh gives, and in which order it judges.
func testRefresh(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	access, refresh := a.AccessToken.Value, a.RefreshToken.Value

	t.Run("nothing changes for strangers", func(t *testing.T) {
		other := d.login(t, form{Mobile: d.number()})
		sameUser := d.login(t, form{Mobile: a.UserInfo.Mobile, ProductType: 1})
		gone := d.login(t, form{Mobile: d.number()})
		d.do(t, call{method: "POST", path: "/app/auth/logout", as: gone.AccessToken.Value})
		foreign := d.forge(t, d.expire(t, access), func(_, payload claims) { payload["aud"] = "stranger" })
		changed := refresh[:len(refresh)-2] + string(refresh[len(refresh)-2]^1) + refresh[len(refresh)-1:]
		row := "SELECT CONCAT(gen, ' ', prev_gen, ' ', cur_jti, ' ', confirmed, ' ', ended_at, ' ', last_seen_at) FROM sessions WHERE id = ?"
		before := d.value(t, row, a.claims["sid"])
		for _, row := range []struct {
			name, access, refresh string
			code                  int32
		}{
			{"both empty", "", "", 40104},
			{"garbage refresh token before garbage access token", "garbage", "garbage", 40104},
			{"refresh token of nobody", access, "rt1_AAAAAAAAAAAAAAAAAAAAAAAAAA_" + strings.Repeat("A", 43), 40104},
			{"refresh token changed", access, changed, 40104},
			{"refresh token longer", access, refresh + "A", 40104},
			{"refresh token shorter", access, refresh[:len(refresh)-1], 40104},
			{"refresh token with a line break", access, refresh + "\n", 40104},
			{"access token as refresh token", access, access, 40104},
			{"refresh token very long", access, strings.Repeat("r", 7000), 40104},
			{"refresh token before access token", "garbage", changed, 40104},
			{"access token garbage", "garbage", refresh, 40100},
			{"access token empty", "", refresh, 40100},
			{"access token with a line break", access + "\n", refresh, 40100},
			{"access token forged", strings.Join(strings.Split(access, ".")[:2], ".") + "." + strings.Repeat("A", 86), refresh, 40100},
			{"access token expired and foreign", foreign, refresh, 40100},
			{"access token very long", strings.Repeat("a", 7000), refresh, 40100},
			{"access token of another user", other.AccessToken.Value, refresh, 40104},
			{"access token of another session", sameUser.AccessToken.Value, refresh, 40104},
			{"refresh token of another session", access, sameUser.RefreshToken.Value, 40104},
			{"another session before ended", access, gone.RefreshToken.Value, 40104},
			{"access token before ended", "garbage", gone.RefreshToken.Value, 40100},
			{"ended", gone.AccessToken.Value, gone.RefreshToken.Value, 40103},
		} {
			t.Run(row.name, func(t *testing.T) {
				c := call{path: refreshPath, body: pairBody(row.access, row.refresh), code: row.code}
				if row.code != 40103 {
					c.want = "null"
				}
				d.do(t, c)
			})
		}
		if after := d.value(t, row, a.claims["sid"]); after != before {
			t.Errorf("the session was %s, is %s", before, after)
		}
	})
	t.Run("expired access token", func(t *testing.T) {
		next := d.do(t, call{path: refreshPath, body: pairBody(d.expire(t, access), refresh)})
		var members map[string]string
		if err := json.Unmarshal(next.data, &members); err != nil {
			t.Fatal(err)
		}
		if names := slices.Sorted(maps.Keys(members)); !slices.Equal(names, []string{"expire", "value"}) {
			t.Errorf("data has %v", names)
		}
		wantTimeFromNow(t, "the new token's end", members["expire"], 15*time.Minute)
		header, payload := parseJWT(t, members["value"])
		if payload["sid"] != a.claims["sid"] || payload["sub"] != a.claims["sub"] || payload["jti"] == a.claims["jti"] || header["typ"] != "at+jwt" {
			t.Errorf("the new token is %v %v", header, payload)
		}
		access = members["value"]
		d.addTokens(t, access, refresh)
		d.do(t, call{path: "/app/auth/user", as: access})
	})
	t.Run("twelve at once", func(t *testing.T) {
		row := call{path: refreshPath, body: pairBody(access, refresh)}
		answers := withoutTimeouts(t, runAtOnce(12, func(int) answer { return d.send(t, row.request(t, d.public)) }))
		jtis := map[string]int{}
		for _, a := range answers {
			var next tokenView
			if err := json.Unmarshal(a.data, &next); err != nil || a.code != 0 {
				t.Fatalf("%s: %v", a.raw, err)
			}
			d.addTokens(t, next.Value, refresh)
			_, payload := parseJWT(t, next.Value)
			jtis[payload.text("jti")+" "+payload.text("exp")+" "+next.Expire.String()]++
			access = next.Value
		}
		if len(jtis) != 1 {
			t.Errorf("the tokens are %v", jtis)
		}
		d.do(t, call{path: "/app/auth/user", as: access})
	})
	t.Run("never past the session's end", func(t *testing.T) {
		end := time.Now().Add(2 * time.Minute).Truncate(time.Second)
		d.exec(t, "UPDATE sessions SET ends_at = ? WHERE id = ?", end.UnixMilli(), a.claims["sid"])
		if next := d.refresh(t, access, refresh); !next.Expire.Equal(end) {
			t.Errorf("the token ends at %s, the session at %s", next.Expire, end)
		}
	})
	for reason, end := range endings(t, d) {
		t.Run("after "+reason, func(t *testing.T) {
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-ended"})
			end(a)
			code, want := int32(40103), fmt.Sprintf(`{"reason":%q,"lastLoginTime":%q}`, reason, d.loginTime(t, a, "app"))
			if reason == "displaced" {
				code, want = 40102, strings.Replace(want, "}", `,"by":"Newer"}`, 1)
			}
			for _, access := range []string{a.AccessToken.Value, d.expire(t, a.AccessToken.Value)} {
				d.do(t, call{path: refreshPath, body: pairBody(access, a.RefreshToken.Value), code: code, want: want})
			}
		})
	}
}

// testRefreshTable is the table of design §4, time being moved in the database.
func testRefreshTable(t *testing.T, d *deployment) {
	type chain struct {
		account
		tokens []string // each refreshed from the one before
	}
	open := func(t *testing.T, length int) chain {
		c := chain{account: d.login(t, form{Mobile: d.number()})}
		c.tokens = []string{c.AccessToken.Value}
		for len(c.tokens) < length {
			c.tokens = append(c.tokens, d.refresh(t, c.tokens[len(c.tokens)-1], c.RefreshToken.Value).Value)
		}
		return c
	}
	later := func(t *testing.T, c chain) {
		d.exec(t, "UPDATE sessions SET minted_at = minted_at - 31000 WHERE id = ?", c.claims["sid"])
	}
	use := func(t *testing.T, access string) { d.do(t, call{path: "/app/auth/user", as: access}) }
	jti := func(t *testing.T, raw string) string {
		_, payload := parseJWT(t, raw)
		return payload.text("jti")
	}
	replay := func(t *testing.T, c chain, access string) {
		t.Helper()
		d.do(t, call{path: refreshPath, body: pairBody(access, c.RefreshToken.Value), code: 40103, want: `{"reason":"reuse"}`})
		for _, access := range c.tokens { // the session ended for every token
			d.do(t, call{path: "/app/auth/user", as: access, code: 40103, want: `{"reason":"reuse"}`})
		}
	}
	t.Run("predecessor converges within the grace", func(t *testing.T) {
		c := open(t, 2)
		use(t, c.tokens[1])
		if got := d.refresh(t, c.tokens[0], c.RefreshToken.Value); jti(t, got.Value) != jti(t, c.tokens[1]) {
			t.Error("another token came")
		}
	})
	t.Run("predecessor recovers while the current one is unseen", func(t *testing.T) {
		c := open(t, 2)
		later(t, c)
		got := d.refresh(t, c.tokens[0], c.RefreshToken.Value)
		if jti(t, got.Value) == jti(t, c.tokens[1]) {
			t.Error("the lost token came again")
		}
		use(t, got.Value)
	})
	t.Run("a lost answer may be asked for as often as needed", func(t *testing.T) {
		c := open(t, 1)
		for range 4 {
			c.tokens = append(c.tokens, d.refresh(t, c.tokens[0], c.RefreshToken.Value).Value)
			later(t, c)
		}
		use(t, c.tokens[4])
		d.refresh(t, c.tokens[4], c.RefreshToken.Value)
	})
	t.Run("predecessor is a replay once the current one was used", func(t *testing.T) {
		c := open(t, 2)
		use(t, c.tokens[1])
		later(t, c)
		replay(t, c, c.tokens[0])
	})
	t.Run("a check is a use too", func(t *testing.T) {
		c := open(t, 2)
		d.wantState(t, c.tokens[1], "device-of-use", "bound")
		later(t, c)
		replay(t, c, c.tokens[0])
	})
	t.Run("orphan", func(t *testing.T) {
		c := open(t, 2)
		later(t, c)
		recovered := d.refresh(t, c.tokens[0], c.RefreshToken.Value).Value
		if got := d.refresh(t, c.tokens[1], c.RefreshToken.Value); jti(t, got.Value) != jti(t, recovered) {
			t.Error("another token came")
		}
		later(t, c)
		replay(t, c, c.tokens[1])
	})
	t.Run("older than the predecessor", func(t *testing.T) {
		c := open(t, 3)
		d.do(t, call{path: refreshPath, body: pairBody(c.tokens[0], c.RefreshToken.Value), code: 40105, want: "null"})
		use(t, c.tokens[2])
		later(t, c)
		replay(t, c, c.tokens[0])
	})
	t.Run("newer than the database", func(t *testing.T) {
		c := open(t, 1)
		ahead := d.forge(t, c.tokens[0], func(_, payload claims) { payload["gen"] = 7 })
		got := d.refresh(t, ahead, c.RefreshToken.Value)
		if _, payload := parseJWT(t, got.Value); payload.text("gen") != "8" {
			t.Errorf("the generation is %v", payload["gen"])
		}
		use(t, got.Value)
		if n := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'adopt' AND session_id = ?", c.claims["sid"]); n != "1" {
			t.Errorf("%s alarms are in the event log", n)
		}
	})
}
