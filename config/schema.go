package config

import (
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// member is one field of a section or of a list's object, as files name it.
type member struct {
	name     string
	index    int
	typ      reflect.Type
	fallback string // value when an object leaves it out
	required bool   // an object may not leave it out
	nonzero  bool   // zero may not be given, since leaving it out means something else
	digits   bool   // digits without quotes are taken as they stand
}

// members lists the fields of a section or an object in the order of the type.
func members(t reflect.Type) []member {
	list := make([]member, t.NumField())
	for i := range list {
		field := t.Field(i)
		rules := strings.Split(field.Tag.Get("member"), ",")
		list[i] = member{
			name:     field.Tag.Get("mapstructure"),
			index:    i,
			typ:      field.Type,
			fallback: field.Tag.Get("default"),
			required: slices.Contains(rules, "required"),
			nonzero:  slices.Contains(rules, "nonzero"),
			digits:   slices.Contains(rules, "digits"),
		}
	}
	return list
}

// names are the members' names, for telling what would have been known.
func names(list []member) string {
	all := make([]string, len(list))
	for i, m := range list {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}

// composite tells whether t is a section, or the object of a list.
func composite(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

// leaves walks every key that a file or a variable can give, with its value.
func leaves(cfg *Config) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		walk(reflect.ValueOf(cfg).Elem(), "", yield)
	}
}

func walk(section reflect.Value, path string, yield func(string, reflect.Value) bool) bool {
	for _, m := range members(section.Type()) {
		key, value := join(path, m.name), section.Field(m.index)
		if composite(m.typ) {
			if !walk(value, key, yield) {
				return false
			}
			continue
		}
		if !yield(key, value) {
			return false
		}
	}
	return true
}

// variable is the environment's name of a key: MENSHEN_SMS_WEBHOOK_URL.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
