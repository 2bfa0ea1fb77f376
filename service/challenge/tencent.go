package challenge

import (
	"context"
	"encoding/json"
	"regexp"
	"strconv"
	"time"

	"menshen/model"
	"menshen/service/outbound"
	"menshen/service/sign"
)

// TencentKeys are what Tencent Cloud's Captcha is asked with.
type TencentKeys struct {
	SecretID     string
	SecretKey    model.Secret
	AppID        string // CaptchaAppId, which is public
	AppSecretKey model.Secret
}

// Tencent verifies the answers of Tencent Cloud's Captcha: DescribeCaptchaResult of
// captcha 2019-07-22, signed by TC3-HMAC-SHA256
// (https://cloud.tencent.com/document/product/1110/36926). Build it with NewTencent.
type Tencent struct {
	vendor
	keys  TencentKeys
	appID int64
	now   func() time.Time
}

// NewTencent returns a verifier at address.
func NewTencent(address string, keys TencentKeys, now func() time.Time) (*Tencent, error) {
	v, err := newVendor("tencent", address, model.Secret(keys.SecretID), keys.SecretKey, keys.AppSecretKey)
	appID, appErr := strconv.ParseInt(keys.AppID, 10, 64)
	if err == nil && appErr != nil {
		err = v.open("the site key is not a CaptchaAppId")
	}
	return &Tencent{v, keys, appID, now}, err
}

// tencentAnswer holds what the widget gives to its callback.
type tencentAnswer struct {
	Ticket  string `json:"ticket"`
	Randstr string `json:"randstr"`
}

// tencentRequest is the body of DescribeCaptchaResult.
type tencentRequest struct {
	CaptchaType  int
	Ticket       string
	UserIP       string `json:"UserIp"`
	Randstr      string
	CaptchaAppID int64 `json:"CaptchaAppId"`
	AppSecretKey string
}

const (
	tencentPassed = 1   // CaptchaCode; all others are a no
	tencentEvil   = 100 // EvilLevel of a request that the vendor takes for an attack
)

var tencentCode = regexp.MustCompile(`\A[A-Za-z][A-Za-z.]{0,79}\z`)

// Verify asks the vendor about ticket and randstr, a JSON object.
func (t *Tencent) Verify(ctx context.Context, answer model.Secret, asker model.Asker) error {
	var given tencentAnswer
	if len(answer) > maxToken || json.Unmarshal([]byte(answer), &given) != nil || given.Ticket == "" || given.Randstr == "" {
		return t.no("its form")
	}
	body, err := json.Marshal(tencentRequest{
		CaptchaType: 9, Ticket: given.Ticket, UserIP: asker.IP, Randstr: given.Randstr, CaptchaAppID: t.appID, AppSecretKey: string(t.keys.AppSecretKey),
	})
	if err != nil {
		return t.no("its form")
	}
	request, err := t.post(ctx, t.target, typeJSON, string(body))
	if err != nil {
		return err
	}
	sign.TC3{
		ID: t.keys.SecretID, Secret: string(t.keys.SecretKey), Service: "captcha", Action: "DescribeCaptchaResult", Version: "2019-07-22", At: t.now(),
	}.Sign(request, string(body))
	var said struct {
		Response struct {
			Error       struct{ Code string }
			CaptchaCode int
			EvilLevel   int
		}
	}
	ok, err := t.ask(request, &said)
	if err != nil {
		return err
	}
	switch r := said.Response; {
	case r.Error.Code != "":
		return t.open("refused: " + outbound.Quotable(r.Error.Code, tencentCode))
	case r.CaptchaCode == 0:
	case r.CaptchaCode != tencentPassed || r.EvilLevel == tencentEvil:
		return t.no("so the vendor says")
	case ok:
		return nil
	}
	return t.open("the answer says nothing")
}
