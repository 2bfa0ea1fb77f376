package config

import (
	"reflect"
	"slices"
	"strings"
)

// coldKeys cannot change while the process runs. A name that ends with a dot is a
// section.
var coldKeys = []string{
	"env", "data_dir", "server.addr", "server.admin_addr", "server.idle_timeout", "database.",
	"secret.", "token.key_dir", "token.issuer", "token.algorithm", "tracing.",
}

// ColdChanges lists the keys that differ and need a restart, in the order of
// config.yaml; if it is empty, updated may replace old. The group of a product type is
// cold, since sessions keep the group of their login: it is listed as
// products[i].group, with the index in updated.
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

// CheckReload returns Problems if updated is valid but must not replace old while the
// process runs. It does not compare cold keys. A file without any key is probably being
// written, so that a return to all defaults takes a restart. Without an audience in common
// no token in use would be valid.
func CheckReload(old, updated *Config) error {
	if old.FromFile && !updated.FromFile {
		return Problems{{Key: "the configuration file", Text: "holds no key"}}
	}
	inForce := func(audience string) bool { return slices.Contains(old.Token.Audience, audience) }
	if !slices.ContainsFunc(updated.Token.Audience, inForce) {
		return Problems{{Key: "token.audience", Text: "keeps none of the audiences in force, which would end every login"}}
	}
	return nil
}

// Changes lists the keys whose values differ, in the order of config.yaml. A list is
// one key.
func Changes(old, updated *Config) []string {
	var changed []string
	before := leaves(reflect.ValueOf(old).Elem(), "")
	for i, after := range leaves(reflect.ValueOf(updated).Elem(), "") {
		if !equal(before[i].value, after.value) {
			changed = append(changed, after.key)
		}
	}
	return changed
}

func cold(key string) bool {
	return slices.ContainsFunc(coldKeys, func(c string) bool {
		return key == c || strings.HasSuffix(c, ".") && strings.HasPrefix(key, c)
	})
}

// equal compares two values. A nil list equals an empty one.
func equal(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
