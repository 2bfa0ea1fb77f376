package config

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// digitsOnly is what a member marked "digits" may hold without quotes. YAML reads it
// as a number, but the text counts.
var digitsOnly = regexp.MustCompile(`\A\+?[0-9]+\z`)

// reader converts the nodes of one layer to values. It reports and leaves out what it
// cannot read. It follows the types, not the nodes: aliases that multiply or contain
// themselves cost nothing.
type reader struct {
	*report
	source string // file name, or name of the variable
	lines  bool   // whether problems name the line of a node
}

func (r *reader) at(n *yaml.Node) string {
	if !r.lines {
		return r.source
	}
	return r.source + ":" + strconv.Itoa(n.Line)
}

// section reads a mapping into values by key. Null is a section whose keys are all
// commented out.
func (r *reader) section(n *yaml.Node, t reflect.Type, path string) map[string]any {
	values := map[string]any{}
	if n = target(n); null(n) {
		return values
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(path, r.at(n), "must be a section with the keys %s", names(members(t)))
		return values
	}
	r.pairs(n, members(t), path, func(m member, value *yaml.Node) {
		key := join(path, m.name)
		if composite(m.typ) {
			values[m.name] = r.section(value, m.typ, key)
			return
		}
		if v, ok := r.value(value, m, key); ok {
			values[m.name] = v.Interface()
		}
	})
	return values
}

// object reads one mapping of a list.
func (r *reader) object(n *yaml.Node, t reflect.Type, path string) reflect.Value {
	object := reflect.New(t).Elem()
	n = target(n)
	r.setOrigin(path, r.at(n))
	if n.Kind != yaml.MappingNode {
		r.refuse(path, r.at(n), "must be %s", noun(t))
		return object
	}
	list := members(t)
	given := make([]bool, len(list))
	r.pairs(n, list, path, func(m member, value *yaml.Node) {
		key := join(path, m.name)
		given[m.index] = true
		v, ok := r.value(value, m, key)
		if !ok {
			return
		}
		if m.nonzero && v.IsZero() {
			r.refuse(key, r.at(value), "must be more than 0; leave it out to take token.%s", m.name)
			return
		}
		object.Field(m.index).Set(v)
	})
	for _, m := range list {
		if given[m.index] {
			continue
		}
		if m.required {
			r.refuse(join(path, m.name), r.at(n), "is missing")
		}
		if m.fallback != "" {
			// Cannot fail: fallbacks are constants of this package.
			v, _ := parse(m.typ, m.fallback)
			object.Field(m.index).Set(v)
		}
	}
	return object
}

// pairs calls each for every pair with a known key. It refuses keys given twice, of
// which YAML and viper would silently take the last.
func (r *reader) pairs(n *yaml.Node, list []member, path string, each func(member, *yaml.Node)) {
	known := make(map[string]member, len(list))
	for _, m := range list {
		known[m.name] = m
	}
	seen := make(map[string]bool, len(list))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := target(n.Content[i]), n.Content[i+1]
		m, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.refuse(join(path, unnamed), r.at(key), "is a key that is not a plain word")
		case key.ShortTag() == "!!merge":
			r.refuse(join(path, key.Value), r.at(key), "merge keys are not supported")
		case !ok:
			r.refuse(join(path, unknown(key.Value)), r.at(key), "is an unknown key; known here: %s", names(list))
		case seen[m.name]:
			r.refuse(join(path, m.name), r.at(key), "is given twice")
		default:
			seen[m.name] = true
			each(m, value)
		}
	}
}

func (r *reader) value(n *yaml.Node, m member, key string) (reflect.Value, bool) {
	n = target(n)
	r.setOrigin(key, r.at(n))
	switch {
	case m.typ == claimsType:
		return r.claims(n, key)
	case m.typ.Kind() != reflect.Slice:
		return r.scalar(n, m, key)
	}
	r.replaced(key)
	if null(n) {
		return reflect.MakeSlice(m.typ, 0, 0), true
	}
	if m.single && n.Kind == yaml.ScalarNode {
		if n.Value == "" {
			return reflect.MakeSlice(m.typ, 0, 0), true
		}
		n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{n}}
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(key, r.at(n), "must be %s", noun(m.typ))
		return reflect.Value{}, false
	}
	elem := m.typ.Elem()
	list := reflect.MakeSlice(m.typ, len(n.Content), len(n.Content))
	for i, node := range n.Content {
		if composite(elem) {
			list.Index(i).Set(r.object(node, elem, item(key, i)))
			continue
		}
		node = target(node)
		r.setOrigin(item(key, i), r.at(node))
		if v, ok := r.scalar(node, member{typ: elem}, item(key, i)); ok {
			list.Index(i).Set(v)
		}
	}
	return list, true
}

// scalar reads one value. Null is the empty string, and an error for other types.
func (r *reader) scalar(n *yaml.Node, m member, key string) (reflect.Value, bool) {
	text := n.Value
	switch {
	case null(n) && m.typ.Kind() == reflect.String:
		text = ""
	case null(n):
		r.refuse(key, r.at(n), "has no value: it must be %s", noun(m.typ))
		return reflect.Value{}, false
	case !fits(n, m):
		r.refuse(key, r.at(n), "must be %s%s", noun(m.typ), advice(n, m))
		return reflect.Value{}, false
	}
	lines := text
	if m.lines {
		lines = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n") // a block of YAML ends with one
		text = strings.ReplaceAll(lines, "\n", " ")
	}
	v, err := parse(m.typ, text)
	if err != nil {
		r.refuse(key, r.at(n), "%s", err)
		return reflect.Value{}, false
	}
	if m.lines {
		v.SetString(lines)
	}
	return v, true
}

// fits reports whether the YAML type of a node fits the type of its key.
func fits(n *yaml.Node, m member) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	tag := n.ShortTag()
	number := tag == "!!int" || tag == "!!float"
	switch {
	case m.typ == durationType:
		// parse accepts the number 0 and asks for a unit with all others.
		return tag == "!!str" || tag == "!!int"
	case m.typ == timeType:
		return tag == "!!str" || tag == "!!timestamp"
	case m.typ.Kind() == reflect.String:
		return tag == "!!str" || m.digits && number && digitsOnly.MatchString(n.Value)
	case m.typ.Kind() == reflect.Bool:
		return tag == "!!bool"
	case m.typ.Kind() == reflect.Float64:
		return number
	}
	return tag == "!!int"
}

// unnamed stands for a key that a problem must not repeat.
const unnamed = "?"

var keyLike = regexp.MustCompile(`\A[\pL\pN_.-]{1,31}\z`)

// unknown is the name of an unknown key, or unnamed if it may be a secret: after a
// misplaced colon a secret is read as the key.
func unknown(name string) string {
	if keyLike.MatchString(name) {
		return name
	}
	return unnamed
}

func advice(n *yaml.Node, m member) string {
	if n.Kind == yaml.ScalarNode && m.typ.Kind() == reflect.String {
		return ": put it in quotes"
	}
	return ""
}

// target follows an alias. YAML has no alias of an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
