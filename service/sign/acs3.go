package sign

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// ACS3 is Alibaba Cloud's third scheme ("V3 request structure and signature",
// https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature).
type ACS3 struct {
	ID      string // of the access key
	Secret  string
	Action  string // the operation, such as SendSms
	Version string // of the API
	Nonce   string // another one for each request
	At      time.Time
}

// Sign sets the headers of the scheme. If the request has a body, its Content-Type must be
// set before.
func (s ACS3) Sign(request *http.Request, body string) {
	digest := sha256Hex(body)
	names := []string{"content-type", "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	values := []string{
		request.Header.Get("Content-Type"), request.URL.Host, s.Action, digest, s.At.UTC().Format("2006-01-02T15:04:05Z"), s.Nonce, s.Version,
	}
	if values[0] == "" {
		names, values = names[1:], values[1:]
	}
	var headers strings.Builder
	for i, name := range names {
		headers.WriteString(name + ":" + values[i] + "\n")
		if name != "host" { // net/http sends it by itself
			request.Header.Set(name, values[i])
		}
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{request.Method, "/", request.URL.RawQuery, headers.String(), signed, digest}, "\n")
	signature := hex.EncodeToString(hmacSHA256([]byte(s.Secret), "ACS3-HMAC-SHA256\n"+sha256Hex(canonical)))
	request.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+s.ID+",SignedHeaders="+signed+",Signature="+signature)
}
