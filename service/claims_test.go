package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"menshen/model"
	"menshen/service"
)

// TestClaims: access tokens, and so introspection, have the configured claims as they are
// when the token is signed.
func TestClaims(t *testing.T) {
	runScenes(t, scene{"sources", func(t *testing.T, in *instance) {
		for name, member := range map[string]string{"ext": "", "level": "level", "vip": "vip", "name": "name", "list": "list", "object": "object", "none": "none", "long": "long", "null": "null"} {
			in.sessions.Claims = append(in.sessions.Claims, model.ClaimSource{Name: name, Member: member, Longest: 256})
		}
		c := in.logIn(alice)
		claims := func(access model.Secret) map[string]any {
			t.Helper()
			text, err := in.sessions.Introspect(t.Context(), string(access))
			wantFailure(t, err, nil)
			var all map[string]any
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if all := claims(c.access); len(all) != 10 {
			t.Errorf("without values the claims are %v", all)
		}
		_, err := in.admin.Edit(t.Context(), root, c.User.User.ID, service.AccountEdit{ExternalID: new(`<"e">`), Metadata: []byte(
			`{"level":1.50,"vip":false,"name":"门","list":[1],"object":{},"other":1,"long":"` + strings.Repeat("x", 255) + `"}`)})
		wantFailure(t, err, nil)
		if all := claims(c.access); all["ext"] != nil {
			t.Error("a signed token changed")
		}
		c = in.refreshed(c)
		all := claims(c.access)
		if len(all) != 14 || all["ext"] != `<"e">` || all["level"] != 1.5 || all["vip"] != false || all["name"] != "门" {
			t.Errorf("the claims of %d are %v", c.User.User.ID, all)
		}
		if all := claims(in.logIn(alice).access); len(all) != 14 {
			t.Errorf("at login the claims are %v", all)
		}
	}})
}
