package config

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Masked is the configuration as YAML in the order of config.yaml, with "***" for
// secrets, test numbers, the password of the DSN and the queries of URLs.
func (c *Config) Masked() string {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(render(reflect.ValueOf(c).Elem())); err != nil {
		// Cannot happen: render makes valid nodes.
		return "# " + err.Error() + "\n"
	}
	return text.String()
}

// MaskedTree is Masked as maps, lists and scalars.
func (c *Config) MaskedTree() (tree any) {
	if err := render(reflect.ValueOf(c).Elem()).Decode(&tree); err != nil {
		return err.Error() // cannot happen, as in Masked
	}
	return tree
}

func render(v reflect.Value) *yaml.Node {
	tag, text := "", fmt.Sprint(v.Interface()) // masks secrets
	switch {
	case v.Type() == durationType:
		tag, text = "!!str", brief(v.Interface())
	case v.Type() == timeType:
		tag, text = "!!timestamp", v.Interface().(time.Time).Format(time.RFC3339)
	case v.Kind() == reflect.Struct:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(v.Type()) {
			node.Content = append(node.Content, scalarNode("!!str", m.name), render(v.Field(m.index)))
		}
		return node
	case v.Type() == claimsType:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, claim := range v.Interface().(Claims) {
			node.Content = append(node.Content, scalarNode("!!str", claim.Name), scalarNode("!!str", claim.Source))
		}
		return node
	case v.Kind() == reflect.Slice:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		if v.Len() == 0 || !composite(v.Type().Elem()) {
			node.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			node.Content = append(node.Content, render(v.Index(i)))
		}
		return node
	case v.Kind() == reflect.String:
		tag, text = "!!str", withoutQuery(text)
	case v.Kind() == reflect.Float64:
		text = strconv.FormatFloat(v.Float(), 'f', -1, 64) // without an exponent
	}
	return scalarNode(tag, text)
}

// withoutQuery masks the query of a URL: some receivers take a secret there.
func withoutQuery(text string) string {
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery == "" {
		return text
	}
	before, _, _ := strings.Cut(text, "?")
	return before + "?" + mask
}
