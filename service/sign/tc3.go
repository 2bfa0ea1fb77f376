package sign

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// TC3 is Tencent Cloud's third scheme ("Signature v3",
// https://cloud.tencent.com/document/api/213/30654).
type TC3 struct {
	ID      string // of the key
	Secret  string
	Service string // such as sms
	Action  string // the operation, such as SendSms
	Version string // of the API
	Region  string // "" for services without regions
	At      time.Time
}

// Sign sets the headers of the scheme for a POST of JSON.
func (s TC3) Sign(request *http.Request, body string) {
	const contentType, signed = "application/json; charset=utf-8", "content-type;host;x-tc-action"
	stamp, date := strconv.FormatInt(s.At.Unix(), 10), s.At.UTC().Format(time.DateOnly)
	canonical := strings.Join([]string{
		request.Method, "/", "",
		"content-type:" + contentType, "host:" + request.URL.Host, "x-tc-action:" + strings.ToLower(s.Action), "",
		signed, sha256Hex(body),
	}, "\n")
	scope := date + "/" + s.Service + "/tc3_request"
	signature := s.signature(date, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+sha256Hex(canonical))
	header := request.Header
	header.Set("Content-Type", contentType)
	header.Set("X-TC-Action", s.Action)
	header.Set("X-TC-Version", s.Version)
	header.Set("X-TC-Timestamp", stamp)
	if s.Region != "" {
		header.Set("X-TC-Region", s.Region)
	}
	header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+s.ID+"/"+scope+", SignedHeaders="+signed+", Signature="+signature)
}

func (s TC3) signature(date, text string) string {
	return chained("TC3"+s.Secret, []string{date, s.Service, "tc3_request"}, text)
}
