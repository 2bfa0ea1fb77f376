package middleware

import (
	"golang.org/x/text/language"

	"menshen/model"
)

// The languages of sentences, as the configuration names them.
const (
	zhCN = model.LanguageZhCN
	en   = model.LanguageEn
)

var successIn = map[string]string{zhCN: "成功", en: "OK"}

func sentence(f *model.Failure, locale string) string {
	if locale == en {
		return f.En
	}
	return f.Zh
}

// languages are in the order of the matcher's tags. The matcher returns the first
// tag also when none matches; its confidence is language.No then.
var (
	languages = []string{zhCN, en}
	matcher   = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English})
)

// maxAcceptLanguage bounds the headers that are parsed, in bytes.
const maxAcceptLanguage = 256

// localeOf returns the language of an Accept-Language header (RFC 9110 §12.5.4), or
// fallback if it names none, is malformed or too long.
func localeOf(acceptLanguage, fallback string) string {
	switch acceptLanguage {
	case "":
		return fallback
	case zhCN, en:
		return acceptLanguage
	}
	if len(acceptLanguage) > maxAcceptLanguage {
		return fallback
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return fallback
	}
	_, index, confidence := matcher.Match(tags...)
	if confidence == language.No {
		return fallback
	}
	return languages[index]
}
