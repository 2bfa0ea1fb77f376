package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// member is one field of a section or of a list's object.
type member struct {
	name     string
	index    int
	typ      reflect.Type
	fallback string // value if an object leaves it out
	required bool   // an object may not leave it out
	nonzero  bool   // zero is refused; an object leaves the member out instead
	digits   bool   // digits without quotes are text
	lines    bool   // the text may hold line breaks
	single   bool   // one value without brackets is a list of one
}

// members lists the fields of a section or an object, in the order of the type.
func members(t reflect.Type) []member {
	var list []member
	for i := range t.NumField() {
		field := t.Field(i)
		rules := strings.Split(field.Tag.Get("member"), ",")
		if slices.Contains(rules, "derived") {
			continue
		}
		list = append(list, member{
			name:     field.Tag.Get("mapstructure"),
			index:    i,
			typ:      field.Type,
			fallback: field.Tag.Get("default"),
			required: slices.Contains(rules, "required"),
			nonzero:  slices.Contains(rules, "nonzero"),
			digits:   slices.Contains(rules, "digits"),
			lines:    slices.Contains(rules, "lines"),
			single:   slices.Contains(rules, "single"),
		})
	}
	return list
}

// names lists the members' names for a problem.
func names(list []member) string {
	var all []string
	for _, m := range list {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

// composite reports whether t is a section or the object of a list.
func composite(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

// leaf is a key that a file or a variable can set, with its value.
type leaf struct {
	key   string
	value reflect.Value
}

// leaves lists the leaves of a section, in the order of the type.
func leaves(section reflect.Value, path string) (list []leaf) {
	for _, m := range members(section.Type()) {
		key, value := join(path, m.name), section.Field(m.index)
		if composite(m.typ) {
			list = append(list, leaves(value, key)...)
			continue
		}
		list = append(list, leaf{key, value})
	}
	return list
}

// variable is the name of a key's environment variable: MENSHEN_SMS_WEBHOOK_URL.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
