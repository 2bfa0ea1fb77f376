package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
)

// TestClaims: names keep their case; a variable holds JSON.
func TestClaims(t *testing.T) {
	want := config.Claims{{Name: "Ext", Source: "externalId"}, {Name: "https://a.example/level", Source: "metadata.a.b"}}
	file := mustLoad(t, "token:\n  claims: {https://a.example/level: metadata.a.b, Ext: externalId}\n")
	variable := mustLoad(t, "token: {claims: {x: externalId}}", `MENSHEN_TOKEN_CLAIMS={"Ext":"externalId","https://a.example/level":"metadata.a.b"}`)
	for name, cfg := range map[string]*config.Config{"file": file, "variable": variable} {
		if diff := cmp.Diff(want, cfg.Token.Claims); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if !strings.Contains(cfg.Masked(), "  claims:\n    Ext: externalId\n") {
			t.Errorf("%s: the masked configuration is\n%s", name, cfg.Masked())
		}
	}
	if got := mustLoad(t, "token: {claims: {x: externalId}}", "MENSHEN_TOKEN_CLAIMS={}").Token.Claims; len(got) != 0 {
		t.Errorf("the variable {} leaves %v", got)
	}
}

func TestClaimsRefused(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("c%d: metadata.c%d", i, i))
	}
	for text, key := range map[string]string{
		"[a]":                                "token.claims",
		"{a: 1}":                             "token.claims.a",
		"{a: [externalId]}":                  "token.claims.a",
		"{a: mobile}":                        "token.claims.a",
		"{a: metadata.}":                     "token.claims.a",
		"{a: externalId, 'a': externalId}":   "token.claims.a",
		"{'a b': externalId}":                "token.claims.?",
		"{sub: externalId}":                  "token.claims.sub",
		"{nbf: externalId}":                  "token.claims.nbf",
		"{ACTIVE: externalId}":               "token.claims.ACTIVE",
		"{scope: externalId}":                "token.claims.scope",
		"{client_id: externalId}":            "token.claims.client_id",
		"{username: externalId}":             "token.claims.username",
		"{token_type: externalId}":           "token.claims.token_type",
		"{gen: metadata.gen}":                "token.claims.gen",
		"{" + strings.Join(many, ", ") + "}": "token.claims",
	} {
		_, _, err := load(t, "token:\n  claims: "+text+"\n")
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want a problem of %s", text, err, key)
		}
	}
}
