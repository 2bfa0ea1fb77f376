package config

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Problem is one reason for refusing a configuration.
type Problem struct {
	Key   string // dotted key, such as code.length or companies[1].type; the name of a file that is not YAML
	Text  string // what is wrong, without any text of the configuration
	Where string // file:line or name of the variable; empty if the key is not configured
}

// Error is "key: text (where)", on one line.
func (p Problem) Error() string {
	if p.Where == "" {
		return p.Key + ": " + p.Text
	}
	return p.Key + ": " + p.Text + " (" + p.Where + ")"
}

// Problems is the error of [Load]: all reasons for refusing a configuration.
type Problems []Problem

// Error is one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// report collects problems, and the origin of each value for rules that are checked
// later.
type report struct {
	problems Problems
	origin   map[string]string
	refused  map[string]bool
}

func newReport() *report {
	return &report{origin: map[string]string{}, refused: map[string]bool{}}
}

// setOrigin records where a key's value was read.
func (r *report) setOrigin(key, where string) { r.origin[key] = where }

// replaced deletes the origins of a list's items, which a later layer replaces.
func (r *report) replaced(key string) {
	maps.DeleteFunc(r.origin, func(known, _ string) bool { return strings.HasPrefix(known, key+"[") })
}

// refuse adds a problem with a value that cannot be read.
func (r *report) refuse(key, where, format string, args ...any) {
	r.refused[key] = true
	r.problems = append(r.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...), Where: where})
}

// breaks adds a problem with a value that breaks a rule, unless the key, or a section or
// item that contains it, already has one.
func (r *report) breaks(key, format string, args ...any) {
	if r.valid(key) {
		r.refuse(key, r.where(key), format, args...)
	}
}

// valid reports whether neither the key nor a section or item that contains it has a problem.
func (r *report) valid(key string) bool {
	for ; key != ""; key = parent(key) {
		if r.refused[key] {
			return false
		}
	}
	return true
}

// sound is valid for the key and everything below it.
func (r *report) sound(key string) bool {
	for refused := range r.refused {
		if strings.HasPrefix(refused, key+".") || strings.HasPrefix(refused, key+"[") {
			return false
		}
	}
	return r.valid(key)
}

func (r *report) where(key string) string {
	for ; key != ""; key = parent(key) {
		if where, known := r.origin[key]; known {
			return where
		}
	}
	return ""
}

// parent is the key without its last part: companies[1].type → companies[1] →
// companies → "".
func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}

// join is the key of a member of a section.
func join(path, name string) string {
	return strings.TrimPrefix(path+"."+name, ".")
}

// item is the key of the n-th value of a list.
func item(path string, n int) string { return path + "[" + strconv.Itoa(n) + "]" }
