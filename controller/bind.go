package controller

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
)

// maxBody bounds request bodies, in bytes.
const maxBody = 16 << 10

// object is a request body. Its accessors note what is wrong with a member and
// answer the zero value then, so that Err tells all problems at once.
type object struct {
	members  []member
	problems []model.FieldProblem
}

type member struct {
	name  []byte // the name that is spelt, without quotes and escapes
	value jsontext.Value
}

// readObject reads the body, which must be one JSON object (RFC 8259, strictly:
// UTF-8, no byte order mark, no name twice at any depth, nothing after it), of
// at most maxBody bytes, declared as application/json. Failures:
// model.ErrMediaType, model.ErrTooLarge, and model.ErrMalformed for "body".
func readObject(c *gin.Context) (*object, error) {
	if err := checkMediaType(c.Request.Header); err != nil {
		return nil, err
	}
	body, err := readBody(c.Request)
	if err != nil {
		return nil, err
	}
	return parseObject(body)
}

// readOptionalObject is readObject where a body may be left out: without one
// there is no type to declare, and the object is empty.
func readOptionalObject(c *gin.Context) (*object, error) {
	mediaType := checkMediaType(c.Request.Header)
	if mediaType != nil && c.Request.ContentLength > 0 {
		return nil, mediaType
	}
	body, err := readBody(c.Request) // a chunked body may turn out to be none
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

// checkMediaType takes application/json, with charset=utf-8 or without, not
// encoded. Pages of other origins cannot send that without a preflight.
func checkMediaType(h http.Header) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return model.ErrMediaType
		}
	}
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return model.ErrMediaType
	}
	if types[0] == "application/json" {
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != "application/json" {
		return model.ErrMediaType
	}
	charset, given := params["charset"]
	if len(params) > 1 || (len(params) == 1 && !given) || (given && !strings.EqualFold(charset, "utf-8")) {
		return model.ErrMediaType
	}
	return nil
}

// readBody reads the whole body. One that announces too much is not read.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, model.ErrTooLarge
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	// ReadFrom wants room for one read more, to see the end.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := body.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	var limit *http.MaxBytesError
	switch {
	case body.Len() > maxBody, errors.As(err, &limit):
		return nil, model.ErrTooLarge
	case err != nil: // too slow, broken off, or badly chunked
		return nil, model.Malformed1("body", model.ReasonFormat).Wrap(err)
	}
	return body.Bytes(), nil
}

// parseObject keeps slices of body, which must not change after it.
func parseObject(body []byte) (*object, error) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body))
	if begin, err := decoder.ReadToken(); err != nil || begin.Kind() != '{' {
		return nil, model.Malformed1("body", model.ReasonFormat)
	}
	o := &object{members: make([]member, 0, 8)}
	for decoder.PeekKind() != '}' {
		name, err := readValue(decoder, body)
		if err != nil {
			return nil, err
		}
		value, err := readValue(decoder, body)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, member{name: unquote(name), value: value})
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, bodyProblem(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, model.Malformed1("body", model.ReasonFormat)
	}
	return o, nil
}

// readValue is the next name or value, as a slice of body: the decoder's own
// slice is good until its next step only.
func readValue(decoder *jsontext.Decoder, body []byte) (jsontext.Value, error) {
	value, err := decoder.ReadValue()
	if err != nil {
		return nil, bodyProblem(err)
	}
	end := int(decoder.InputOffset())
	return body[end-len(value) : end : end], nil
}

// bodyProblem drops the cause: it quotes the body.
func bodyProblem(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return model.Malformed1("body", model.ReasonDuplicate)
	}
	return model.Malformed1("body", model.ReasonFormat)
}

// unquote is the text of a string that the decoder found to be valid.
func unquote(value jsontext.Value) []byte {
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, value)
	return text
}

// Int32 is a required member: a number without fraction and exponent, in range.
func (o *object) Int32(name string) int32 {
	value := o.find(name)
	switch {
	case value == nil:
		o.Reject(name, model.ReasonRequired)
		return 0
	case value.Kind() != '0' || bytes.ContainsAny(value, ".eE"):
		o.Reject(name, model.ReasonType)
		return 0
	}
	number, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil {
		o.Reject(name, model.ReasonRange)
		return 0
	}
	return int32(number)
}

// OptionalInt32 is Int32 for a member that may be missing; null is not missing.
// given is false also when the member is refused.
func (o *object) OptionalInt32(name string) (value int32, given bool) {
	if o.find(name) == nil {
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

// OptionalString is String for a member that may be missing; null is not
// missing. given is false also when the member is refused.
func (o *object) OptionalString(name string, limit int) (value string, given bool) {
	text, reason := o.printable(name, limit)
	if reason != "" && reason != model.ReasonRequired {
		o.Reject(name, reason)
	}
	return text, reason == ""
}

// Verbatim is String without the look at its characters, for what a rule of its
// own judges: a number, code or token with a line break is well-shaped and wrong.
func (o *object) Verbatim(name string, limit int) string {
	text, reason := o.text(name, limit)
	if reason != "" {
		o.Reject(name, reason)
	}
	return text
}

// Reject notes what is wrong with a member. The first problem of a member stays.
func (o *object) Reject(name, reason string) {
	for _, problem := range o.problems {
		if problem.Field == name {
			return
		}
	}
	o.problems = append(o.problems, model.FieldProblem{Field: name, Reason: reason})
}

// Err is nil, or model.ErrMalformed with all problems in the order in which
// they were found.
func (o *object) Err() error {
	if len(o.problems) == 0 {
		return nil
	}
	return model.Malformed(o.problems...)
}

func (o *object) find(name string) jsontext.Value {
	for i := range o.members {
		if string(o.members[i].name) == name {
			return o.members[i].value
		}
	}
	return nil
}

// text is a string member within its limit, or the reason why there is none.
func (o *object) text(name string, limit int) (text, reason string) {
	value := o.find(name)
	switch {
	case value == nil:
		return "", model.ReasonRequired
	case value.Kind() != '"':
		return "", model.ReasonType
	}
	text = string(unquote(value))
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
