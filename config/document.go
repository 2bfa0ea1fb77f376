package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// documentYAML returns the root of the one document, nil if there are comments only.
func documentYAML(text []byte) (*yaml.Node, error) {
	if line, ok := unreadable(text); !ok {
		return nil, fmt.Errorf("is not UTF-8 text: line %d holds a byte that cannot be read", line)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, malformed(text, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("holds more than one YAML document: a second one begins near line %d", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, malformed(text, err)
	}
	return document.Content[0], nil
}

// unreadable returns the first line that is not text. ok is true if there is none.
func unreadable(text []byte) (line int, ok bool) {
	control := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }
	for content := range bytes.Lines(text) {
		line++
		if !utf8.Valid(content) || bytes.ContainsFunc(content, control) {
			return line, false
		}
	}
	return 0, true
}

var (
	errorLine     = regexp.MustCompile(`^yaml: line ([0-9]+): `)
	unknownAnchor = regexp.MustCompile(`(?s)^yaml: unknown anchor '(.*)' referenced$`)
	quotedValue   = regexp.MustCompile("(?s)`.*`")
)

// malformed is the YAML parser's error without what it repeats of the file. A secret
// that begins with * and lacks quotes is an alias to YAML, whose name is in the error.
func malformed(text []byte, err error) error {
	cause := err.Error()
	if found := unknownAnchor.FindStringSubmatch(cause); found != nil {
		before, _, _ := bytes.Cut(text, []byte("*"+found[1]))
		return fmt.Errorf("is malformed YAML at line %d: a value that begins with * needs quotes",
			1+bytes.Count(before, []byte("\n")))
	}
	where := ""
	if found := errorLine.FindStringSubmatch(cause); found != nil {
		where = " near line " + found[1]
		cause = cause[len(found[0]):]
	}
	cause = quotedValue.ReplaceAllString(strings.TrimPrefix(cause, "yaml: "), "…")
	return fmt.Errorf("is malformed YAML%s: %s", where, cause)
}

// documentJSON parses JSON into the node of the same YAML text.
func documentJSON(text string) (*yaml.Node, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	node, err := nodeJSON(decoder)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) && utf8.ValidString(text) {
			return node, nil
		}
	}
	return nil, fmt.Errorf("is not valid JSON (noticed at byte %d of %d)", decoder.InputOffset(), len(text))
}

func nodeJSON(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		kind, tag := yaml.SequenceNode, "!!seq"
		if token == '{' {
			kind, tag = yaml.MappingNode, "!!map"
		}
		node := &yaml.Node{Kind: kind, Tag: tag}
		for decoder.More() {
			content, err := nodeJSON(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, content)
		}
		_, err := decoder.Token()
		return node, err
	case string:
		return scalarNode("!!str", token), nil
	case bool:
		return scalarNode("!!bool", fmt.Sprint(token)), nil
	case json.Number:
		tag := "!!float"
		if wholeNumber.MatchString(token.String()) {
			tag = "!!int"
		}
		return scalarNode(tag, token.String()), nil
	}
	return scalarNode("!!null", ""), nil
}

func scalarNode(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}
