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

// languages are in the order of the tags; the first is what a matcher falls
// back to, so that none of ours is told by its confidence.
var (
	languages = []string{zhCN, en}
	matcher   = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English})
)

// localeOf picks the language of sentences (RFC 9110 §12.5.4); fallback when the
// header is missing, malformed, too long or asks for none of ours.
func localeOf(acceptLanguage, fallback string) string {
	switch acceptLanguage {
	case "":
		return fallback
	case zhCN, en:
		return acceptLanguage
	}
	if len(acceptLanguage) > 256 {
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
