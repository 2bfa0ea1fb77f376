package main

import (
	"go/scanner"
	"go/token"
	"go/types"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of an atom.
type kind uint8

const (
	code  kind = iota // operator, keyword, number, character or predeclared identifier
	ident             // other identifier, which may be renamed
	quote             // opening or closing quote of a string
	word              // word or other character within a string
)

// atom is a token of Go; strings are split into their words, so that an entry
// may quote a part of one. Whitespace and comments are in no atom.
type atom struct {
	kind     kind
	text     string
	from, to int // offsets
}

// same reports whether two atoms are the same text.
func (a atom) same(b atom) bool { return a.kind == b.kind && a.text == b.text }

// scanCode splits Go code into atoms. It returns false if the text is no Go code; a
// string that does not end is Go code.
func scanCode(text string) ([]atom, bool) {
	var atoms []atom
	good := true
	failed := func(_ token.Position, problem string) {
		good = good && strings.Contains(problem, "string literal not terminated")
	}
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), failed, 0)
	for {
		pos, tok, literal := s.Scan()
		from := file.Offset(pos)
		switch {
		case tok == token.EOF:
			return atoms, good
		case tok == token.SEMICOLON && literal == "\n":
		case tok == token.STRING:
			atoms = scanString(atoms, literal, from)
		case tok == token.IDENT && (after(atoms, len(atoms), ".") || !predeclared(literal)):
			atoms = append(atoms, atom{ident, literal, from, from + len(literal)})
		default:
			if literal == "" || tok == token.SEMICOLON {
				literal = tok.String()
			}
			atoms = append(atoms, atom{code, literal, from, from + len(literal)})
		}
	}
}

// predeclared reports whether an identifier has its meaning from the language.
func predeclared(identifier string) bool {
	return identifier == "_" || types.Universe.Lookup(identifier) != nil
}

// scanString appends the atoms of a string literal that may lack its end.
func scanString(atoms []atom, literal string, from int) []atom {
	delimiter := literal[:1]
	atoms = append(atoms, atom{quote, delimiter, from, from + 1})
	inner := literal[1:]
	closed := strings.HasSuffix(inner, delimiter) && (delimiter == "`" || endOfString(inner, '"') == len(inner)-1)
	if closed {
		inner = inner[:len(inner)-1]
	}
	atoms = scanWords(atoms, inner, from+1)
	if closed {
		end := from + 1 + len(inner)
		atoms = append(atoms, atom{quote, delimiter, end, end + 1})
	}
	return atoms
}

// scanWords appends the words of a string's content.
func scanWords(atoms []atom, text string, from int) []atom {
	inWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if inWord(r) {
			if n := strings.IndexFunc(text[i:], func(r rune) bool { return !inWord(r) }); n < 0 {
				size = len(text) - i
			} else {
				size = n
			}
		}
		if !unicode.IsSpace(r) {
			atoms = append(atoms, atom{word, text[i : i+size], from + i, from + i + size})
		}
		i += size
	}
	return atoms
}

// endOfString is the offset of the first quote that no backslash escapes, or -1.
func endOfString(text string, delimiter byte) int {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && delimiter == '"':
			i++
		case text[i] == delimiter:
			return i
		}
	}
	return -1
}

// start says how the text of an entry begins.
type start byte

const (
	inCode   start = 0
	inString start = '"' // within a string in double quotes
	inRaw    start = '`' // within a string in backquotes
)

// scanFragment splits the text of an entry, which may begin and end within a string.
func scanFragment(text string, begins start) ([]atom, bool) {
	if begins == inCode {
		return scanCode(text)
	}
	end := endOfString(text, byte(begins))
	if end < 0 {
		return scanWords(nil, text, 0), true
	}
	atoms := scanWords(nil, text[:end], 0)
	atoms = append(atoms, atom{quote, text[end : end+1], end, end + 1})
	rest, ok := scanCode(text[end+1:])
	for _, a := range rest {
		a.from, a.to = a.from+end+1, a.to+end+1
		atoms = append(atoms, a)
	}
	return atoms, ok
}
