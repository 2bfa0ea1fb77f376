package sms

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
	"menshen/service/sign"
)

// Tencent sends through Tencent Cloud's SMS service: SendSms of sms 2021-01-11, signed
// by TC3-HMAC-SHA256. Build it with NewTencent.
type Tencent struct {
	vendorWire
	now func() time.Time
}

// NewTencent returns a sender for a checked configuration.
func NewTencent(c config.SMS, now func() time.Time) *Tencent {
	return &Tencent{newVendorWire(config.ProviderTencent, c), now}
}

// tencentAnswer is the vendor's response: an error of the request, or a status of the
// number.
type tencentAnswer struct {
	Response struct {
		Error         struct{ Code string }
		SendStatusSet []struct {
			Code, SerialNo string
			Fee            json.RawMessage
		}
	}
}

// Send requests one message. Only the number's status "Ok" is success. Faults on the
// vendor's side, and those that the vendor calls unknown, leave the outcome open. Every
// other code, of the request or of the number, is a refusal. Limits of a number wrap
// model.ErrCooldown or ErrDailyLimit, the account's daily limits ErrTooMany.
func (t *Tencent) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	answer, err := t.ask(ctx, m, t.request)
	if err != nil {
		return model.Sent{}, err
	}
	var said tencentAnswer
	malformed := json.Unmarshal(answer.body, &said) != nil
	switch {
	case !malformed && said.Response.Error.Code != "":
		return model.Sent{}, t.judge(said.Response.Error.Code)
	case answer.status >= 400:
		return model.Sent{}, t.refused("status " + strconv.Itoa(answer.status))
	case malformed || len(said.Response.SendStatusSet) != 1 || said.Response.SendStatusSet[0].Code == "":
		return model.Sent{}, t.open("the answer is not understood")
	}
	status := said.Response.SendStatusSet[0]
	if status.Code == "Ok" {
		return model.Sent{MessageID: status.SerialNo, Segments: count(status.Fee)}, nil
	}
	return model.Sent{MessageID: status.SerialNo}, t.judge(status.Code)
}

// judge implements the vendor's table of codes as far as it matters here.
func (t *Tencent) judge(code string) error {
	reason := outbound.Quotable(code, codeForm)
	switch code {
	case "LimitExceeded.PhoneNumberThirtySecondLimit":
		return t.throttled(model.ErrCooldown.After(30*time.Second), reason)
	case "LimitExceeded.DeliveryFrequencyLimit", "LimitExceeded.GlobalSmsSendingRateLimit":
		return t.throttled(model.ErrCooldown.After(minute), reason)
	case "LimitExceeded.PhoneNumberOneHourLimit":
		return t.throttled(model.ErrCooldown.After(hour), reason)
	case "LimitExceeded.PhoneNumberDailyLimit", "LimitExceeded.PhoneNumberSameContentDailyLimit":
		return t.throttled(model.ErrDailyLimit.After(day), reason)
	case "InternalError.SigVerificationFail", "InternalError.SigFieldMissing", "InternalError.RequestTimeException",
		"InternalError.RestApiInterfaceNotExist", "InternalError.JsonParseFail": // faults of our request, despite their names
		return t.refused(reason)
	case "FailedOperation.ParametersOtherError": // the vendor calls it an "unknown error"
		return t.open(reason)
	}
	switch {
	case strings.HasPrefix(code, "RequestLimitExceeded"):
		return t.throttled(model.ErrCooldown.After(minute), reason)
	case strings.HasPrefix(code, "LimitExceeded.") && strings.HasSuffix(code, "DailyLimit"):
		return t.throttled(model.ErrTooMany.After(day), reason)
	case strings.HasPrefix(code, "InternalError"):
		return t.open(reason)
	}
	return t.refused(reason)
}

// tencentBody is the request of SendSms for one number.
type tencentBody struct {
	PhoneNumberSet   []string
	AppID            string `json:"SmsSdkAppId"`
	SignName         string `json:",omitempty"`
	TemplateID       string `json:"TemplateId"`
	TemplateParamSet []string
	SessionContext   string
}

func (t *Tencent) request(ctx context.Context, m model.Message, template config.Template) (*http.Request, error) {
	params := make([]string, len(template.Parameters()))
	for i, param := range template.Parameters() {
		params[i] = values(m).Fill(param)
	}
	return t.signed(ctx, "SendSms", tencentBody{
		PhoneNumberSet: []string{m.Mobile.E164()}, AppID: t.config.Tencent.AppID, SignName: template.Sign,
		TemplateID: template.Template, TemplateParamSet: params, SessionContext: m.ID,
	})
}

// signed is a request for an operation with the body as JSON.
func (t *Tencent) signed(ctx context.Context, action string, parameters any) (*http.Request, error) {
	body, err := json.Marshal(parameters)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.config.Tencent.Endpoint+"/", strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	sign.TC3{
		ID: t.config.Tencent.SecretID, Secret: string(t.config.Tencent.SecretKey),
		Service: "sms", Action: action, Version: "2021-01-11", Region: t.config.Tencent.Region, At: t.now(),
	}.Sign(request, string(body))
	return request, nil
}
