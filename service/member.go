package service

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
)

// Bounds of the members of an account, in characters; metadata in bytes of compact JSON.
const (
	maxAvatarURL  = 512
	maxSource     = 64
	maxExternalID = 64
	maxMetadata   = 4 << 10
)

// CheckAvatarURL checks that text is empty or an absolute https URL with a host, no user
// and no space.
func CheckAvatarURL(text string) (problem string) {
	switch {
	case text == "":
		return ""
	case utf8.RuneCountInString(text) > maxAvatarURL:
		return model.ReasonLength
	case strings.ContainsFunc(text, unicode.IsControl):
		return model.ReasonCharset
	}
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, "https://") || u.Host == "" || u.User != nil || strings.ContainsFunc(text, unicode.IsSpace) {
		return model.ReasonFormat
	}
	return ""
}

// CheckSource checks a source, which may be empty.
func CheckSource(source string) (problem string) {
	if utf8.RuneCountInString(source) > maxSource {
		return model.ReasonLength
	}
	if strings.ContainsFunc(source, unicode.IsControl) {
		return model.ReasonCharset
	}
	return ""
}

// CheckExternalID checks an id of the company's own system.
func CheckExternalID(id string) (problem string) {
	if length := utf8.RuneCountInString(id); length == 0 || length > maxExternalID {
		return model.ReasonLength
	}
	if strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return model.ReasonCharset
	}
	return ""
}

// compactMetadata returns the object in compact form, nil for the empty object. It returns
// a problem if value is no JSON object (RFC 8259, strictly) or too long.
func compactMetadata(value []byte) (compact []byte, problem string) {
	if jsontext.Value(value).Kind() != '{' {
		return nil, model.ReasonType
	}
	text, err := json.Marshal(jsontext.Value(value))
	switch {
	case err != nil:
		return nil, model.ReasonFormat
	case len(text) > maxMetadata:
		return nil, model.ReasonLength
	case string(text) == "{}":
		return nil, ""
	}
	return text, ""
}

// mergePatch applies a JSON merge patch (RFC 7396). Both values must be valid JSON without
// duplicate names; an empty target is none.
func mergePatch(target, patch jsontext.Value) (jsontext.Value, error) {
	if patch.Kind() != '{' {
		return patch, nil
	}
	members, changes := map[string]jsontext.Value{}, map[string]jsontext.Value{}
	if target.Kind() == '{' {
		if err := json.Unmarshal(target, &members); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	for name, change := range changes {
		if change.Kind() == 'n' {
			delete(members, name)
			continue
		}
		merged, err := mergePatch(members[name], change)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	return json.Marshal(members, json.Deterministic(true))
}
