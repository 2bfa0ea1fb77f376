package controller

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

const (
	fieldDevice      = "deviceNumber"
	headerDevice     = "X-Device-Number"
	headerDeviceName = "X-Device-Name"
	maxDevice        = 128 // bytes
	maxLabel         = 64  // characters
)

// validDevice reports whether s can be a device number: 1 to 128 bytes of
// printable UTF-8 (letters, marks, numbers, punctuation, symbols and the ASCII
// space) without a space at either end, and not the undefined or null that a
// script writes when it has none. Device numbers are compared byte for byte.
func validDevice(s string) bool { return deviceProblem(s) == "" }

// deviceProblem is the reason why s is no device number, "" when it is one.
func deviceProblem(s string) string {
	switch {
	case s == "" || len(s) > maxDevice:
		return model.ReasonLength
	case s == "undefined" || s == "null":
		return model.ReasonFormat
	case s[0] == ' ' || s[len(s)-1] == ' ' || !utf8.ValidString(s):
		return model.ReasonCharset
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return model.ReasonCharset
	}
	return ""
}

// deviceFromCheck is the device number of a check, which may stand in the query,
// in the path and in a header. Each must be given once, all must be equal, at
// least one must be there; every failure is model.ErrMalformed for deviceNumber.
func deviceFromCheck(c *gin.Context) (string, error) {
	var given []string
	query, ok, err := queryValue(c, fieldDevice)
	if err != nil {
		return "", err
	}
	if ok {
		given = append(given, query)
	}
	// The router leaves path values escaped: its own unescaping would take the
	// + of a device number for a space.
	if escaped, ok := c.Params.Get(fieldDevice); ok {
		path, err := url.PathUnescape(escaped)
		if err != nil {
			return "", model.Malformed1(fieldDevice, model.ReasonFormat)
		}
		given = append(given, path)
	}
	header := c.Request.Header[headerDevice]
	if len(header) > 1 {
		return "", model.Malformed1(fieldDevice, model.ReasonDuplicate)
	}
	given = append(given, header...)
	return oneDevice(given)
}

func oneDevice(given []string) (string, error) {
	if len(given) == 0 {
		return "", model.Malformed1(fieldDevice, model.ReasonRequired)
	}
	device := given[0]
	for _, other := range given[1:] {
		if other != device {
			return "", model.Malformed1(fieldDevice, model.ReasonConflict)
		}
	}
	if device == "" {
		return "", model.Malformed1(fieldDevice, model.ReasonRequired)
	}
	if reason := deviceProblem(device); reason != "" {
		return "", model.Malformed1(fieldDevice, reason)
	}
	return device, nil
}

// queryValue is the one value of a query parameter. A parameter that is given
// twice, and a query that is malformed anywhere (a stray %, a semicolon), are
// model.ErrMalformed for name: net/url skips what it cannot read, and what it
// skips might have been the second value.
func queryValue(c *gin.Context, name string) (value string, given bool, err error) {
	for rest := c.Request.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, text, _ := strings.Cut(pair, "=")
		key, errKey := url.QueryUnescape(key)
		text, errText := url.QueryUnescape(text)
		switch {
		case errKey != nil || errText != nil || strings.Contains(pair, ";"):
			return "", false, model.Malformed1(name, model.ReasonFormat)
		case key != name:
		case given:
			return "", false, model.Malformed1(name, model.ReasonDuplicate)
		default:
			value, given = text, true
		}
	}
	return value, given, nil
}

// deviceFromLogin is the device number that a login may bring, in its body or in
// a header, "" without one. What is wrong with it is noted in the body.
func deviceFromLogin(c *gin.Context, body *object) string {
	header := c.Request.Header[headerDevice]
	device, inBody := body.OptionalString(fieldDevice, maxDevice)
	switch {
	case len(header) > 1:
		body.Reject(fieldDevice, model.ReasonDuplicate)
		return ""
	case len(header) == 1 && inBody && header[0] != device:
		body.Reject(fieldDevice, model.ReasonConflict)
		return ""
	case len(header) == 1:
		device = header[0]
	case !inBody:
		return ""
	}
	if reason := deviceProblem(device); reason != "" {
		body.Reject(fieldDevice, reason)
		return ""
	}
	return device
}

// deviceName labels a device for its owner: the header X-Device-Name, percent-
// encoded or not, else what the User-Agent tells, else "". It is never refused:
// what cannot be shown is left out, and the rest is cut to 64 characters.
func deviceName(c *gin.Context) string {
	given := c.Request.Header.Get(headerDeviceName)
	if strings.Contains(given, "%") {
		if text, err := url.PathUnescape(given); err == nil && utf8.ValidString(text) {
			given = text
		}
	}
	if name := label(given); name != "" {
		return name
	}
	return userAgentLabel(c.Request.UserAgent())
}

// label makes text fit to be shown: spaces of any kind become plain ones,
// invalid UTF-8, control characters and invisible ones (which could turn the
// direction of writing) go, but for the joiner of emoji.
func label(text string) string {
	const joiner, edges = '\u200d', " \u200d"
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, r != joiner && !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	text = strings.Trim(text, edges)
	count := 0
	for i := range text {
		if count == maxLabel {
			return strings.Trim(text[:i], edges)
		}
		count++
	}
	return text
}

// userAgentLabels are looked for in this order: WeChat runs on all systems,
// every phone calls itself Mac or Linux too.
var userAgentLabels = [...]struct{ sign, label string }{
	{"MicroMessenger", "WeChat"},
	{"wechatdevtools", "WeChat"},
	{"HarmonyOS", "HarmonyOS"},
	{"OpenHarmony", "HarmonyOS"},
	{"iPad", "iPad"},
	{"iPhone", "iPhone"},
	{"Android", "Android"},
	{"Windows", "Windows"},
	{"Macintosh", "Mac"},
	{"CrOS", "ChromeOS"},
	{"Linux", "Linux"},
}

// userAgentLabel is the device that a User-Agent tells of, else its first
// product (RFC 9110 §10.1.5) without the version.
func userAgentLabel(userAgent string) string {
	for _, row := range userAgentLabels {
		if strings.Contains(userAgent, row.sign) {
			return row.label
		}
	}
	userAgent = strings.TrimSpace(userAgent)
	if end := strings.IndexAny(userAgent, "/ \t("); end >= 0 {
		userAgent = userAgent[:end]
	}
	return label(userAgent)
}
