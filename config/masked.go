package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Masked is the effective configuration as YAML, in the order of config.yaml,
// with secrets, test numbers and the DSN's password as "***". It is fit for a
// terminal and for a log.
func (c *Config) Masked() string {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(render(reflect.ValueOf(c).Elem())); err != nil {
		// Only nodes of this file's own making are encoded.
		return "# " + err.Error() + "\n"
	}
	return text.String()
}

func render(v reflect.Value) *yaml.Node {
	switch {
	case v.Type() == durationType:
		return scalarNode("!!str", brief(time.Duration(v.Int())))
	case v.Type() == timeType:
		return scalarNode("!!timestamp", v.Interface().(time.Time).Format(time.RFC3339))
	case v.Kind() == reflect.Struct:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(v.Type()) {
			node.Content = append(node.Content, scalarNode("!!str", m.name), render(v.Field(m.index)))
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
		// Sprint, so that secrets mask themselves.
		return scalarNode("!!str", fmt.Sprint(v.Interface()))
	case v.Kind() == reflect.Bool:
		return scalarNode("!!bool", fmt.Sprint(v.Bool()))
	case v.Kind() == reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if wholeNumber.MatchString(text) {
			return scalarNode("!!int", text) // as YAML sees it
		}
		return scalarNode("!!float", text)
	}
	return scalarNode("!!int", fmt.Sprint(v.Int()))
}
