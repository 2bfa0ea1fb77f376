package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
	"menshen/model"
)

const (
	vendorSecret = "hushhushhush"
	accountSID   = "AC0123456789abcdef0123456789abcdef"
)

var signedAt = time.Date(2026, 1, 2, 23, 4, 5, 678e6, time.UTC)

// vendor is one of the four, with how its sender is made and how it says yes.
type vendor struct {
	name  string
	build func(c config.SMS) sender
	yes   string
	form  string // of a refusal, with a place for its code
}

type sender interface {
	Send(ctx context.Context, m model.Message) (model.Sent, error)
}

var allVendors = []vendor{
	{
		"aliyun", func(c config.SMS) sender { return NewAliyun(c, func() time.Time { return signedAt }) },
		`{"Code":"OK","Message":"OK","BizId":"9006197469364984^0","RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990"}`,
		`{"Code":"%s","Message":"to 13800138000 012345 hush","RequestId":"F655A8D5"}`,
	},
	{
		"tencent", func(c config.SMS) sender { return NewTencent(c, func() time.Time { return signedAt }) },
		tencentStatus("Ok"),
		`{"Response":{"Error":{"Code":"%s","Message":"to 13800138000 012345 hush"},"RequestId":"a0aabda6"}}`,
	},
	{
		"twilio", func(c config.SMS) sender { return NewTwilio(c) },
		`{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null,"error_message":null,"body":"012345"}`,
		`{"code":%s,"message":"to 13800138000 012345 hush","more_info":"https://www.twilio.com/docs/errors","status":400}`,
	},
	{
		"sns", func(c config.SMS) sender { return NewSNS(c, func() time.Time { return signedAt }) },
		`<PublishResponse xmlns="https://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult>` +
			`<ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>`,
		`<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>to 13800138000 012345 hush</Message></Error>` +
			`<RequestId>9dd01905-5012-5f99-8663-4b3ecd0dfaef</RequestId></ErrorResponse>`,
	},
}

// tencentStatus is an answer about the number.
func tencentStatus(code string) string {
	return fmt.Sprintf(`{"Response":{"SendStatusSet":[{"SerialNo":"5000:1045710669157053657849499619","PhoneNumber":"+8613800138000","Fee":1,`+
		`"SessionContext":"msg_7","Code":"%s","Message":"to 13800138000 012345 hush","IsoCode":"CN"}],"RequestId":"a0aabda6"}}`, code)
}

func vendorConfig(endpoint string) config.SMS {
	return config.SMS{
		Aliyun:  config.Aliyun{Endpoint: endpoint, AccessKeyID: "LTAI5tExample", AccessKeySecret: vendorSecret},
		Tencent: config.Tencent{Endpoint: endpoint, Region: "ap-guangzhou", SecretID: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", SecretKey: vendorSecret, AppID: "1400006666"},
		Twilio:  config.Twilio{Endpoint: endpoint, AccountSID: accountSID, AuthToken: vendorSecret, From: "+14155550123"},
		SNS:     config.SNS{Endpoint: endpoint, Region: "us-east-1", AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: vendorSecret},
		Templates: []config.Template{
			{Provider: "aliyun", Languages: []string{"zh-CN"}, Sign: "门神 & 友", Template: "SMS_154950909", Params: []string{"code={code}", "min={minutes}"}},
			{Provider: "aliyun", Languages: []string{"en"}, Sign: "menshen", Template: "SMS_2"},
			{Provider: "tencent", Languages: []string{"zh-CN"}, Sign: "门神", Template: "1110", Params: []string{"{code}", "{minutes}"}},
			{Provider: "tencent", Languages: []string{"en"}, Template: "1111"},
			{Provider: "twilio", Languages: []string{"zh-CN"}, Text: "验证码 {code}，{minutes} 分钟内有效"},
			{Provider: "twilio", Languages: []string{"en"}, Text: "{code} is your code & good for {minutes} min."},
			{Provider: "sns", Languages: []string{"zh-CN"}, Text: "验证码 {code}，{minutes} 分钟内有效"},
			{Provider: "sns", Languages: []string{"en"}, Text: "{code} is your code & good.\n\n@{domain} #{code}"},
		},
	}
}

func vendorMessage() model.Message {
	m := testMessage()
	m.Language, m.Life = model.LanguageZhCN, 5*time.Minute
	return m
}

// call is what reached the vendor.
type call struct {
	*http.Request
	body string
}

// calls are what reached the vendor, in this order.
type calls struct {
	mu  sync.Mutex
	all []call
}

func (c *calls) add(one call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
}

func (c *calls) list() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// play is a vendor that answers every request in one way and keeps them.
func (v vendor) play(t *testing.T, answer http.HandlerFunc) (sender, *calls) {
	t.Helper()
	came := new(calls)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came.add(call{r, string(body)})
		answer(rw, r)
	}))
	t.Cleanup(server.Close)
	return v.at(t, server.URL), came
}

func (v vendor) at(t *testing.T, endpoint string) sender {
	t.Helper()
	s := v.build(vendorConfig(endpoint))
	t.Cleanup(wireOf(s).transport.CloseIdleConnections)
	return s
}

func wireOf(s sender) *wire {
	switch s := s.(type) {
	case *Aliyun:
		return &s.wire
	case *Tencent:
		return &s.wire
	case *SNS:
		return &s.wire
	}
	return &s.(*Twilio).wire
}

func says(status int, body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}
}

// TestVendorCodes plays the vendors' documented answers.
func TestVendorCodes(t *testing.T) {
	aliyun, tencent, twilio, sns := allVendors[0], allVendors[1], allVendors[2], allVendors[3]
	limited := func(message string) string {
		return `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"` + message + `","RequestId":"1"}`
	}
	for _, tt := range []struct {
		vendor vendor
		status int
		body   string
		want   outcome
		limit  *model.Failure // of a throttled one, with its time
	}{
		{aliyun, 200, aliyun.yes, sent, nil},
		{aliyun, 200, limited("触发分钟级流控Permits:1"), refused, model.ErrCooldown.After(time.Minute)},
		{aliyun, 200, limited("触发小时级流控Permits:5"), refused, model.ErrCooldown.After(time.Hour)},
		{aliyun, 200, limited("触发天级流控Permits:10"), refused, model.ErrDailyLimit.After(24 * time.Hour)},
		{aliyun, 200, limited("limited"), refused, model.ErrCooldown.After(time.Minute)},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "BUSINESS_LIMIT_CONTROL_MINUTE"), refused, model.ErrCooldown.After(time.Minute)},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.BUSINESS_LIMIT_HOUR"), refused, model.ErrCooldown.After(time.Hour)},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.BUSINESS_LIMIT_DAY"), refused, model.ErrDailyLimit.After(24 * time.Hour)},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.DAY_LIMIT_CONTROL"), refused, model.ErrTooMany.After(24 * time.Hour)},
		{aliyun, 400, fmt.Sprintf(aliyun.form, "Throttling.User"), refused, model.ErrCooldown.After(time.Minute)},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.MOBILE_NUMBER_ILLEGAL"), refused, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.SMS_SIGNATURE_ILLEGAL"), refused, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv.AMOUNT_NOT_ENOUGH"), refused, nil},
		{aliyun, 400, fmt.Sprintf(aliyun.form, "SignatureDoesNotMatch"), refused, nil},
		{aliyun, 404, fmt.Sprintf(aliyun.form, "InvalidAccessKeyId.NotFound"), refused, nil},
		{aliyun, 403, "<html>012345 hush</html>", refused, nil},
		{aliyun, 400, fmt.Sprintf(aliyun.form, "OK"), unknown, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isp.SYSTEM_ERROR"), unknown, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isp.GATEWAY_ERROR"), unknown, nil},
		{aliyun, 400, fmt.Sprintf(aliyun.form, "isp.UNKNOWN"), unknown, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isp.RAM_PERMISSION_DENY"), refused, nil},
		{aliyun, 503, fmt.Sprintf(aliyun.form, "ServiceUnavailable"), unknown, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "012345"), refused, nil},
		{aliyun, 200, fmt.Sprintf(aliyun.form, "isv hush"), refused, nil},
		{aliyun, 200, `{"Message":"OK"}`, unknown, nil},
		{aliyun, 200, `{"Code":1}`, unknown, nil},

		{tencent, 200, tencent.yes, sent, nil},
		{tencent, 200, tencentStatus("LimitExceeded.PhoneNumberThirtySecondLimit"), refused, model.ErrCooldown.After(30 * time.Second)},
		{tencent, 200, tencentStatus("LimitExceeded.PhoneNumberOneHourLimit"), refused, model.ErrCooldown.After(time.Hour)},
		{tencent, 200, tencentStatus("LimitExceeded.PhoneNumberDailyLimit"), refused, model.ErrDailyLimit.After(24 * time.Hour)},
		{tencent, 200, tencentStatus("LimitExceeded.PhoneNumberSameContentDailyLimit"), refused, model.ErrDailyLimit.After(24 * time.Hour)},
		{tencent, 200, tencentStatus("LimitExceeded.DeliveryFrequencyLimit"), refused, model.ErrCooldown.After(time.Minute)},
		{tencent, 200, tencentStatus("LimitExceeded.AppDailyLimit"), refused, model.ErrTooMany.After(24 * time.Hour)},
		{tencent, 200, fmt.Sprintf(tencent.form, "RequestLimitExceeded.UinLimitExceeded"), refused, model.ErrCooldown.After(time.Minute)},
		{tencent, 200, fmt.Sprintf(tencent.form, "LimitExceeded.PhoneNumberOneHourLimit"), refused, model.ErrCooldown.After(time.Hour)},
		{tencent, 200, tencentStatus("LimitExceeded.PhoneNumberCountLimit"), refused, nil},
		{tencent, 200, tencentStatus("InvalidParameterValue.IncorrectPhoneNumber"), refused, nil},
		{tencent, 200, tencentStatus("FailedOperation.PhoneNumberInBlacklist"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "AuthFailure.SignatureFailure"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "AuthFailure.SecretIdNotFound"), refused, nil},
		{tencent, 403, "012345 hush", refused, nil},
		{tencent, 200, tencentStatus("InternalError.Timeout"), unknown, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError"), unknown, nil},
		{tencent, 200, tencentStatus("InternalError.SendAndRecvFail"), unknown, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError.SigVerificationFail"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError.SigFieldMissing"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError.RequestTimeException"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError.RestApiInterfaceNotExist"), refused, nil},
		{tencent, 200, fmt.Sprintf(tencent.form, "InternalError.JsonParseFail"), refused, nil},
		{tencent, 200, tencentStatus("FailedOperation.ParametersOtherError"), unknown, nil},
		{tencent, 200, tencentStatus("012345"), refused, nil},
		{tencent, 200, `{"Response":{"RequestId":"1"}}`, unknown, nil},
		{tencent, 200, `{"Response":{"SendStatusSet":[{}]}}`, unknown, nil},
		{tencent, 200, `{"Response":{"SendStatusSet":[{"Code":"Ok"},{"Code":"Ok"}]}}`, unknown, nil},

		{twilio, 201, twilio.yes, sent, nil},
		{twilio, 200, twilio.yes, sent, nil},
		{twilio, 201, `{"sid":"SM1","status":"failed","error_code":30006}`, refused, nil},
		{twilio, 429, fmt.Sprintf(twilio.form, "20429"), refused, model.ErrCooldown.After(time.Minute)},
		{twilio, 429, "hush", refused, model.ErrCooldown.After(time.Minute)},
		{twilio, 400, fmt.Sprintf(twilio.form, "21611"), refused, model.ErrCooldown.After(time.Minute)},
		{twilio, 400, fmt.Sprintf(twilio.form, "14107"), refused, model.ErrCooldown.After(time.Minute)},
		{twilio, 400, fmt.Sprintf(twilio.form, "63038"), refused, model.ErrTooMany.After(24 * time.Hour)},
		{twilio, 400, fmt.Sprintf(twilio.form, "21211"), refused, nil},
		{twilio, 400, fmt.Sprintf(twilio.form, "21408"), refused, nil},
		{twilio, 400, fmt.Sprintf(twilio.form, "21610"), refused, nil},
		{twilio, 401, fmt.Sprintf(twilio.form, "20003"), refused, nil},
		{twilio, 400, fmt.Sprintf(twilio.form, "13800138000"), refused, nil},
		{twilio, 400, `{"code":"012345"}`, refused, nil},
		{twilio, 503, fmt.Sprintf(twilio.form, "20503"), unknown, nil},
		{twilio, 201, `{"status":"queued"}`, unknown, nil},

		{sns, 200, sns.yes, sent, nil},
		{sns, 429, fmt.Sprintf(sns.form, "Throttled"), refused, model.ErrCooldown.After(time.Minute)},
		{sns, 400, fmt.Sprintf(sns.form, "Throttling"), refused, model.ErrCooldown.After(time.Minute)},
		{sns, 400, fmt.Sprintf(sns.form, "ThrottlingException"), refused, model.ErrCooldown.After(time.Minute)},
		{sns, 429, "hush", refused, model.ErrCooldown.After(time.Minute)},
		{sns, 400, fmt.Sprintf(sns.form, "InvalidParameter"), refused, nil},
		{sns, 400, fmt.Sprintf(sns.form, "OptedOut"), refused, nil},
		{sns, 403, fmt.Sprintf(sns.form, "AuthorizationError"), refused, nil},
		{sns, 403, fmt.Sprintf(sns.form, "SignatureDoesNotMatch"), refused, nil},
		{sns, 403, fmt.Sprintf(sns.form, "InvalidClientTokenId"), refused, nil},
		{sns, 400, fmt.Sprintf(sns.form, "012345"), refused, nil},
		{sns, 500, fmt.Sprintf(sns.form, "InternalError"), unknown, nil},
		{sns, 503, fmt.Sprintf(sns.form, "ServiceUnavailable"), unknown, nil},
		{sns, 200, fmt.Sprintf(sns.form, "InternalError"), unknown, nil},
		{sns, 200, "<PublishResponse><PublishResult/></PublishResponse>", unknown, nil},
	} {
		t.Run(fmt.Sprint(tt.vendor.name, tt.status, tt.body), func(t *testing.T) {
			s, came := tt.vendor.play(t, says(tt.status, tt.body))
			err := errOf(s.Send(t.Context(), vendorMessage()))
			checkOutcome(t, err, tt.want)
			var limit *model.Failure
			if errors.As(err, &limit); tt.limit == nil && limit != nil ||
				tt.limit != nil && (limit == nil || limit.Code != tt.limit.Code || limit.RetryAfter() != tt.limit.RetryAfter()) {
				t.Errorf("the limit is %v, want %v", limit, tt.limit)
			}
			if len(came.list()) != 1 {
				t.Errorf("%d calls", len(came.list()))
			}
		})
	}
}

func TestTwilioSaysWhenToComeAgain(t *testing.T) {
	for value, want := range map[string]int64{"7": 7, "86400": 86400, "86401": 60, "0": 60, "-1": 60, "soon": 60} {
		s, _ := allVendors[2].play(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Retry-After", value)
			says(429, "")(rw, r)
		})
		var limit *model.Failure
		if err := errOf(s.Send(t.Context(), vendorMessage())); !errors.As(err, &limit) || limit.RetryAfter() != want {
			t.Errorf("Retry-After %s: %v", value, err)
		}
	}
}

// eachVendor runs a test for all of them.
func eachVendor(t *testing.T, test func(t *testing.T, v vendor)) {
	t.Helper()
	for _, v := range allVendors {
		t.Run(v.name, func(t *testing.T) { test(t, v) })
	}
}

func TestVendorFaults(t *testing.T) {
	eachVendor(t, func(t *testing.T, v vendor) {
		for status, want := range map[int]outcome{
			300: refused, 301: refused, 302: refused, 304: refused, 307: refused, 308: refused, 399: refused, 400: refused, 418: refused,
			408: unknown, 500: unknown, 502: unknown, 504: unknown, 200: unknown, 204: unknown,
		} {
			s, came := v.play(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Location", "/elsewhere")
				rw.WriteHeader(status)
				if status != 204 && status != 304 {
					_, _ = io.WriteString(rw, "012345 to 13800138000 hush")
				}
			})
			checkOutcome(t, errOf(s.Send(t.Context(), vendorMessage())), want)
			if len(came.list()) != 1 {
				t.Errorf("status %d: %d calls", status, len(came.list()))
			}
		}
		huge := v.yes[:len(v.yes)-1] + `,"x":"` + strings.Repeat("x", maxAnswer) + `"}`
		for answer, want := range map[string]outcome{
			"":                                      unknown,
			"HTTP/1.1 200 OK\r\nContent-Le":         unknown,
			"012345 to 13800138000 hush\r\n\r\n":    unknown,
			"HTTP/1.1 200 OK\r\nbad 012345\r\n\r\n": unknown,
			"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + `{"Code":"OK"`:                        unknown,
			"HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(huge)) + "\r\n\r\n" + huge:        unknown,
			"HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\nhalf 012345":                              refused,
			"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n":               refused,
			"HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(v.yes)) + "\r\n\r\n" + v.yes + "": sent,
		} {
			checkOutcome(t, errOf(v.at(t, serveRaw(t, answer)).Send(t.Context(), vendorMessage())), want)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		checkOutcome(t, errOf(v.at(t, "http://"+listener.Addr().String()).Send(t.Context(), vendorMessage())), refused)
		checkOutcome(t, errOf(v.at(t, "http://sms..invalid").Send(t.Context(), vendorMessage())), refused)

		unserved := vendorMessage()
		unserved.Language = "fr"
		checkOutcome(t, errOf(v.at(t, "http://sms..invalid").Send(t.Context(), unserved)), refused)
	})
}

func TestVendorHangs(t *testing.T) {
	eachVendor(t, func(t *testing.T, v vendor) {
		for _, headFirst := range []bool{false, true} {
			release := make(chan struct{})
			s, came := v.play(t, func(rw http.ResponseWriter, _ *http.Request) {
				if headFirst {
					_ = http.NewResponseController(rw).Flush()
				}
				<-release
			})
			if got := wireOf(s).timeout; got != 3*time.Second {
				t.Errorf("time-out %s", got)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := errOf(s.Send(ctx, vendorMessage()))
			checkOutcome(t, err, unknown)
			wireOf(s).timeout = 50 * time.Millisecond
			own := errOf(s.Send(t.Context(), vendorMessage()))
			checkOutcome(t, own, unknown)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(own, context.DeadlineExceeded) {
				t.Errorf("errors %v and %v", err, own)
			}
			cancel()
			close(release)
			if n := len(came.list()); n > 2 { // fewer when the time was over before they came
				t.Errorf("%d calls", n)
			}
		}
	})
}

// TestVendorNeverSendsTwice: a kept connection that breaks after the request was
// written is no reason to write it again.
func TestVendorNeverSendsTwice(t *testing.T) {
	eachVendor(t, func(t *testing.T, v vendor) {
		var calls atomic.Int32
		s, _ := v.play(t, func(rw http.ResponseWriter, r *http.Request) {
			if calls.Add(1) > 1 {
				panic(http.ErrAbortHandler)
			}
			says(200, v.yes)(rw, r)
		})
		checkOutcome(t, errOf(s.Send(t.Context(), vendorMessage())), sent)
		checkOutcome(t, errOf(s.Send(t.Context(), vendorMessage())), unknown)
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// sendTo lets a vendor take messages and gives the requests.
func sendTo(t *testing.T, v vendor, messages ...model.Message) []call {
	t.Helper()
	s, came := v.play(t, says(200, v.yes))
	for _, m := range messages {
		checkOutcome(t, errOf(s.Send(t.Context(), m)), sent)
	}
	all := came.list()
	if len(all) != len(messages) {
		t.Fatalf("%d calls", len(all))
	}
	return all
}

func inEnglish(m model.Message) model.Message {
	m.Language, m.Life, m.Mobile = model.LanguageEn, 59*time.Second, model.NewMobile("+85251234567")
	return m
}

func TestAliyunRequest(t *testing.T) {
	calls := sendTo(t, allVendors[0], vendorMessage(), inEnglish(vendorMessage()))
	for i, want := range []url.Values{
		{"PhoneNumbers": {"13800138000"}, "SignName": {"门神 & 友"}, "TemplateCode": {"SMS_154950909"}, "TemplateParam": {`{"code":"012345","min":"5"}`}, "OutId": {"msg_7"}},
		{"PhoneNumbers": {"85251234567"}, "SignName": {"menshen"}, "TemplateCode": {"SMS_2"}, "TemplateParam": {`{"code":"012345"}`}, "OutId": {"msg_7"}},
	} {
		c := calls[i]
		if diff := cmp.Diff(want, c.URL.Query()); diff != "" {
			t.Error(diff)
		}
		checkACS3(t, c, "SendSms")
	}
	if a, b := calls[0].Header.Get("x-acs-signature-nonce"), calls[1].Header.Get("x-acs-signature-nonce"); a == b || len(a) < 20 {
		t.Errorf("nonces %q and %q", a, b)
	}
}

// checkACS3 checks what the vendor checks before it looks at the parameters of an operation.
func checkACS3(t *testing.T, c call, action string) {
	t.Helper()
	if c.Method != http.MethodPost || c.URL.Path != "/" || c.body != "" || c.Header.Get("x-acs-action") != action ||
		c.Header.Get("x-acs-version") != "2017-05-25" || c.Header.Get("x-acs-date") != "2026-01-02T23:04:05Z" {
		t.Errorf("request %s %s with %v", c.Method, c.URL, c.Header)
	}
	// As the vendor does: from what came, whatever is listed as signed.
	signed := between(c.Header.Get("Authorization"), "SignedHeaders=", ",Signature=")
	var headers strings.Builder
	for _, name := range strings.Split(signed, ";") {
		value := c.Header.Get(name)
		if name == "host" {
			value = c.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	query := strings.Split(strings.ReplaceAll(c.URL.Query().Encode(), "+", "%20"), "&")
	slices.Sort(query)
	canonical := "POST\n/\n" + strings.Join(query, "&") + "\n" + headers.String() + "\n" + signed + "\n" + c.Header.Get("x-acs-content-sha256")
	want := "ACS3-HMAC-SHA256 Credential=LTAI5tExample,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=" +
		hex.EncodeToString(mac([]byte(vendorSecret), "ACS3-HMAC-SHA256\n"+digest(canonical)))
	if got := c.Header.Get("Authorization"); got != want {
		t.Errorf("authorization\n%s, want\n%s", got, want)
	}
}

func TestTencentRequest(t *testing.T) {
	calls := sendTo(t, allVendors[1], vendorMessage(), inEnglish(vendorMessage()))
	for i, want := range []string{
		`{"PhoneNumberSet":["+8613800138000"],"SmsSdkAppId":"1400006666","SignName":"门神","TemplateId":"1110","TemplateParamSet":["012345","5"],"SessionContext":"msg_7"}`,
		`{"PhoneNumberSet":["+85251234567"],"SmsSdkAppId":"1400006666","TemplateId":"1111","TemplateParamSet":["012345"],"SessionContext":"msg_7"}`,
	} {
		c := calls[i]
		if c.body != want || !json.Valid([]byte(c.body)) {
			t.Errorf("body %s, want %s", c.body, want)
		}
		checkTC3(t, c, "SendSms")
	}
}

// checkTC3 is checkACS3 for Tencent.
func checkTC3(t *testing.T, c call, action string) {
	t.Helper()
	if c.Method != http.MethodPost || c.URL.String() != "/" || c.Header.Get("X-TC-Action") != action || c.Header.Get("X-TC-Version") != "2021-01-11" ||
		c.Header.Get("X-TC-Region") != "ap-guangzhou" || c.Header.Get("X-TC-Timestamp") != fmt.Sprint(signedAt.Unix()) {
		t.Errorf("request %s %s with %v", c.Method, c.URL, c.Header)
	}
	canonical := "POST\n/\n\ncontent-type:" + c.Header.Get("Content-Type") + "\nhost:" + c.Host + "\nx-tc-action:" + strings.ToLower(action) + "\n\ncontent-type;host;x-tc-action\n" + digest(c.body)
	key := mac(mac(mac([]byte("TC3"+vendorSecret), "2026-01-02"), "sms"), "tc3_request")
	want := "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2026-01-02/sms/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=" +
		hex.EncodeToString(mac(key, "TC3-HMAC-SHA256\n"+c.Header.Get("X-TC-Timestamp")+"\n2026-01-02/sms/tc3_request\n"+digest(canonical)))
	if got := c.Header.Get("Authorization"); got != want {
		t.Errorf("authorization\n%s, want\n%s", got, want)
	}
}

func TestTwilioRequest(t *testing.T) {
	calls := sendTo(t, allVendors[2], vendorMessage(), inEnglish(vendorMessage()))
	for i, want := range []url.Values{
		{"To": {"+8613800138000"}, "From": {"+14155550123"}, "Body": {"验证码 012345，5 分钟内有效"}},
		{"To": {"+85251234567"}, "From": {"+14155550123"}, "Body": {"012345 is your code & good for 1 min."}},
	} {
		c := calls[i]
		got, err := url.ParseQuery(c.body)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		user, password, _ := c.BasicAuth()
		if c.Method != http.MethodPost || c.URL.String() != "/2010-04-01/Accounts/"+accountSID+"/Messages.json" ||
			c.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || user != accountSID || password != vendorSecret {
			t.Errorf("request %s %s with %v", c.Method, c.URL, c.Header)
		}
	}
	service := allVendors[2]
	service.build = func(c config.SMS) sender {
		c.Twilio.From = "MG0123456789abcdef0123456789abcdef"
		return NewTwilio(c)
	}
	form, _ := url.ParseQuery(sendTo(t, service, vendorMessage())[0].body)
	if form.Get("MessagingServiceSid") != "MG0123456789abcdef0123456789abcdef" || form.Has("From") {
		t.Errorf("the sender is %v", form)
	}
}

func TestSNSRequest(t *testing.T) {
	english := inEnglish(vendorMessage())
	english.Domain = "app.example.com"
	calls := sendTo(t, allVendors[3], vendorMessage(), english)
	for i, want := range []url.Values{
		{"PhoneNumber": {"+8613800138000"}, "Message": {"验证码 012345，5 分钟内有效"}}, {"PhoneNumber": {"+85251234567"}, "Message": {"012345 is your code & good.\n\n@app.example.com #012345"}},
	} {
		c := calls[i]
		want["Action"], want["Version"] = []string{"Publish"}, []string{"2010-03-31"}
		want["MessageAttributes.entry.1.Name"], want["MessageAttributes.entry.1.Value.DataType"] = []string{"AWS.SNS.SMS.SMSType"}, []string{"String"}
		want["MessageAttributes.entry.1.Value.StringValue"] = []string{"Transactional"}
		form, err := url.ParseQuery(c.body)
		if diff := cmp.Diff(want, form); err != nil || diff != "" {
			t.Errorf("form:\n%s, error %v", diff, err)
		}
		canonical := "POST\n/\n\ncontent-type:" + c.Header.Get("Content-Type") + "\nhost:" + c.Host + "\nx-amz-date:20260102T230405Z\n\ncontent-type;host;x-amz-date\n" + digest(c.body)
		key := mac(mac(mac(mac([]byte("AWS4"+vendorSecret), "20260102"), "us-east-1"), "sns"), "aws4_request")
		signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n20260102T230405Z\n20260102/us-east-1/sns/aws4_request\n"+digest(canonical)))
		if got := c.Header.Get("Authorization"); got != "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature="+signature {
			t.Errorf("authorization %s", got)
		}
	}
	named := vendor{"sns", func(c config.SMS) sender {
		c.SNS.SenderID = "menshen"
		return NewSNS(c, time.Now)
	}, allVendors[3].yes, ""}
	form, _ := url.ParseQuery(sendTo(t, named, vendorMessage())[0].body)
	if form.Get("MessageAttributes.entry.2.Name") != "AWS.SNS.SMS.SenderID" || form.Get("MessageAttributes.entry.2.Value.StringValue") != "menshen" {
		t.Errorf("the sender is in %v", form)
	}
	if got := (config.SNS{Region: "eu-west-1"}).Address(); got != "https://sns.eu-west-1.amazonaws.com" {
		t.Errorf("the region's endpoint is %s", got)
	}
}

func between(text, after, before string) string {
	_, text, _ = strings.Cut(text, after)
	text, _, _ = strings.Cut(text, before)
	return text
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
