package config

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"menshen/internal/smallfile"
)

const (
	envPrefix  = "MENSHEN_"
	fileSuffix = "_FILE"
)

// environment reads the variables. X holds the value of a key; X_FILE, which wins,
// names a file that holds it.
type environment struct {
	*report
	open func(name string) ([]byte, error)
}

// values returns the values by key, and a warning for each unknown variable:
// orchestrators inject variables of their own.
func (e *environment) values(environ []string) (values map[string]any, warnings []string) {
	variables := map[string]string{}
	for _, entry := range environ {
		if name, text, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			variables[name] = text
		}
	}
	values = map[string]any{}
	var exposed []string
	for _, zero := range leaves(reflect.ValueOf(Config{}), "") {
		key, name := zero.key, variable(zero.key)
		text, given := variables[name]
		file, fromFile := variables[name+fileSuffix]
		delete(variables, name)
		delete(variables, name+fileSuffix)
		if fromFile {
			name += fileSuffix
			content, err := e.open(file)
			if err != nil {
				e.refuse(key, name, "cannot read the file that %s names: %s", name, err)
				continue
			}
			text = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
			if secretive(zero.value.Type()) && openToOthers(file) {
				exposed = append(exposed, name)
			}
		}
		if !given && !fromFile {
			continue
		}
		if v, ok := e.value(key, name, zero.value.Type(), text); ok {
			values[key] = v.Interface()
		}
	}
	for name := range variables {
		warnings = append(warnings, strings.Trim(strconv.QuoteToASCII(name), `"`)+": unknown variable, it has no effect")
	}
	slices.Sort(warnings)
	if len(exposed) > 0 {
		warnings = append(warnings, strings.Join(exposed, ", ")+": files with secrets, open to other users by their mode; 0400 or 0440 keeps them out")
	}
	return values, warnings
}

// secretive reports whether a value of the type may hold a secret.
func secretive(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return secretive(t.Elem())
	case reflect.Struct:
		return slices.ContainsFunc(members(t), func(m member) bool { return secretive(m.typ) })
	default:
		return t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[DSN]()
	}
}

// openToOthers reports whether the mode of a file lets other users read it, or its group
// write it. Orchestrators mount secrets for the group of the process, which may read them.
func openToOthers(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&0o027 != 0
}

// value parses a variable. A list of objects is JSON, a list of scalars is separated by
// commas.
func (e *environment) value(key, name string, t reflect.Type, text string) (reflect.Value, bool) {
	e.setOrigin(key, name)
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

// readFile reads a file. Its errors lack the path, because a variable may hold the
// secret itself by mistake.
func readFile(name string) ([]byte, error) {
	text, err := smallfile.Read(name)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return nil, path.Err
	}
	return text, err
}
