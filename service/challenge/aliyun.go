package challenge

import (
	"context"
	"crypto/rand"
	"net/url"
	"regexp"
	"time"

	"menshen/model"
	"menshen/service/outbound"
	"menshen/service/sign"
)

// AliyunKeys are what Alibaba Cloud's Captcha 2.0 is asked with.
type AliyunKeys struct {
	AccessKeyID     string
	AccessKeySecret model.Secret
	SceneID         string // public
}

// Aliyun verifies the answers of Alibaba Cloud's Captcha 2.0: VerifyIntelligentCaptcha of
// captcha 2023-03-05, signed by ACS3-HMAC-SHA256
// (https://help.aliyun.com/zh/captcha/captcha2-0/user-guide/server-access). Build it with
// NewAliyun.
type Aliyun struct {
	vendor
	keys AliyunKeys
	now  func() time.Time
}

// NewAliyun returns a verifier at address. The widget needs the scene too.
func NewAliyun(address string, keys AliyunKeys, now func() time.Time) (*Aliyun, error) {
	v, err := newVendor("aliyun", address, model.Secret(keys.AccessKeyID), keys.AccessKeySecret, model.Secret(keys.SceneID))
	v.params = map[string]string{"sceneId": keys.SceneID}
	return &Aliyun{v, keys, now}, err
}

var aliyunCode = regexp.MustCompile(`\A[A-Za-z][A-Za-z.]{0,79}\z`)

// Verify asks the vendor about the widget's CaptchaVerifyParam, which is passed on as it
// is. Each is judged once.
func (a *Aliyun) Verify(ctx context.Context, answer model.Secret, _ model.Asker) error {
	if len(answer) == 0 || len(answer) > maxToken {
		return a.no("its length")
	}
	body := sign.Query(url.Values{"CaptchaVerifyParam": {string(answer)}, "SceneId": {a.keys.SceneID}})
	request, err := a.post(ctx, a.target, typeForm, body)
	if err != nil {
		return err
	}
	sign.ACS3{
		ID: a.keys.AccessKeyID, Secret: string(a.keys.AccessKeySecret),
		Action: "VerifyIntelligentCaptcha", Version: "2023-03-05", Nonce: rand.Text(), At: a.now(),
	}.Sign(request, body)
	var said struct {
		Code   string
		Result struct{ VerifyResult *bool }
	}
	ok, err := a.ask(request, &said)
	if err != nil {
		return err
	}
	switch verdict := said.Result.VerifyResult; {
	case verdict == nil && said.Code != "":
		return a.open("refused: " + outbound.Quotable(said.Code, aliyunCode))
	case verdict == nil:
	case !*verdict:
		return a.no("so the vendor says")
	case ok:
		return nil
	}
	return a.open("the answer says nothing")
}
