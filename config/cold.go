package config

import (
	"reflect"
	"slices"
	"strings"
)

// coldKeys cannot change while the process runs: listeners, storage, keys and
// what every token and every stored hash depends on. A section ends with a dot.
var coldKeys = []string{
	"env", "data_dir", "server.addr", "server.admin_addr", "database.", "secret.",
	"token.key_dir", "token.issuer", "token.algorithm", "tracing.",
}

// ColdChanges lists the dotted keys that differ between two configurations and
// cannot be applied without a restart, in the order of config.yaml. Empty means
// that the new one may replace the old one. A product's group is cold for its
// type: sessions keep the group of their login, so products[1].group is listed
// (by the new index) when both configurations have that type in different groups.
func ColdChanges(old, updated *Config) []string {
	var changed []string
	for _, key := range Changes(old, updated) {
		if cold(key) {
			changed = append(changed, key)
		}
	}
	groups := map[int32]string{}
	for _, p := range old.Products {
		groups[p.Type] = p.Group
	}
	for i, p := range updated.Products {
		if group, known := groups[p.Type]; known && group != p.Group {
			changed = append(changed, item("products", i)+".group")
		}
	}
	return changed
}

// Changes lists the dotted keys whose values differ between two configurations,
// in the order of config.yaml, a list as a whole. It tells no value.
func Changes(old, updated *Config) []string {
	before := map[string]reflect.Value{}
	for key, value := range leaves(old) {
		before[key] = value
	}
	var changed []string
	for key, value := range leaves(updated) {
		if !equal(before[key], value) {
			changed = append(changed, key)
		}
	}
	return changed
}

func cold(key string) bool {
	return slices.ContainsFunc(coldKeys, func(c string) bool {
		return key == c || strings.HasSuffix(c, ".") && strings.HasPrefix(key, c)
	})
}

// equal takes a nil list for an empty one.
func equal(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
