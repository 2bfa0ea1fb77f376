package sms

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
)

// sentAt is the time of the messages of these tests: on a day of the vendors, not yet in UTC.
var sentAt = model.TimeOf(time.Date(2026, 1, 2, 20, 0, 0, 5e6, time.UTC))

func tracedMessage() model.TracedMessage {
	return model.TracedMessage{At: sentAt, Region: "HK", MessageID: "134523^4351232", RedeemedAt: sentAt + 61_000}
}

// operation is a question or a report to a vendor.
type operation struct {
	vendor vendor
	name   string
	do     func(ctx context.Context, s sender) ([]model.Receipt, error)
}

var operations = []operation{
	{allVendors[0], "QuerySendDetails", func(ctx context.Context, s sender) ([]model.Receipt, error) {
		receipt, err := s.(*Aliyun).Ask(ctx, tracedMessage(), vendorMessage().Mobile)
		if receipt == nil {
			return nil, err
		}
		return []model.Receipt{*receipt}, err
	}},
	{allVendors[0], "SmsConversionIntl", func(ctx context.Context, s sender) ([]model.Receipt, error) {
		return nil, s.(*Aliyun).Redeemed(ctx, tracedMessage())
	}},
	{allVendors[1], "PullSmsSendStatus", func(ctx context.Context, s sender) ([]model.Receipt, error) {
		receipts, _, err := s.(*Tencent).Pull(ctx)
		return receipts, err
	}},
	{allVendors[1], "ReportConversion", func(ctx context.Context, s sender) ([]model.Receipt, error) {
		return nil, s.(*Tencent).Redeemed(ctx, tracedMessage())
	}},
}

const (
	// aliyunDetails is the vendor's documented example of QuerySendDetails, with a code in it.
	aliyunDetails = `{"TotalCount":1,"Message":"OK","RequestId":"819BE656-D2E0-4858-8B21-B2E477085AAF","SmsSendDetailDTOs":{"SmsSendDetailDTO":[%s]},"Code":"OK"}`
	aliyunDetail  = `{"SendDate":"2019-01-08 16:44:10","OutId":"123","SendStatus":3,"ReceiveDate":"2019-01-08 16:44:13","ErrCode":"DELIVERED",
		"TemplateCode":"SMS_122310183","Content":"【阿里云】验证码为：012345，您正在登录，若非本人操作，请勿泄露","PhoneNum":"13800138000"}`
	// tencentPulled are two receipts of the vendor's documented example of PullSmsSendStatus.
	tencentPulled = `{"Response":{"PullSmsSendStatusSet":[
		{"Description":"DELIVRD","CountryCode":"86","SubscriberNumber":"18501234444","ReportStatus":"SUCCESS","PhoneNumber":"+8618501234444",
			"SerialNo":"5000:1045710669157053657849499619","UserReceiveTime":1620734188,"SessionContext":""},
		{"Description":"DELIVRD","CountryCode":"86","SubscriberNumber":"18501234445","ReportStatus":"SUCCESS","PhoneNumber":"+8618501234445",
			"SerialNo":"5000:1045710669157053657849499718","UserReceiveTime":1620734188,"SessionContext":""}%s],"RequestId":"8979fc1e-9564-4fc9-bf7d-2958ce679b72"}}`
	tencentFault = `{"Response":{"Error":{"Code":"%s","Message":"to 13800138000 012345 hush"},"RequestId":"ed93f3cb-f35e-473f-b9f3-0d451b8b79c6"}}`
	tencentTold  = `{"Response":{"ReportConversionStatus":{"Code":"%s","Message":"hush"},"RequestId":"a0aabda6-cf91-4f3e-a81f-9198114a2279"}}`
)

// TestFollowUps plays the vendors' documented answers to questions and reports.
func TestFollowUps(t *testing.T) {
	ask, tell, pull, report := operations[0], operations[1], operations[2], operations[3]
	received := model.TimeOf(time.Date(2019, 1, 8, 8, 44, 13, 0, time.UTC))
	aliyun := func(state model.MessageState, reason string, at model.Time) []model.Receipt {
		return []model.Receipt{{Provider: "aliyun", MessageID: "134523^4351232", State: state, Reason: reason, At: at}}
	}
	tencent := []model.Receipt{
		{Provider: "tencent", MessageID: "5000:1045710669157053657849499619", State: model.MessageDelivered, At: 1620734188000},
		{Provider: "tencent", MessageID: "5000:1045710669157053657849499718", State: model.MessageDelivered, At: 1620734188000},
	}
	other := model.Receipt{Provider: "tencent", MessageID: "7", State: model.MessageUndelivered, Reason: "UNDELIV"}
	for _, tt := range []struct {
		operation operation
		status    int
		body      string
		want      []model.Receipt
		code      string // of the error; "" if there is none
	}{
		{ask, 200, fmt.Sprintf(aliyunDetails, aliyunDetail), aliyun(model.MessageDelivered, "", received), ""},
		{ask, 200, fmt.Sprintf(aliyunDetails, `{"SendStatus":"2","ErrCode":"MK:1008","ReceiveDate":"soon"}`), aliyun(model.MessageUndelivered, "MK:1008", 0), ""},
		{ask, 200, fmt.Sprintf(aliyunDetails, `{"SendStatus":1,"ErrCode":""}`), nil, ""},
		{ask, 200, fmt.Sprintf(aliyunDetails, `{"SendStatus":4}`), nil, ""},
		{ask, 200, fmt.Sprintf(aliyunDetails, ""), nil, ""}, // as it answered users: "TotalCount" 2 and none
		{ask, 200, fmt.Sprintf(aliyunDetails, aliyunDetail+","+aliyunDetail), nil, ""},
		{ask, 200, `{"Message":"OK","Code":"OK"}`, nil, ""},
		{ask, 200, fmt.Sprintf(allVendors[0].form, "isp.RAM_PERMISSION_DENY"), nil, "isp.RAM_PERMISSION_DENY"},
		{ask, 400, fmt.Sprintf(allVendors[0].form, "Throttling.User"), nil, "Throttling.User"},
		{ask, 404, fmt.Sprintf(allVendors[0].form, "InvalidAccessKeyId.NotFound"), nil, "InvalidAccessKeyId.NotFound"},
		{ask, 400, fmt.Sprintf(allVendors[0].form, "OK"), nil, "status 400"},
		{ask, 403, "<html>012345 hush</html>", nil, "status 403"},
		{ask, 503, fmt.Sprintf(allVendors[0].form, "ServiceUnavailable"), nil, "status 503"},
		{ask, 200, fmt.Sprintf(allVendors[0].form, "isv.13800138000"), nil, "a code of an unknown form"},
		{ask, 200, `{"Code":"OK","SmsSendDetailDTOs":[]}`, nil, "the answer is not understood"},
		{ask, 200, `{"Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":{}}}`, nil, "the answer is not understood"},
		{ask, 200, `{"Message":"OK"}`, nil, "the answer is not understood"},

		{tell, 200, `{"Message":"OK","RequestId":"F655A8D5-B967-440B-8683-DAD6FF8D****\n","Code":"OK"}`, nil, ""},
		{tell, 200, fmt.Sprintf(allVendors[0].form, "isv.INVALID_PARAMETERS"), nil, "isv.INVALID_PARAMETERS"},
		{tell, 200, "", nil, "the answer is not understood"},

		{pull, 200, fmt.Sprintf(tencentPulled, ""), tencent, ""},
		{pull, 200, fmt.Sprintf(tencentPulled, `,1,{},{"SerialNo":5,"ReportStatus":"FAIL"},{"SerialNo":"6","ReportStatus":"LATER"},
			{"SerialNo":"7","ReportStatus":"FAIL","Description":"UNDELIV","UserReceiveTime":"soon"}`), append(tencent[:2:2], other), ""},
		{pull, 200, `{"Response":{"PullSmsSendStatusSet":[],"RequestId":"1"}}`, nil, ""},
		{pull, 200, `{"Response":{"PullSmsSendStatusSet":null,"RequestId":"1"}}`, nil, ""},
		{pull, 200, `{"Response":{"RequestId":"1"}}`, nil, "the answer is not understood"},
		{pull, 200, `{"Response":{"PullSmsSendStatusSet":{},"RequestId":"1"}}`, nil, "the answer is not understood"},
		{pull, 200, fmt.Sprintf(tencentFault, "AuthFailure.SignatureFailure"), nil, "AuthFailure.SignatureFailure"},
		{pull, 200, fmt.Sprintf(tencentFault, "RequestLimitExceeded.UinLimitExceeded"), nil, "RequestLimitExceeded.UinLimitExceeded"},
		{pull, 200, fmt.Sprintf(tencentFault, "to 13800138000"), nil, "a code of an unknown form"},
		{pull, 403, "012345 hush", nil, "status 403"},

		{report, 200, fmt.Sprintf(tencentTold, "OK"), nil, ""}, // cloud.tencent.com
		{report, 200, fmt.Sprintf(tencentTold, "ok"), nil, ""}, // the table of types, and older examples
		{report, 200, fmt.Sprintf(tencentTold, "FailedOperation"), nil, "FailedOperation"},
		{report, 200, fmt.Sprintf(tencentTold, ""), nil, "a code of an unknown form"},
		{report, 200, fmt.Sprintf(tencentFault, "UnauthorizedOperation"), nil, "UnauthorizedOperation"},
		{report, 200, `{"Response":{"RequestId":"1"}}`, nil, "the answer is not understood"},
	} {
		t.Run(fmt.Sprint(tt.operation.name, tt.status, tt.body), func(t *testing.T) {
			s, came := tt.operation.vendor.play(t, says(tt.status, tt.body))
			got, err := tt.operation.do(t.Context(), s)
			mustHide(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.code == "") || err != nil && !strings.HasSuffix(err.Error(), tt.code) {
				t.Errorf("error %v, want %q\n%s", err, tt.code, diff)
			}
			about := map[string]bool{"a code of an unknown form": true, "isv.INVALID_PARAMETERS": true, "FailedOperation": true}
			if (model.VendorCodeOf(err) != "") != about[tt.code] {
				t.Errorf("error %v, about the message: %t", err, !about[tt.code])
			}
			if len(came.list()) != 1 {
				t.Errorf("%d calls", len(came.list()))
			}
		})
	}
}

// TestFollowUpMisbehaviour: whatever a vendor does, a question ends in time, with a short
// error that quotes nothing.
func TestFollowUpMisbehaviour(t *testing.T) {
	for _, o := range operations {
		for _, row := range misbehaviours {
			t.Run(o.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				s, w := o.vendor.open(t, misbehave(t, nil, row.answer))
				if row.slow {
					w.timeout = 200 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				receipts, err := o.do(ctx, s)
				mustHide(t, err)
				if err == nil || len(err.Error()) > maxError || len(receipts) > 0 || ctx.Err() != nil {
					t.Errorf("receipts %v, error %v", receipts, err)
				}
			})
		}
	}
}

// TestAliyunAsks: what the vendor is asked, and reported.
func TestAliyunAsks(t *testing.T) {
	s, came := allVendors[0].play(t, says(200, fmt.Sprintf(aliyunDetails, "")))
	a, ctx := s.(*Aliyun), t.Context()
	lastMoment, next := tracedMessage(), tracedMessage()
	lastMoment.At, next.At = model.TimeOf(time.Date(2026, 1, 2, 15, 59, 55, 0, time.UTC)), model.TimeOf(time.Date(2026, 1, 2, 16, 0, 0, 0, time.UTC))
	domestic := tracedMessage()
	domestic.Region = "CN"
	for _, ask := range []func() error{
		func() error { _, err := a.Ask(ctx, tracedMessage(), vendorMessage().Mobile); return err },
		func() error { _, err := a.Ask(ctx, lastMoment, model.NewMobile("+85251234567")); return err },
		func() error { _, err := a.Ask(ctx, next, vendorMessage().Mobile); return err },
		func() error { return a.Redeemed(ctx, domestic) }, // which SmsConversionIntl is not for
		func() error { return a.Redeemed(ctx, tracedMessage()) },
	} {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	asked := func(number, date string) url.Values {
		return url.Values{"PhoneNumber": {number}, "BizId": {"134523^4351232"}, "SendDate": {date}, "PageSize": {"10"}, "CurrentPage": {"1"}}
	}
	want := []url.Values{
		asked("13800138000", "20260103"), asked("85251234567", "20260102"), asked("85251234567", "20260103"), asked("13800138000", "20260103"),
		{"MessageId": {"134523^4351232"}, "Delivered": {"true"}, "ConversionTime": {fmt.Sprint(int64(sentAt) + 61_000)}},
	}
	var got []url.Values
	for _, c := range came.list() {
		got = append(got, c.URL.Query())
		action := "QuerySendDetails"
		if c.URL.Query().Has("MessageId") {
			action = "SmsConversionIntl"
		}
		checkACS3(t, c, action)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTencentAsks: what the vendor is asked, and reported; a full answer says that there may be
// more.
func TestTencentAsks(t *testing.T) {
	answer := fmt.Sprintf(tencentPulled, strings.Repeat(",{}", 98))
	s, came := allVendors[1].play(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-TC-Action") == "ReportConversion" {
			answer = fmt.Sprintf(tencentTold, "ok")
		}
		says(200, answer)(rw, r)
	})
	tencent := s.(*Tencent)
	receipts, more, err := tencent.Pull(t.Context())
	if err != nil || len(receipts) != 2 || !more {
		t.Errorf("%d receipts, more %t, error %v", len(receipts), more, err)
	}
	answer = fmt.Sprintf(tencentPulled, strings.Repeat(",{}", 97))
	if _, more, err := tencent.Pull(t.Context()); err != nil || more {
		t.Errorf("more %t, error %v", more, err)
	}
	if err := tencent.Redeemed(t.Context(), tracedMessage()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"Limit":100,"SmsSdkAppId":"1400006666"}`, `{"Limit":100,"SmsSdkAppId":"1400006666"}`,
		fmt.Sprintf(`{"SmsSdkAppId":"1400006666","SerialNo":"134523^4351232","ConversionTime":%d}`, int64(sentAt)/1000+61),
	} {
		c, action := came.list()[i], "PullSmsSendStatus"
		if i == 2 {
			action = "ReportConversion"
		}
		if c.body != want {
			t.Errorf("body %s, want %s", c.body, want)
		}
		checkTC3(t, c, action)
	}
}
