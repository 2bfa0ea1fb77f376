package sms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
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

// request puts all parameters into the query, as the vendor's own libraries do.
func (a *Aliyun) request(ctx context.Context, m model.Message, t config.Template) (*http.Request, error) {
	params := map[string]string{}
	for _, param := range t.Parameters() {
		name, value, _ := strings.Cut(param, "=")
		params[name] = config.Fill(value, string(m.Code), strconv.Itoa(m.Minutes()))
	}
	templateParam, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"PhoneNumbers": {strings.TrimPrefix(strings.TrimPrefix(m.Mobile.E164(), "+86"), "+")},
		"SignName":     {t.Sign}, "TemplateCode": {t.Template}, "TemplateParam": {string(templateParam)}, "OutId": {m.ID},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.config.Aliyun.Endpoint+"/?"+rfc3986(query), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	signACS3(request, acs3{
		id: a.config.Aliyun.AccessKeyID, secret: string(a.config.Aliyun.AccessKeySecret),
		action: "SendSms", version: "2017-05-25", nonce: rand.Text(), at: a.now(),
	})
	return request, nil
}

// rfc3986 returns the query in the one spelling that is signed. Go's form encoding
// differs from it only in the space.
func rfc3986(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

// acs3 holds what is needed to sign a request.
type acs3 struct {
	id, secret, action, version, nonce string
	at                                 time.Time
}

// signACS3 signs a request without a body to the path "/" by the vendor's third
// scheme (ACS3-HMAC-SHA256, "V3 request structure and signature").
func signACS3(request *http.Request, s acs3) {
	empty := sha256Hex("")
	names := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	values := []string{request.URL.Host, s.action, empty, s.at.UTC().Format("2006-01-02T15:04:05Z"), s.nonce, s.version}
	var headers strings.Builder
	for i, name := range names {
		headers.WriteString(name + ":" + values[i] + "\n")
		if i > 0 { // net/http sends host by itself
			request.Header.Set(name, values[i])
		}
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{request.Method, "/", request.URL.RawQuery, headers.String(), signed, empty}, "\n")
	signature := hex.EncodeToString(hmacSHA256([]byte(s.secret), "ACS3-HMAC-SHA256\n"+sha256Hex(canonical)))
	request.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+s.id+",SignedHeaders="+signed+",Signature="+signature)
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
