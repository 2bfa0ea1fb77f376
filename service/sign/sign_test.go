package sign

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func newRequest(t *testing.T, address string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// TestACS3 is the example that the vendor publishes with its scheme.
func TestACS3(t *testing.T) {
	request := newRequest(t, "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai")
	ACS3{
		ID: "YourAccessKeyId", Secret: "YourAccessKeySecret", Action: "RunInstances", Version: "2014-05-26",
		Nonce: "3156853299f313e23d1673dc12e1703d", At: time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC),
	}.Sign(request, "")
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := request.Header.Get("Authorization"); got != want {
		t.Errorf("authorization %s", got)
	}
}

// TestACS3Body: a body and its type are signed too.
func TestACS3Body(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ contentType, body string }{{"", ""}, {"", "a=1"}, {"application/x-www-form-urlencoded", "a=1"}, {"application/json", "a=1"}} {
		request := newRequest(t, "https://captcha.cn-shanghai.aliyuncs.com/")
		if c.contentType != "" {
			request.Header.Set("Content-Type", c.contentType)
		}
		ACS3{ID: "id", Secret: "secret", Action: "A", Version: "1", Nonce: "n"}.Sign(request, c.body)
		got := request.Header.Get("Authorization")
		if strings.Contains(got, "SignedHeaders=content-type;host;") != (c.contentType != "") || request.Header.Get("X-Acs-Content-Sha256") != sha256Hex(c.body) || seen[got] {
			t.Errorf("authorization %s for %+v", got, c)
		}
		seen[got] = true
	}
}

// TestTC3 are the examples that the vendor publishes with its scheme.
func TestTC3(t *testing.T) {
	const body = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	s := TC3{
		ID: "AKID********************************", Secret: "********************************", Service: "cvm",
		Action: "DescribeInstances", Version: "2017-03-12", At: time.Unix(1551113065, 0),
	}
	request := newRequest(t, "https://cvm.tencentcloudapi.com/")
	s.Sign(request, body)
	const want = "TC3-HMAC-SHA256 Credential=AKID********************************/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host;x-tc-action, " +
		"Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
	if got := request.Header.Get("Authorization"); got != want {
		t.Errorf("authorization %s", got)
	}
	s.Secret = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
	got := s.signature("2019-02-25", "TC3-HMAC-SHA256\n1551113065\n2019-02-25/cvm/tc3_request\n5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031")
	if got != "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168" {
		t.Errorf("signature %s", got)
	}
}

// TestSigV4 are those of the vendor's test suite (aws-sig-v4-test-suite) whose path is "/" and
// which sign no other headers.
func TestSigV4(t *testing.T) {
	for name, tt := range map[string]struct{ method, query, contentType, body, signature string }{
		"get-vanilla":                      {"GET", "", "", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"get-vanilla-query-order-key-case": {"GET", "Param1=value1&Param2=value2", "", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"post-vanilla":                     {"POST", "", "", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"post-vanilla-query":               {"POST", "Param1=value1", "", "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
		"post-x-www-form-urlencoded":       {"POST", "", "application/x-www-form-urlencoded", "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		"post-x-www-form-urlencoded-parameters": {
			"POST", "", "application/x-www-form-urlencoded; charset=utf8", "Param1=value1", "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
		},
	} {
		request := newRequest(t, "https://example.amazonaws.com/?"+tt.query)
		request.Method = tt.method
		signed := "host;x-amz-date"
		if tt.contentType != "" {
			request.Header.Set("Content-Type", tt.contentType)
			signed = "content-type;" + signed
		}
		SigV4{
			ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "us-east-1", Service: "service", At: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
		}.Sign(request, tt.body)
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + signed + ", Signature=" + tt.signature
		if got := request.Header.Get("Authorization"); got != want || request.Header.Get("X-Amz-Date") != "20150830T123600Z" {
			t.Errorf("%s: authorization %s", name, got)
		}
	}
}

// TestQuery spells a query as RFC 3986 does.
func TestQuery(t *testing.T) {
	if got := Query(url.Values{"b": {"a b+c~*"}, "A": {"门/&="}}); got != "A=%E9%97%A8%2F%26%3D&b=a%20b%2Bc~%2A" {
		t.Errorf("query %s", got)
	}
}
