package controller

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// queryValue returns the one value of a query parameter. A second value, and a query
// with a malformed part anywhere, are model.ErrMalformed for name: net/url skips what
// it cannot parse, which may have been the second value.
func queryValue(c *gin.Context, name string) (value string, given bool, err error) {
	for rest := c.Request.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, text, _ := strings.Cut(pair, "=")
		key, errKey := url.QueryUnescape(key)
		text, errText := url.QueryUnescape(text)
		switch {
		case errKey != nil || errText != nil || strings.Contains(pair, ";"):
			return "", false, model.MalformedField(name, model.ReasonFormat)
		case key != name:
		case given:
			return "", false, model.MalformedField(name, model.ReasonDuplicate)
		default:
			value, given = text, true
		}
	}
	return value, given, nil
}

// query reads the parameters of one request. Once err is set, its methods return zero
// values.
type query struct {
	c   *gin.Context
	err error
}

// text is the value of a parameter, "" if it is missing.
func (q *query) text(name string) (value string) {
	if q.err == nil {
		value, _, q.err = queryValue(q.c, name)
	}
	return value
}

// id is a parameter that holds an id, 0 if it is missing or empty.
func (q *query) id(name string) int64 {
	text := q.text(name)
	if text == "" {
		return 0
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		q.err = model.MalformedField(name, model.ReasonFormat)
	}
	return id
}

// time is a parameter in RFC 3339, 0 if it is missing or empty, and 1 for all times before
// 1970. In a query + is a blank, so a blank before the offset is read as a plus.
func (q *query) time(name string) model.Time {
	text := q.text(name)
	if text == "" {
		return 0
	}
	if offset := len(text) - len("+08:00"); offset > 0 && text[offset] == ' ' {
		text = text[:offset] + "+" + text[offset+1:]
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(text)) // RFC 3339 §5.6
	if err != nil {
		q.err = model.MalformedField(name, model.ReasonFormat)
	}
	return max(model.TimeOf(t), 1)
}

// bounded is text of at most limit characters, none of them a control character.
func (q *query) bounded(name string, limit int) string {
	text := q.text(name)
	switch {
	case q.err != nil:
	case utf8.RuneCountInString(text) > limit:
		q.err = model.MalformedField(name, model.ReasonLength)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		q.err = model.MalformedField(name, model.ReasonCharset)
	}
	return text
}

// int32 is a parameter that holds a whole number, nil if it is missing or empty.
func (q *query) int32(name string) *int32 {
	text := q.text(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		q.err = model.MalformedField(name, model.ReasonFormat)
	}
	return new(int32(n))
}

// bool is a parameter that is true or false, nil if it is missing or empty.
func (q *query) bool(name string) *bool {
	switch q.text(name) {
	case "":
		return nil
	case "true":
		return new(true)
	case "false":
		return new(false)
	}
	q.err = model.MalformedField(name, model.ReasonFormat)
	return nil
}

// limit is the parameter "limit": how many items a page has, from 1 to most, or usual if it
// is missing or empty.
func (q *query) limit(usual, most int) int {
	n := q.int32("limit")
	if n == nil {
		return usual
	}
	if q.err == nil && (*n < 1 || int(*n) > most) {
		q.err = model.MalformedField("limit", model.ReasonRange)
	}
	return int(*n)
}

// maxWait is how many seconds a response may be held.
const maxWait = 30

// queryWait is the parameter "wait": whole seconds up to maxWait, 0 if missing and for HEAD,
// which is answered at once. It moves the connection's write deadline behind the wait,
// since the server's own deadline is for responses that are not held.
func queryWait(c *gin.Context, now func() time.Time) (time.Duration, error) {
	text, given, err := queryValue(c, "wait")
	if err != nil || !given {
		return 0, err
	}
	seconds, err := strconv.ParseUint(text, 10, 16)
	if err != nil || seconds > maxWait || len(text) > 2 {
		return 0, model.MalformedField("wait", model.ReasonRange)
	}
	wait := time.Duration(seconds) * time.Second
	if wait == 0 || c.Request.Method == http.MethodHead {
		return 0, nil
	}
	return wait, http.NewResponseController(c.Writer).SetWriteDeadline(now().Add(wait + writeTime))
}
