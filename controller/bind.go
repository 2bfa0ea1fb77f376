package controller

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/middleware"
	"menshen/model"
)

// maxBody bounds request bodies, in bytes.
const maxBody = middleware.MaxBody

// maxText bounds strings for which the contract names no bound, in characters.
const maxText = 8192

// object is a request body. Its accessors record what is wrong with a member and return
// the zero value then; Err returns all problems.
type object struct {
	members  map[string]jsontext.Value
	problems []model.FieldProblem
}

// readObject reads the body: one JSON object (RFC 8259, strictly), of at most maxBody
// bytes, declared as application/json. Failures: model.ErrMediaType, model.ErrTooLarge,
// and model.ErrMalformed for "body".
func readObject(c *gin.Context) (*object, error) {
	if err := checkMediaType(c.Request.Header, typeJSON); err != nil {
		return nil, err
	}
	body, err := middleware.ReadBody(c.Request, maxBody)
	if err != nil {
		return nil, err
	}
	return parseObject(body)
}

// readOptionalObject is readObject for requests whose body may be missing.
func readOptionalObject(c *gin.Context) (*object, error) {
	mediaType := checkMediaType(c.Request.Header, typeJSON)
	if mediaType != nil && c.Request.ContentLength > 0 {
		return nil, mediaType
	}
	body, err := middleware.ReadBody(c.Request, maxBody) // a chunked body may be empty
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return &object{}, nil
	case mediaType != nil:
		return nil, mediaType
	}
	return parseObject(body)
}

// Media types of request bodies. No page of another origin sends JSON without a preflight.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// checkMediaType accepts bodies of the media type want, in lower case. Parameters of the
// type have no effect (RFC 8259 §11), whether or not they can be parsed. The failure is
// model.ErrMediaType and names want.
func checkMediaType(h http.Header, want string) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return model.ErrMediaType.Taking(want)
		}
	}
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return model.ErrMediaType.Taking(want)
	}
	given, _, _ := strings.Cut(types[0], ";")
	if strings.ToLower(strings.Trim(given, " \t")) != want {
		return model.ErrMediaType.Taking(want)
	}
	return nil
}

// parseObject parses the body. It drops the cause of a failure, which quotes the body.
func parseObject(body []byte) (*object, error) {
	var o object
	err := json.Unmarshal(body, &o.members)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, model.MalformedField("body", model.ReasonDuplicate)
	case err != nil || o.members == nil: // nil: null instead of an object
		return nil, model.MalformedField("body", model.ReasonFormat)
	}
	return &o, nil
}

// Int32 is a required member: an integer in the range of int32, however it is written.
func (o *object) Int32(name string) int32 { return int32(o.integer(name, 32)) } //nolint:gosec // it has 32 bits

// ID is a required member: an id, which is positive.
func (o *object) ID(name string) int64 {
	before := len(o.problems)
	id := o.integer(name, 64)
	if id <= 0 && len(o.problems) == before {
		o.Reject(name, model.ReasonRange)
	}
	return id
}

func (o *object) integer(name string, bits int) int64 {
	value := o.members[name]
	switch {
	case value == nil:
		o.Reject(name, model.ReasonRequired)
		return 0
	case value.Kind() != '0':
		o.Reject(name, model.ReasonType)
		return 0
	}
	number, reason := parseInteger(string(value), bits)
	if reason != "" {
		o.Reject(name, reason)
	}
	return number
}

// OptionalInt32 is Int32 for a member that may be missing; null is not missing.
// given is false also when the member is refused.
func (o *object) OptionalInt32(name string) (value int32, given bool) {
	if o.members[name] == nil {
		return 0, false
	}
	before := len(o.problems)
	value = o.Int32(name)
	return value, len(o.problems) == before
}

// String is a required member: a string, possibly empty, of at most limit
// characters and without control characters.
func (o *object) String(name string, limit int) string {
	text, reason := o.printable(name, limit)
	if reason != "" {
		o.Reject(name, reason)
	}
	return text
}

// OptionalString is String for a member that may be missing; null is not missing. given
// is false also when it is refused.
func (o *object) OptionalString(name string, limit int) (value string, given bool) {
	text, reason := o.printable(name, limit)
	if reason != "" && reason != model.ReasonRequired {
		o.Reject(name, reason)
	}
	return text, reason == ""
}

// optional is a member that may be missing; null is not missing. check returns what is
// wrong with its text, "" for nothing. The result is nil also if the member is refused.
func (o *object) optional(name string, check func(text string) (problem string)) *string {
	if o.members[name] == nil {
		return nil
	}
	text, reason := o.text(name, maxText)
	if reason == "" {
		reason = check(text)
	}
	if reason != "" {
		o.Reject(name, reason)
		return nil
	}
	return &text
}

// Verbatim is String without the check of its characters: a code or token with a line
// break is wrong, not malformed.
func (o *object) Verbatim(name string, limit int) string {
	text, reason := o.text(name, limit)
	if reason != "" {
		o.Reject(name, reason)
	}
	return text
}

// Reject records what is wrong with a member. The first problem of a member counts.
func (o *object) Reject(name, reason string) {
	if !slices.ContainsFunc(o.problems, func(p model.FieldProblem) bool { return p.Field == name }) {
		o.problems = append(o.problems, model.FieldProblem{Field: name, Reason: reason})
	}
}

// Err is nil, or model.ErrMalformed with all problems.
func (o *object) Err() error {
	if len(o.problems) == 0 {
		return nil
	}
	return model.Malformed(o.problems...)
}

// text is a string member of at most limit characters, or why it is refused.
func (o *object) text(name string, limit int) (text, reason string) {
	value := o.members[name]
	switch {
	case value == nil:
		return "", model.ReasonRequired
	case value.Kind() != '"':
		return "", model.ReasonType
	}
	unquoted, _ := jsontext.AppendUnquote(nil, value) // the value has been validated
	text = string(unquoted)
	if utf8.RuneCountInString(text) > limit {
		return "", model.ReasonLength
	}
	return text, ""
}

// printable is text without control characters.
func (o *object) printable(name string, limit int) (text, reason string) {
	text, reason = o.text(name, limit)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", model.ReasonCharset
	}
	return text, reason
}
