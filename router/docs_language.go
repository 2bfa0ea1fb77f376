package router

import (
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// translate leaves one language, "zh" or "en", in each description and summary below node.
// The values of examples stay as they are.
func translate(node *yaml.Node, language string) {
	for i, child := range node.Content {
		if node.Kind != yaml.MappingNode {
			translate(child, language)
			continue
		}
		if i%2 == 0 {
			continue
		}
		switch key := node.Content[i-1].Value; {
		case key == "value" || key == "example":
		case key == "summary" && child.Kind == yaml.ScalarNode:
			child.Value = summaryIn(child.Value, language)
		case key == "description" && child.Kind == yaml.ScalarNode:
			child.Value = descriptionIn(child.Value, language)
		default:
			translate(child, language)
		}
	}
}

var dot = regexp.MustCompile(` ?· `)

// summaryIn returns the parts of a summary that are in the language, or in none, such as
// a code: they stand on both sides of a dot.
func summaryIn(summary, language string) string {
	var parts []string
	for _, part := range dot.Split(summary, -1) {
		if !strings.ContainsFunc(part, unicode.IsLetter) || languageOf(part) == language {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " · ")
}

// sentenceEnd is where one language may give way to the other within a line.
var sentenceEnd = regexp.MustCompile(`[.。] `)

// descriptionIn returns the sentences of a description that are in the language. Each
// sentence of the documents is in one, as a test checks.
func descriptionIn(description, language string) string {
	var kept []string
	for line := range strings.SplitSeq(strings.TrimSpace(description), "\n") {
		var sentences []string
		for _, sentence := range sentencesOf(line) {
			if languageOf(sentence) == language {
				sentences = append(sentences, sentence)
			}
		}
		if len(sentences) > 0 || line == "" && len(kept) > 0 && kept[len(kept)-1] != "" {
			kept = append(kept, strings.Join(sentences, " "))
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}

func sentencesOf(line string) (sentences []string) {
	start := 0
	for _, end := range sentenceEnd.FindAllStringIndex(line, -1) {
		sentences = append(sentences, line[start:end[1]-1])
		start = end[1]
	}
	if start < len(line) {
		sentences = append(sentences, line[start:])
	}
	return sentences
}

var (
	quotedCode = regexp.MustCompile("`[^`]*`")
	hanOrPoint = regexp.MustCompile(`[\p{Han}\x{3000}-\x{303f}\x{ff00}-\x{ffef}]`)
)

// languageOf is "zh" for a sentence with a Chinese character or point outside code, else
// "en".
func languageOf(sentence string) string {
	if hanOrPoint.MatchString(quotedCode.ReplaceAllString(sentence, "")) {
		return "zh"
	}
	return "en"
}
