package sign

import (
	"net/http"
	"strings"
	"time"
)

// SigV4 is Amazon Web Services' Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
type SigV4 struct {
	ID      string // of the access key
	Secret  string
	Region  string // such as us-east-1
	Service string // such as sns
	At      time.Time
}

// Sign sets the headers of the scheme. If the request has a body, its Content-Type must be
// set before.
func (s SigV4) Sign(request *http.Request, body string) {
	stamp := s.At.UTC().Format("20060102T150405Z")
	date := stamp[:len("20060102")]
	request.Header.Set("X-Amz-Date", stamp)
	signed := "host;x-amz-date"
	headers := "host:" + request.URL.Host + "\nx-amz-date:" + stamp + "\n"
	if contentType := request.Header.Get("Content-Type"); contentType != "" {
		signed, headers = "content-type;"+signed, "content-type:"+contentType+"\n"+headers
	}
	canonical := strings.Join([]string{request.Method, "/", request.URL.RawQuery, headers, signed, sha256Hex(body)}, "\n")
	scope := []string{date, s.Region, s.Service, "aws4_request"}
	path := strings.Join(scope, "/")
	signature := chained("AWS4"+s.Secret, scope, "AWS4-HMAC-SHA256\n"+stamp+"\n"+path+"\n"+sha256Hex(canonical))
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.ID+"/"+path+", SignedHeaders="+signed+", Signature="+signature)
}
