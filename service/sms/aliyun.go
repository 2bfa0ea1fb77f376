package sms

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
	"menshen/service/sign"
)

// Aliyun sends through Alibaba Cloud's SMS service: SendSms of Dysmsapi 2017-05-25,
// signed by ACS3-HMAC-SHA256. Build it with NewAliyun.
type Aliyun struct {
	vendorWire
	now func() time.Time
}

// NewAliyun returns a sender for a checked configuration.
func NewAliyun(c config.SMS, now func() time.Time) *Aliyun {
	return &Aliyun{newVendorWire(config.ProviderAliyun, c), now}
}

// Send requests one message. Only the vendor's code "OK" is success. Faults on the
// vendor's side (isp. and similar codes) leave the outcome open. Every other code is a
// refusal. The limits of a number (isv.BUSINESS_LIMIT_CONTROL and similar codes) wrap
// model.ErrCooldown or ErrDailyLimit, the account's daily limit ErrTooMany.
func (a *Aliyun) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	answer, err := a.ask(ctx, m, a.request)
	if err != nil {
		return model.Sent{}, err
	}
	var said struct {
		Code, Message string
		BizID         string `json:"BizId"`
	}
	if json.Unmarshal(answer.body, &said) != nil || said.Code == "" {
		if answer.status >= 400 {
			return model.Sent{}, a.refused("status " + strconv.Itoa(answer.status))
		}
		return model.Sent{}, a.open("the answer is not understood")
	}
	if said.Code == "OK" && answer.status < 300 {
		return model.Sent{MessageID: said.BizID}, nil
	}
	return model.Sent{}, a.judge(said.Code, said.Message)
}

// judge implements the vendor's tables of codes as far as they matter here. Codes of the
// mainland carry the window of a limit in the message, codes of other regions in the
// code.
func (a *Aliyun) judge(code, message string) error {
	reason := outbound.Quotable(code, codeForm)
	limited := code == "isv.BUSINESS_LIMIT_CONTROL"
	switch {
	case limited && strings.Contains(message, "天级"), code == "isv.BUSINESS_LIMIT_DAY":
		return a.throttled(model.ErrDailyLimit.After(day), reason)
	case limited && strings.Contains(message, "小时级"), code == "isv.BUSINESS_LIMIT_HOUR":
		return a.throttled(model.ErrCooldown.After(hour), reason)
	case limited, code == "BUSINESS_LIMIT_CONTROL_MINUTE", strings.HasPrefix(code, "Throttling"):
		return a.throttled(model.ErrCooldown.After(minute), reason)
	case code == "isv.DAY_LIMIT_CONTROL":
		return a.throttled(model.ErrTooMany.After(day), reason)
	case code == "isp.RAM_PERMISSION_DENY": // the only isp. code that is about the account
		return a.refused(reason)
	case code == "OK", strings.HasPrefix(code, "isp."), code == "InternalError", code == "ServiceUnavailable":
		return a.open(reason)
	}
	return a.refused(reason)
}

// aliyunNumber is a number as the vendor spells it: one of the mainland has no country code.
func aliyunNumber(mobile model.Mobile) string {
	return strings.TrimPrefix(strings.TrimPrefix(mobile.E164(), "+86"), "+")
}

// request puts all parameters into the query, as the vendor's own libraries do.
func (a *Aliyun) request(ctx context.Context, m model.Message, t config.Template) (*http.Request, error) {
	params := map[string]string{}
	for _, param := range t.Parameters() {
		name, value, _ := strings.Cut(param, "=")
		params[name] = values(m).Fill(value)
	}
	templateParam, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"PhoneNumbers": {aliyunNumber(m.Mobile)},
		"SignName":     {t.Sign}, "TemplateCode": {t.Template}, "TemplateParam": {string(templateParam)}, "OutId": {m.ID},
	}
	return a.signed(ctx, "SendSms", query)
}

// signed is a request for an operation.
func (a *Aliyun) signed(ctx context.Context, action string, query url.Values) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.config.Aliyun.Endpoint+"/?"+sign.Query(query), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	sign.ACS3{
		ID: a.config.Aliyun.AccessKeyID, Secret: string(a.config.Aliyun.AccessKeySecret),
		Action: action, Version: "2017-05-25", Nonce: rand.Text(), At: a.now(),
	}.Sign(request, "")
	return request, nil
}
