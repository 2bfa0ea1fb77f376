package challenge

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"menshen/model"
	"menshen/service/outbound"
)

// GeeTest verifies the answers of GeeTest's CAPTCHA 4 by its validate
// (https://docs.geetest.com/BehaviorVerification/apirefer/api/server). Build it with
// NewGeeTest.
type GeeTest struct {
	vendor
	id  string
	key model.Secret
}

// NewGeeTest returns a verifier at address for the captcha with this id and key.
func NewGeeTest(address, id string, key model.Secret) (*GeeTest, error) {
	v, err := newVendor("geetest", address, key)
	return &GeeTest{v, id, key}, err
}

// geetestAnswer holds the four values of the widget's getValidate.
type geetestAnswer struct {
	LotNumber     string      `json:"lot_number"`
	CaptchaOutput string      `json:"captcha_output"`
	PassToken     string      `json:"pass_token"`
	GenTime       json.Number `json:"gen_time"`
}

// geetestClientFaults are the codes of a request that the answer is to blame for
// (https://docs.geetest.com/gt4/apirefer/errorcode/server): its encryption, repeated, its
// time, and a lot_number that is unknown, malformed, of another answer, or too old.
var geetestClientFaults = []string{
	"-50002", "-50003", "-50005", "-50301", "-50302", "-50303", "-50304", "-50305", "-50306", "-50307", "-50308",
}

var geetestCode = regexp.MustCompile(`\A-5\d{4}\z`)

// Verify asks the vendor about the four values, a JSON object.
func (g *GeeTest) Verify(ctx context.Context, answer model.Secret, _ model.Asker) error {
	var given geetestAnswer
	if len(answer) > maxToken || json.Unmarshal([]byte(answer), &given) != nil {
		return g.no("its form")
	}
	genTime := string(given.GenTime)
	if given.LotNumber == "" || given.CaptchaOutput == "" || given.PassToken == "" || genTime == "" || strings.Trim(genTime, "0123456789") != "" {
		return g.no("its values")
	}
	target, err := url.Parse(g.target)
	if err != nil {
		return g.open("url")
	}
	query := target.Query()
	query.Set("captcha_id", g.id)
	target.RawQuery = query.Encode()
	request, err := g.post(ctx, target.String(), typeForm, url.Values{
		"captcha_id": {g.id}, "lot_number": {given.LotNumber}, "captcha_output": {given.CaptchaOutput}, "pass_token": {given.PassToken},
		"gen_time": {genTime}, "sign_token": {g.sign(given.LotNumber)},
	}.Encode())
	if err != nil {
		return err
	}
	var said struct{ Status, Code, Result string }
	ok, err := g.ask(request, &said)
	if err != nil {
		return err
	}
	switch {
	case said.Status == "error" && !slices.Contains(geetestClientFaults, said.Code):
		return g.open("refused: " + outbound.Quotable(said.Code, geetestCode))
	case said.Status == "error" || said.Result == "fail":
		return g.no("so the vendor says")
	case said.Result == "success" && ok:
		return nil
	}
	return g.open("the answer says nothing")
}

// sign shows that the request comes from the owner of the captcha.
func (g *GeeTest) sign(lotNumber string) string {
	mac := hmac.New(sha256.New, []byte(g.key))
	mac.Write([]byte(lotNumber))
	return hex.EncodeToString(mac.Sum(nil))
}
