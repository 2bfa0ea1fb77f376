package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
)

// mainland is the region of the messages that Aliyun does not call international.
const mainland = "CN"

// midnight is how close to the end of its day a message may have been sent on the next one.
const midnight = 10 * time.Second

// Ask returns the receipt of a message to the number, nil if there is none yet: QuerySendDetails
// of Dysmsapi 2017-05-25 (https://help.aliyun.com/document_detail/419277.html).
func (a *Aliyun) Ask(ctx context.Context, m model.TracedMessage, number model.Mobile) (*model.Receipt, error) {
	sent := m.At.Std().In(beijing)
	receipt, err := a.details(ctx, m, number, sent)
	if next := sent.Add(midnight); err == nil && receipt == nil && next.Day() != sent.Day() {
		return a.details(ctx, m, number, next)
	}
	return receipt, err
}

// details asks for a message that was sent on the day.
func (a *Aliyun) details(ctx context.Context, m model.TracedMessage, number model.Mobile, day time.Time) (*model.Receipt, error) {
	var said struct {
		Details struct {
			All []struct {
				Status   json.RawMessage `json:"SendStatus"`
				Code     string          `json:"ErrCode"`
				Received string          `json:"ReceiveDate"`
			} `json:"SmsSendDetailDTO"`
		} `json:"SmsSendDetailDTOs"`
	}
	err := a.operate(ctx, "QuerySendDetails", url.Values{
		"PhoneNumber": {aliyunNumber(number)}, "BizId": {m.MessageID}, "SendDate": {day.Format("20060102")}, "PageSize": {"10"}, "CurrentPage": {"1"},
	}, &said)
	if err != nil || len(said.Details.All) != 1 {
		return nil, err // several would be those of other messages too
	}
	found := said.Details.All[0]
	status := count(found.Status) // 1 waits for the carrier, 2 failed, 3 was delivered
	if status != 2 && status != 3 {
		return nil, nil
	}
	state, code := stateOf(status == 3, found.Code)
	return &model.Receipt{Provider: config.ProviderAliyun, MessageID: m.MessageID, State: state, Reason: code, At: timeIn(found.Received)}, nil
}

// Redeemed reports that the code of a message was redeemed: SmsConversionIntl of Dysmsapi
// 2017-05-25 (https://help.aliyun.com/document_detail/2346196.html). It is for messages abroad;
// those of the mainland are left out.
func (a *Aliyun) Redeemed(ctx context.Context, m model.TracedMessage) error {
	if m.Region == mainland {
		return nil
	}
	return a.operate(ctx, "SmsConversionIntl", url.Values{
		"MessageId": {m.MessageID}, "Delivered": {"true"}, "ConversionTime": {strconv.FormatInt(int64(m.RedeemedAt), 10)},
	}, nil)
}

// ofAll is how codes begin or end that are no answer about one message: the vendor is down,
// throttles, or refuses the caller.
var ofAll = regexp.MustCompile(`^(isp|Throttling|Forbidden|NoPermission|ServiceUnavailable|Internal|AuthFailure|UnauthorizedOperation|` +
	`RequestLimitExceeded|LimitExceeded|ResourceUnavailable|SignatureDoesNotMatch|InvalidAccessKeyId|InvalidTimeStamp)|(BUSINESS_LIMIT_CONTROL|ACCOUNT_[A-Z_]+|OUT_OF_SERVICE)$`)

// failed is an error with the vendor's code, which it wraps if it is about the message.
func (w wire) failed(code string) error {
	if code = outbound.Quotable(code, codeForm); ofAll.MatchString(code) {
		return fmt.Errorf("%s: %s", w.name, code)
	}
	return w.open(code)
}

// notOfOne takes the code from an error that is not about one message.
func notOfOne(err error) error {
	if model.VendorCodeOf(err) != "" {
		return errors.New(err.Error())
	}
	return err
}

// odd is an error about an answer without a code.
func (w wire) odd(status int) error {
	if status < 300 {
		return fmt.Errorf("%s: the answer is not understood", w.name)
	}
	return fmt.Errorf("%s: status %d", w.name, status)
}

// operate requests an operation, and reads the response into result. Only the code "OK" is
// success.
func (a *Aliyun) operate(ctx context.Context, action string, query url.Values, result any) error {
	answer, err := a.exchange(ctx, func(ctx context.Context) (*http.Request, error) { return a.signed(ctx, action, query) })
	if err != nil {
		return notOfOne(err)
	}
	var said struct{ Code string }
	switch malformed := json.Unmarshal(answer.body, &said) != nil; {
	case !malformed && said.Code != "" && said.Code != "OK":
		return a.failed(said.Code)
	case answer.status >= 300 || malformed || said.Code == "" || result != nil && json.Unmarshal(answer.body, result) != nil:
		return a.odd(answer.status)
	}
	return nil
}

// tencentPull is the most receipts that the vendor hands out at once.
const tencentPull = 100

// Pull returns receipts that the vendor keeps for the application, and whether there may be more:
// PullSmsSendStatus of sms 2021-01-11 (https://cloud.tencent.com/document/product/382/55977). The
// vendor keeps them in a queue and does not repeat them
// (https://cloud.tencent.com/document/product/382/5810), so one that cannot be read costs no
// other.
func (t *Tencent) Pull(ctx context.Context) (receipts []model.Receipt, more bool, err error) {
	var all []json.RawMessage
	err = t.operate(ctx, "PullSmsSendStatus", struct {
		Limit int
		AppID string `json:"SmsSdkAppId"`
	}{tencentPull, t.config.Tencent.AppID}, "PullSmsSendStatusSet", &all)
	for _, one := range all {
		var r struct {
			Status     string `json:"ReportStatus"`
			Code       string `json:"Description"`
			SerialNo   string
			ReceivedAt json.RawMessage `json:"UserReceiveTime"`
		}
		if json.Unmarshal(one, &r) != nil || r.Status != "SUCCESS" && r.Status != "FAIL" {
			continue // not a receipt
		}
		state, code := stateOf(r.Status == "SUCCESS", r.Code)
		receipts = append(receipts, model.Receipt{
			Provider: config.ProviderTencent, MessageID: r.SerialNo, State: state, Reason: code, At: model.Time(count(r.ReceivedAt)) * 1000,
		})
	}
	return receipts, len(all) >= tencentPull, err
}

// Redeemed reports that the code of a message was redeemed: ReportConversion of sms 2021-01-11
// (https://cloud.tencent.com/document/api/382/79152).
func (t *Tencent) Redeemed(ctx context.Context, m model.TracedMessage) error {
	var status struct{ Code string }
	err := t.operate(ctx, "ReportConversion", struct {
		AppID          string `json:"SmsSdkAppId"`
		SerialNo       string
		ConversionTime int64
	}{t.config.Tencent.AppID, m.MessageID, int64(m.RedeemedAt) / 1000}, "ReportConversionStatus", &status)
	if err == nil && !strings.EqualFold(status.Code, "ok") { // the documents spell it both ways
		err = t.failed(status.Code)
	}
	return err
}

// operate requests an operation, and reads the named member of the response into result.
func (t *Tencent) operate(ctx context.Context, action string, parameters any, member string, result any) error {
	answer, err := t.exchange(ctx, func(ctx context.Context) (*http.Request, error) { return t.signed(ctx, action, parameters) })
	if err != nil {
		return notOfOne(err)
	}
	var said struct{ Response map[string]json.RawMessage }
	var fault struct{ Code string }
	malformed := json.Unmarshal(answer.body, &said) != nil
	if raw, failed := said.Response["Error"]; failed && json.Unmarshal(raw, &fault) == nil {
		return t.failed(fault.Code)
	}
	if found, given := said.Response[member]; answer.status >= 300 || malformed || !given || json.Unmarshal(found, result) != nil {
		return t.odd(answer.status)
	}
	return nil
}
