package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one reason to refuse a configuration.
type Problem struct {
	Key   string // dotted key, such as code.length or companies[1].type; the file's name when it is no YAML
	Text  string // what is wrong, without any text that was given
	Where string // file:line or name of the variable; empty for what is given nowhere
}

// Error is "key: text (where)", on one line.
func (p Problem) Error() string {
	if p.Where == "" {
		return p.Key + ": " + p.Text
	}
	return p.Key + ": " + p.Text + " (" + p.Where + ")"
}

// Problems is every reason to refuse a configuration. It is the error of [Load].
type Problems []Problem

// Error is one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// report gathers problems, and remembers where each key's value came from so
// that a rule that fails later can still point at the line.
type report struct {
	problems Problems
	origin   map[string]string
	refused  map[string]bool
}

func newReport() *report {
	return &report{origin: map[string]string{}, refused: map[string]bool{}}
}

// came notes the origin of a key.
func (r *report) came(key, where string) { r.origin[key] = where }

// replaced forgets the origins of a list's items: a given list replaces the
// whole list of the former layer.
func (r *report) replaced(key string) {
	for known := range r.origin {
		if strings.HasPrefix(known, key+"[") {
			delete(r.origin, known)
		}
	}
}

// refuse adds a problem of a value that could not be read.
func (r *report) refuse(key, where, format string, args ...any) {
	r.refused[key] = true
	r.problems = append(r.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...), Where: where})
}

// breaks adds a problem of a value that was read and breaks a rule, unless the
// key or something around it was refused already: one cause, one problem.
func (r *report) breaks(key, format string, args ...any) {
	if !r.sound(key) {
		return
	}
	r.refuse(key, r.where(key), format, args...)
}

// sound tells whether neither the key nor what it is part of has a problem.
func (r *report) sound(key string) bool {
	for ; key != ""; key = parent(key) {
		if r.refused[key] {
			return false
		}
	}
	return true
}

func (r *report) where(key string) string {
	for ; key != ""; key = parent(key) {
		if where, known := r.origin[key]; known {
			return where
		}
	}
	return ""
}

// parent cuts the last part off: companies[1].type → companies[1] → companies → "".
func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}

// join puts a member's name under a section's path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// item is the path of a list's n-th value.
func item(path string, n int) string { return path + "[" + strconv.Itoa(n) + "]" }
