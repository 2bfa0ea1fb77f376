package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
)

func TestColdChanges(t *testing.T) {
	const old = "products: [{type: 0, group: a}, {type: 1, group: b}]\n"
	for _, tt := range []struct {
		name, old, updated string
		want               []string
	}{
		{"nothing", old, old, nil},
		{"hot keys", old, old + "code: {length: 8}\nlog: {level: debug}\nserver: {docs: false}\ntoken: {access_ttl: 1m}\n", nil},
		{"many", "", "env: test\ndata_dir: x\nserver: {addr: ':1', admin_addr: ':2', docs: false}\ntoken: {issuer: x, algorithm: RS256, key_dir: y}\n",
			[]string{"env", "data_dir", "server.addr", "server.admin_addr", "token.issuer", "token.algorithm", "token.key_dir"}},
		{"database", "", "database: {driver: mysql, dsn: 'a@tcp(b)/c'}\n", []string{"database.driver", "database.dsn"}},
		{"secret", "secret: {key: " + key(1, 32) + "}", "secret: {key: " + key(2, 32) + ", previous: [" + key(1, 32) + "]}",
			[]string{"secret.key", "secret.previous"}},
		{"group", old, "products: [{type: 1, group: b}, {type: 0, group: c}]\n", []string{"products[1].group"}},
		{"groups swapped", old, "products: [{type: 0, group: b}, {type: 1, group: a}]\n", []string{"products[0].group", "products[1].group"}},
		{"order of products", old, "products: [{type: 1, group: b}, {type: 0, group: a}]\n", nil},
		{"new and removed products", old, "products: [{type: 1, group: b}, {type: 7, group: a}]\n", nil},
		{"policy of a product", old, "products: [{type: 0, group: a, max_sessions: 3, on_conflict: reject}, {type: 1, group: b}]\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := config.ColdChanges(mustLoad(t, tt.old), mustLoad(t, tt.updated))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestChanges: the keys without values, in the order of the manual, hot and cold.
func TestChanges(t *testing.T) {
	operator := func(key string) string { return "admin: {keys: [{name: a, key: '" + key + "'}]}\n" }
	plain := strings.Repeat(canary, 4)
	for name, tt := range map[string]struct {
		old, updated string
		want         []string
	}{
		"nothing":        {"", "# a comment\n", nil},
		"the default":    {"", "server: {locale: zh-CN}\n", nil},
		"hot and cold":   {"", "log: {level: debug}\ncode: {ttl: 1m, length: 8}\nenv: test\n", []string{"env", "code.length", "code.ttl", "log.level"}},
		"lists":          {"", "companies: [{type: 7}]\ntoken: {audience: [x]}\n", []string{"token.audience", "companies"}},
		"order matters":  {"token: {audience: [x, y]}", "token: {audience: [y, x]}", []string{"token.audience"}},
		"products too":   {"", "token: {access_ttl: 1m}\n", []string{"token.access_ttl", "products"}},
		"a secret":       {"", operator(plain), []string{"admin.keys"}},
		"the same key":   {operator(plain), operator("sha256:" + hashOf(plain)), nil},
		"another secret": {operator(plain), operator(plain + "x"), []string{"admin.keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, config.Changes(mustLoad(t, tt.old), mustLoad(t, tt.updated))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckReload(t *testing.T) {
	for name, tt := range map[string]struct{ old, updated, want string }{
		"the same":                    {"code: {length: 8}", "code: {length: 8}", ""},
		"another key":                 {"code: {length: 8}", "log: {level: debug}", ""},
		"empty":                       {"code: {length: 8}", "\n", "holds no key"},
		"comments":                    {"code: {length: 8}", "# code: {length: 8}\n", "holds no key"},
		"sections without keys":       {"code: {length: 8}", "code:\nlog:\n", "holds no key"},
		"empty as before":             {"\n", "# nothing\n", ""},
		"the first key":               {"\n", "code: {length: 8}", ""},
		"one audience added":          {"token: {audience: [a]}", "token: {audience: [b, a]}", ""},
		"one audience removed":        {"token: {audience: [a, b]}", "token: {audience: [b]}", ""},
		"one of two kept":             {"token: {audience: [a, b]}", "token: {audience: [c, b]}", ""},
		"another audience":            {"token: {audience: [a]}", "token: {audience: [b]}", "token.audience"},
		"other audiences":             {"token: {audience: [a, b]}", "token: {audience: [c, d]}", "token.audience"},
		"another case":                {"token: {audience: [a]}", "token: {audience: [A]}", "token.audience"},
		"the default audience leaves": {"log: {level: debug}", "token: {audience: [a]}", "token.audience"},
	} {
		t.Run(name, func(t *testing.T) {
			err := config.CheckReload(mustLoad(t, tt.old), mustLoad(t, tt.updated))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestColdChangesTakesNilForEmpty(t *testing.T) {
	loaded, bare := mustLoad(t, ""), mustLoad(t, "")
	bare.Secret.Previous = nil
	if got := config.ColdChanges(loaded, bare); got != nil {
		t.Errorf("no previous secrets differ from none: %q", got)
	}
}

// TestManualMarksColdKeys: the manual marks exactly the cold keys.
func TestManualMarksColdKeys(t *testing.T) {
	lines := strings.Split(string(shipped(t)), "\n")
	var marked []string
	for key, node := range keysOf(t, shipped(t)) {
		line := node.Line - 2
		for ; strings.Contains(lines[line], "#"); line-- {
			if strings.HasSuffix(lines[line], "[cold]") {
				marked = append(marked, key)
			}
		}
	}
	slices.Sort(marked)
	changed := map[string]bool{}
	manual := keysOf(t, shipped(t))
	for key := range manual {
		var entries []string
		for _, k := range append(companions[key], key) {
			entries = append(entries, variable(k)+"="+otherValue(t, k, manual[k]))
		}
		for _, cold := range config.ColdChanges(mustLoad(t, ""), mustLoad(t, "", entries...)) {
			changed[cold] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(changed)), marked); diff != "" {
		t.Errorf("cold keys (-) and keys marked in config.yaml (+):\n%s", diff)
	}
}
