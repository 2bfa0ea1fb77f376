package challenge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
)

// TestGeeTest: the fake judges as the vendor's document says
// (https://docs.geetest.com/BehaviorVerification/apirefer/api/server).
func TestGeeTest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(r.PostForm.Get("lot_number")))
		want := url.Values{
			"captcha_id": {testID}, "lot_number": {"lot-hush"}, "captcha_output": {"out-hush"}, "pass_token": {"pass-hush"}, "gen_time": {"1700000000"},
			"sign_token": {hex.EncodeToString(mac.Sum(nil))},
		}
		if d := cmp.Diff(want, r.PostForm); d != "" || r.URL.String() != "/validate?captcha_id="+testID || r.Method != http.MethodPost {
			t.Errorf("%s %s: %s", r.Method, r.URL, d)
		}
		_, _ = io.WriteString(w, vendors["geetest"].yes)
	}))
	defer server.Close()
	_ = vendors["geetest"].verify(t, server.URL+"/validate", geetestToken, passed)
	number := model.Secret(`{"captcha_id":"x","lot_number":"lot-hush","captcha_output":"out-hush","pass_token":"pass-hush","gen_time":1700000000}`)
	_ = vendors["geetest"].verify(t, server.URL+"/validate", number, passed)
}

// TestGeeTestVerdicts: the codes of https://docs.geetest.com/gt4/apirefer/errorcode/server.
func TestGeeTestVerdicts(t *testing.T) {
	for code, want := range map[string]outcome{
		"-50000": unknown, "-50101": unknown, "-50102": unknown, "-50103": unknown, "-50104": unknown, "-50105": unknown, // runtime error; our captcha_id
		"-50002": failed, "-50003": failed, "-50005": failed, "-50301": failed, "-50303": failed, "-50304": failed, "-50305": failed, "-50308": failed,
		"hush": unknown, "": unknown,
	} {
		verdictRow{code, 200, `{"status":"error","code":"` + code + `","msg":"hush","desc":{"type":"defined error"}}`, want}.judge(t, vendors["geetest"])
	}
}

// TestAliyun: https://help.aliyun.com/zh/captcha/captcha2-0/user-guide/server-access.
func TestAliyun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		if want := (url.Values{"CaptchaVerifyParam": {`{"a":"b c+/="}`}, "SceneId": {testID}}); err != nil || !cmp.Equal(form, want) {
			t.Errorf("form %s, error %v", body, err)
		}
		sum := sha256.Sum256(body)
		got := map[string]string{}
		for _, name := range []string{"Content-Type", "X-Acs-Action", "X-Acs-Version", "X-Acs-Date", "X-Acs-Content-Sha256"} {
			got[name] = r.Header.Get(name)
		}
		want := map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "X-Acs-Action": "VerifyIntelligentCaptcha", "X-Acs-Version": "2023-03-05",
			"X-Acs-Date": "2023-11-14T22:13:20Z", "X-Acs-Content-Sha256": hex.EncodeToString(sum[:]),
		}
		if d := cmp.Diff(want, got); d != "" || r.URL.String() != "/" {
			t.Errorf("%s: %s", r.URL, d)
		}
		if signed := r.Header.Get("Authorization"); !regexp.MustCompile(`\AACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=content-type;host;x-acs-[a-z0-9;-]+,Signature=[0-9a-f]{64}\z`).MatchString(signed) {
			t.Errorf("Authorization %s", signed)
		}
		_, _ = io.WriteString(w, vendors["aliyun"].yes)
	}))
	defer server.Close()
	_ = vendors["aliyun"].verify(t, server.URL+"/", `{"a":"b c+/="}`, passed)
	a, err := NewAliyun(server.URL, AliyunKeys{AccessKeyID: "LTAI", AccessKeySecret: testSecret, SceneID: testID}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	params, err := a.Params(t.Context(), client)
	if text, _ := json.Marshal(params); err != nil || string(text) != `{"sceneId":"id-of-site"}` {
		t.Errorf("params %s, error %v", text, err)
	}
}

func TestAliyunVerdicts(t *testing.T) {
	for _, row := range []verdictRow{
		{"test mode", 200, `{"Code":"Success","Success":true,"Result":{"VerifyResult":true,"VerifyCode":"T005"}}`, passed},
		{"suspected", 200, `{"Code":"Success","Success":true,"Result":{"VerifyResult":false,"VerifyCode":"F001"}}`, failed},
		{"another scene", 200, `{"Code":"Success","Success":true,"Result":{"VerifyResult":false,"VerifyCode":"F012"}}`, failed},
		{"no such key", 404, `{"Code":"InvalidAccessKeyId.NotFound","Message":"hush","RequestId":"x"}`, unknown},
		{"our signature", 400, `{"Code":"SignatureDoesNotMatch","Message":"hush"}`, unknown},
		{"throttled", 400, `{"Code":"Throttling.User","Message":"hush"}`, unknown},
		{"out of order", 500, `{"Code":"InternalError"}`, unknown},
		{"echo as code", 400, `{"Code":"token-hush 1"}`, unknown},
		{"no result", 200, `{"Code":"Success","Success":true,"Result":null}`, unknown},
		{"no boolean", 200, `{"Code":"Success","Success":true,"Result":{"VerifyResult":"true"}}`, unknown},
	} {
		t.Run(row.name, func(t *testing.T) { row.judge(t, vendors["aliyun"]) })
	}
}

// TestTencent: https://cloud.tencent.com/document/product/1110/36926.
func TestTencent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		const want = `{"CaptchaType":9,"Ticket":"ticket-hush","UserIp":"192.0.2.1","Randstr":"@hush","CaptchaAppId":199999164,"AppSecretKey":"app-hush"}`
		if string(body) != want || r.URL.String() != "/" {
			t.Errorf("%s %s", r.URL, body)
		}
		got := map[string]string{}
		for _, name := range []string{"Content-Type", "X-Tc-Action", "X-Tc-Version", "X-Tc-Timestamp", "X-Tc-Region"} {
			got[name] = r.Header.Get(name)
		}
		headers := map[string]string{
			"Content-Type": "application/json; charset=utf-8", "X-Tc-Action": "DescribeCaptchaResult", "X-Tc-Version": "2019-07-22",
			"X-Tc-Timestamp": "1700000000", "X-Tc-Region": "",
		}
		if d := cmp.Diff(headers, got); d != "" {
			t.Error(d)
		}
		if signed := r.Header.Get("Authorization"); !regexp.MustCompile(`\ATC3-HMAC-SHA256 Credential=AKID/2023-11-14/captcha/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=[0-9a-f]{64}\z`).MatchString(signed) {
			t.Errorf("Authorization %s", signed)
		}
		_, _ = io.WriteString(w, vendors["tencent"].yes)
	}))
	defer server.Close()
	_ = vendors["tencent"].verify(t, server.URL+"/", tencentToken, passed)
}

func TestTencentVerdicts(t *testing.T) {
	verdict := func(code string) string {
		return `{"Response":{"CaptchaCode":` + code + `,"CaptchaMsg":"hush","EvilLevel":0,"RequestId":"x"}}`
	}
	for _, row := range []verdictRow{
		{"another randstr", 200, verdict("7"), failed},
		{"too old", 200, verdict("8"), failed},
		{"spent", 200, verdict("9"), failed},
		{"malformed", 200, verdict("15"), failed},
		{"another app's", 200, verdict("16"), failed},
		{"made by the page without the vendor", 200, verdict("21"), failed},
		{"of another key", 200, verdict("100"), failed},
		{"malicious", 200, `{"Response":{"CaptchaCode":1,"EvilLevel":100}}`, failed},
		{"our signature", 200, `{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"hush"},"RequestId":"x"}}`, unknown},
		{"not paid", 200, `{"Response":{"Error":{"Code":"UnauthorizedOperation.Unauthorized","Message":"hush"},"RequestId":"x"}}`, unknown},
		{"out of order", 200, `{"Response":{"Error":{"Code":"InternalError"},"CaptchaCode":1}}`, unknown},
		{"echo as code", 200, `{"Response":{"Error":{"Code":"ticket-hush"}}}`, unknown},
		{"no number", 200, verdict(`"1"`), unknown},
	} {
		t.Run(row.name, func(t *testing.T) { row.judge(t, vendors["tencent"]) })
	}
}
