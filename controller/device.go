package controller

import (
	"net/url"
	"slices"
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

// deviceProblem is the reason why s is no device number, "" if it is one: 1 to 128
// bytes of printable UTF-8 without a space at either end, and not "undefined" or
// "null", which a script sends when it has none. Device numbers are compared byte for
// byte.
func deviceProblem(s string) string {
	switch {
	case s == "" || len(s) > maxDevice:
		return model.ReasonLength
	case s == "undefined" || s == "null":
		return model.ReasonFormat
	case s[0] == ' ' || s[len(s)-1] == ' ' || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return model.ReasonCharset
	}
	return ""
}

// deviceFromCheck is the device number of a check, from the query, the path and a
// header: at least one, each at most once, all equal.
func deviceFromCheck(c *gin.Context) (string, error) {
	var given []string
	query, ok, err := queryValue(c, fieldDevice)
	if err != nil {
		return "", err
	}
	if ok {
		given = append(given, query)
	}
	// The router leaves path values escaped: it would decode the + of a device
	// number as a space.
	if escaped, ok := c.Params.Get(fieldDevice); ok {
		path, err := url.PathUnescape(escaped)
		if err != nil {
			return "", model.MalformedField(fieldDevice, model.ReasonFormat)
		}
		given = append(given, path)
	}
	header := c.Request.Header[headerDevice]
	if len(header) > 1 {
		return "", model.MalformedField(fieldDevice, model.ReasonDuplicate)
	}
	given = slices.Compact(append(given, header...))
	switch {
	case len(given) > 1:
		return "", model.MalformedField(fieldDevice, model.ReasonConflict)
	case len(given) == 0 || given[0] == "":
		return "", model.MalformedField(fieldDevice, model.ReasonRequired)
	}
	if reason := deviceProblem(given[0]); reason != "" {
		return "", model.MalformedField(fieldDevice, reason)
	}
	return given[0], nil
}

// deviceFromLogin is the device number of a login, in its body or a header, "" if it
// has none.
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

// deviceFromHeader is the device number of a request that needs none, "" if it has none or
// one that is refused elsewhere.
func deviceFromHeader(c *gin.Context) string {
	header := c.Request.Header[headerDevice]
	if len(header) != 1 || deviceProblem(header[0]) != "" {
		return ""
	}
	return header[0]
}

// The parts of a device number that its mask shows, in code points. A number with less than
// leastMasked of them shows none.
const (
	maskHead    = 4
	maskTail    = 2
	leastMasked = 12
)

// maskDevice hides the middle of a device number. "" stays "".
func maskDevice(number string) string {
	points := []rune(number)
	switch {
	case number == "":
		return ""
	case len(points) < leastMasked:
		return "…"
	}
	return string(points[:maskHead]) + "…" + string(points[len(points)-maskTail:])
}

// deviceName is the label of a device: the header X-Device-Name, percent-encoded or
// not, else the device in the User-Agent. It is never refused.
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

// label makes text safe to show: it removes invisible characters, which could change
// the direction of writing, except the joiner of emoji, and cuts the rest to maxLabel. It
// returns "" if nothing of it can be seen.
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
	if runes := []rune(text); len(runes) > maxLabel {
		text = strings.Trim(string(runes[:maxLabel]), edges)
	}
	if !model.Visible(text) {
		return ""
	}
	return text
}

// userAgentLabels are searched in this order: WeChat runs on all systems, and the
// User-Agent of every phone names Mac or Linux too.
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

// userAgentLabel is the device that a User-Agent names, else its first product (RFC
// 9110 §10.1.5) without the version.
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
