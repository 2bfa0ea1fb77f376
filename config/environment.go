package config

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	envPrefix  = "MENSHEN_"
	fileSuffix = "_FILE"
)

// environment reads the variables of one process: X is the value of a key,
// X_FILE names a file that holds it. If both are set, the file counts.
type environment struct {
	*report
	open func(name string) ([]byte, error)
}

// values answers the keys that are given, and a warning for each variable that
// looks like ours and is not: an orchestrator injects its own, so an unknown
// one may not stop a start.
func (e *environment) values(environ []string) (values map[string]any, warnings []string) {
	variables := map[string]string{}
	for _, entry := range environ {
		if name, text, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			variables[name] = text
		}
	}
	values = map[string]any{}
	for key, zero := range leaves(new(Config)) {
		name := variable(key)
		text, given := variables[name]
		file, fromFile := variables[name+fileSuffix]
		delete(variables, name)
		delete(variables, name+fileSuffix)
		if fromFile {
			name += fileSuffix
			var err error
			if text, err = e.content(file); err != nil {
				e.refuse(key, name, "cannot read the file that %s names: %s", name, err)
				continue
			}
		}
		if !given && !fromFile {
			continue
		}
		if v, ok := e.value(key, name, zero.Type(), text); ok {
			values[key] = v.Interface()
		}
	}
	for name := range variables {
		warnings = append(warnings, strings.Trim(strconv.QuoteToASCII(name), `"`)+": unknown variable, it has no effect")
	}
	slices.Sort(warnings)
	return values, warnings
}

// content is a file's text without its one final line break.
func (e *environment) content(file string) (string, error) {
	text, err := e.open(file)
	if err != nil {
		// Without the path: somebody may have put the secret itself there.
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// value reads the text of one variable: lists of objects are JSON, lists of
// scalars have commas, and an empty text is an empty list of either.
func (e *environment) value(key, name string, t reflect.Type, text string) (reflect.Value, bool) {
	e.came(key, name)
	if t.Kind() != reflect.Slice {
		v, err := parse(t, text)
		if err != nil {
			e.refuse(key, name, "%s", err)
		}
		return v, err == nil
	}
	e.replaced(key)
	if strings.TrimSpace(text) == "" {
		return reflect.MakeSlice(t, 0, 0), true
	}
	if composite(t.Elem()) {
		node, err := documentJSON(text)
		if err != nil {
			e.refuse(key, name, "%s", err)
			return reflect.Value{}, false
		}
		r := &reader{report: e.report, source: name}
		return r.value(node, member{typ: t}, key)
	}
	parts := strings.Split(text, ",")
	list := reflect.MakeSlice(t, len(parts), len(parts))
	for i, part := range parts {
		v, err := parse(t.Elem(), strings.TrimSpace(part))
		if err != nil {
			e.refuse(item(key, i), name, "%s", err)
			continue
		}
		list.Index(i).Set(v)
	}
	return list, true
}

var errTooLarge = errors.New("it is larger than 1 MiB")

// readFile reads a small file. The bound keeps a wrong path, such as a device
// or a database, from filling the memory.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // named by the operator, in a variable that ends in _FILE
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readSmall(file)
}
