package sms

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/model"
)

// TestReceiptsOfVendors: the examples that the vendors document, and what else they may send.
// Aliyun: SmsReport (help.aliyun.com/zh/sms/developer-reference/smsreport-2). Tencent: SMS
// Sending Status Notification (cloud.tencent.com/document/product/382/52077).
func TestReceiptsOfVendors(t *testing.T) {
	at := model.TimeOf(time.Date(2016, 12, 31, 16, 0, 0, 0, time.UTC))
	for _, tt := range []struct {
		name, body string
		read       func([]byte) ([]model.Receipt, error)
		want       []model.Receipt
	}{
		{"Aliyun's example", `[{"phone_number":"1381111****","send_time":"2017-01-01 00:00:00","report_time":"2017-01-01 00:00:00","success":true,
			"err_code":"DELIVERED","err_msg":"用户接收成功","sms_size":"1","biz_id":"12345","out_id":"67890"}]`, AliyunReceipts,
			[]model.Receipt{{Provider: "aliyun", MessageID: "12345", State: model.MessageDelivered, At: at}}},
		{"a failure and what is none", `[{"success":false,"err_code":"MK:1008","biz_id":"7^0","report_time":"soon"},{"sms_size":1},{}]`, AliyunReceipts,
			[]model.Receipt{{Provider: "aliyun", MessageID: "7^0", State: model.MessageUndelivered, Reason: "MK:1008"}}},
		{"nothing of Aliyun", `[]`, AliyunReceipts, nil},
		{"Tencent's example", `[{"user_receive_time":"2015-10-17 08:03:04","nationcode":"86","mobile":"13xxxxxxxxx","report_status":"SUCCESS",
			"errmsg":"DELIVRD","description":"用户短信送达成功","sid":"xxxxxxx"}]`, TencentReceipts,
			[]model.Receipt{{Provider: "tencent", MessageID: "xxxxxxx", State: model.MessageDelivered, At: model.TimeOf(time.Date(2015, 10, 17, 0, 3, 4, 0, time.UTC))}}},
		{"two of Tencent", `[{"report_status":"FAIL","errmsg":"UNDELIV","sid":"a"},{"report_status":"SUCCESS","sid":"b"},{"report_status":"LATER","sid":"c"}]`, TencentReceipts,
			[]model.Receipt{{Provider: "tencent", MessageID: "a", State: model.MessageUndelivered, Reason: "UNDELIV"}, {Provider: "tencent", MessageID: "b", State: model.MessageDelivered}}},
	} {
		got, err := tt.read([]byte(tt.body))
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v\n%s", tt.name, err, diff)
		}
	}
	for _, bad := range []string{"", "{}", `{"biz_id":"1"}`, "[1]", `[{"biz_id":1,"success":true}]`, "biz_id=1"} {
		if _, err := AliyunReceipts([]byte(bad)); err == nil {
			t.Errorf("Aliyun: %q has no error", bad)
		}
	}
	if _, err := TencentReceipts([]byte(`{"sid":"1"}`)); err == nil {
		t.Error("Tencent: an object has no error")
	}
}

// TestTwilioSignature are the vendor's documented example, and that of its libraries for a
// value that is repeated.
func TestTwilioSignature(t *testing.T) {
	const address = "https://mycompany.com/myapp.php?foo=1&bar=2"
	for want, form := range map[string]url.Values{
		"RSOYDt4T1cUTdK1PDd93/VVr8B8=": {
			"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
		},
		"IK+Dwps556ElfBT0I3Rgjkr1wJU=": {"Sid": {"CA123"}, "SidAccount": {"AC123"}, "Digits": {"5678", "1234", "1234"}},
	} {
		if got := twilioSignature("12345", address, form); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
	}
}

func TestTwilioReceipts(t *testing.T) {
	r := TwilioReceipts{AuthToken: "12345", URL: "https://a.example/hooks/sms/twilio/new?x=1", Tokens: []model.Secret{"old", "new"}}
	read := func(token, signedFor, body string) ([]model.Receipt, error) {
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"X-Twilio-Signature": {twilioSignature("12345", signedFor, form)}}
		return r.Read(header, token, []byte(body))
	}
	const before, now = "https://a.example/hooks/sms/twilio/old?x=1", "https://a.example/hooks/sms/twilio/new?x=1"
	for body, want := range map[string][]model.Receipt{
		"MessageSid=SM1&MessageStatus=delivered":                      {{Provider: "twilio", MessageID: "SM1", State: model.MessageDelivered}},
		"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003":    {{Provider: "twilio", MessageID: "SM1", State: model.MessageUndelivered, Reason: "30003"}},
		"MessageSid=SM1&MessageStatus=failed&ErrorCode=30008&To=%2B1": {{Provider: "twilio", MessageID: "SM1", State: model.MessageUndelivered, Reason: "30008"}},
		"MessageSid=SM1&MessageStatus=sent":                           nil,
		"MessageSid=SM1&MessageStatus=queued":                         nil,
		"MessageSid=SM1":                                              nil,
	} {
		for token, address := range map[string]string{"old": before, "new": now} {
			got, err := read(token, address, body)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: error %v\n%s", body, err, diff)
			}
		}
	}
	if _, err := read("new", before, "MessageSid=SM1&MessageStatus=delivered"); !errors.Is(err, model.ErrToken) {
		t.Errorf("signed for another address: error %v", err)
	}
	for _, header := range []http.Header{{}, {"X-Twilio-Signature": {""}}, {"X-Twilio-Signature": {"RSOYDt4T1cUTdK1PDd93/VVr8B8="}}} {
		if _, err := r.Read(header, "new", []byte("MessageSid=SM1&MessageStatus=delivered")); !errors.Is(err, model.ErrToken) {
			t.Errorf("%v: error %v", header, err)
		}
	}
}

func TestWebhookReceipts(t *testing.T) {
	now := time.Date(2019, 8, 24, 14, 15, 22, 0, time.UTC)
	r, err := NewWebhookReceipts(testSecret, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	signer, err := webhooks.NewWebhook(string(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"id":"msg_7","state":"delivered"}`)
	signed := func(at time.Time) http.Header {
		signature, err := signer.Sign("r1", at, body)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		header.Set(webhooks.HeaderWebhookID, "r1")
		header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
		header.Set(webhooks.HeaderWebhookSignature, "v1,AAAA "+signature) // of two secrets, while one is changed
		return header
	}
	for off, good := range map[time.Duration]bool{0: true, 5 * time.Minute: true, -5 * time.Minute: true, 301 * time.Second: false, -301 * time.Second: false} {
		if err := r.Verify(signed(now.Add(off)), body); (err == nil) != good || err != nil && !errors.Is(err, model.ErrToken) {
			t.Errorf("off by %s: error %v", off, err)
		}
	}
	if err := r.Verify(signed(now), append([]byte(" "), body...)); !errors.Is(err, model.ErrToken) {
		t.Errorf("a changed body: error %v", err)
	}
	for _, name := range []string{webhooks.HeaderWebhookID, webhooks.HeaderWebhookTimestamp, webhooks.HeaderWebhookSignature} {
		header := signed(now)
		header.Del(name)
		if err := r.Verify(header, body); !errors.Is(err, model.ErrToken) {
			t.Errorf("without %s: error %v", name, err)
		}
	}
	if _, err := NewWebhookReceipts("whsec_hush!", time.Now); err == nil {
		t.Error("a secret that is no base64 has no error")
	}
}

// TestSent: what the vendors' answers say of a message, and of a refusal.
func TestSent(t *testing.T) {
	for _, tt := range []struct {
		vendor    int // of allVendors
		answer    string
		id        string
		segments  int
		reason    string
		delivered bool
	}{
		{0, `{"Code":"OK","BizId":"9006197469364984400^0","Message":"OK","RequestId":"F655A8D5"}`, "9006197469364984400^0", 0, "", true},
		{0, `{"Code":"isv.AMOUNT_NOT_ENOUGH","Message":"账户余额不足"}`, "", 0, "isv.AMOUNT_NOT_ENOUGH", false},
		{1, `{"Response":{"SendStatusSet":[{"SerialNo":"5000:1045710669157053657849499619","Fee":2,"Code":"Ok"}]}}`, "5000:1045710669157053657849499619", 2, "", true},
		{1, `{"Response":{"SendStatusSet":[{"SerialNo":"1","Fee":"x","Code":"Ok"}]}}`, "1", 0, "", true},
		{1, `{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure"}}}`, "", 0, "AuthFailure.SignatureFailure", false},
		{2, `{"sid":"SMaaaa","status":"queued","num_segments":"3"}`, "SMaaaa", 3, "", true},
		{2, `{"sid":"SMaaaa","status":"queued","num_segments":null}`, "SMaaaa", 0, "", true},
		{2, `{"sid":"SMaaaa","status":"failed","error_code":30008}`, "SMaaaa", 0, "30008", false},
	} {
		address := serveRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(tt.answer))+"\r\n\r\n"+tt.answer)
		sent, err := allVendors[tt.vendor].at(t, address).Send(t.Context(), vendorMessage())
		if sent.MessageID != tt.id || sent.Segments != tt.segments || model.VendorCodeOf(err) != tt.reason || (err == nil) != tt.delivered {
			t.Errorf("%s: %+v, error %v", tt.answer, sent, err)
		}
	}
	sent, err := newWebhook(t, serveRaw(t, "HTTP/1.1 504 X\r\n\r\n")).Send(t.Context(), testMessage())
	if sent.MessageID != "msg_7" || err == nil {
		t.Errorf("a webhook's time-out: %+v, error %v", sent, err)
	}
}
