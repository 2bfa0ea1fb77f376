package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"menshen/repository/dbtest"
)

// The credentials at the vendors, which no log may show.
const (
	aliyunSecret  = "aliyun-hush-7Qm2x9LcVw"
	tencentSecret = "tencent-hush-4Tn8k1PzRd"
	twilioSecret  = "twilio-hush-9Gb3s6HyNj"
	snsSecret     = "sns-hush-5Wd7r2KxPm"
	twilioAccount = "AC0123456789abcdef0123456789abcdef"
)

// vendors play the four vendors on one server: they keep the messages by number
// and answer as their documents say.
type vendors struct {
	t       *testing.T
	server  *httptest.Server
	secrets *canaries

	mu       sync.Mutex
	messages map[string][]string         // number in E.164: "vendor: what was sent"
	moods    map[string]http.HandlerFunc // "vendor number": how it answers instead of yes
	yes      map[string]http.HandlerFunc // by vendor
	readers  map[string]func(r *http.Request, body []byte) (number, text string)
}

func newVendors(t *testing.T, secrets *canaries) *vendors {
	t.Helper()
	v := &vendors{
		t: t, secrets: secrets, messages: map[string][]string{}, moods: map[string]http.HandlerFunc{},
		yes: map[string]http.HandlerFunc{
			"aliyun":  respondWith(200, `{"Code":"OK","Message":"OK","BizId":"9006^0","RequestId":"F655"}`),
			"tencent": respondWith(200, `{"Response":{"SendStatusSet":[{"SerialNo":"5000","Fee":1,"Code":"Ok","Message":"send success"}],"RequestId":"a0aa"}}`),
			"sns":     respondWith(200, `<PublishResponse><PublishResult><MessageId>567910cd</MessageId></PublishResult></PublishResponse>`),
			"twilio":  respondWith(201, `{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}`),
		},
		readers: map[string]func(*http.Request, []byte) (string, string){"aliyun": readAliyun, "tencent": readTencent, "twilio": readTwilio, "sns": readSNS},
	}
	for _, secret := range []string{aliyunSecret, tencentSecret, twilioSecret, snsSecret} {
		secrets.add(kindToken, secret)
	}
	v.server = httptest.NewServer(v)
	t.Cleanup(v.server.Close)
	return v
}

// commandLines is an answer of a vendor.
func respondWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// settings are a deployment with all vendors configured.
func (v *vendors) settings(provider, fallback string) []string {
	return []string{
		"SMS_PROVIDER=" + provider, "SMS_FALLBACK=" + fallback, "CODE_LENGTH=10",
		"SMS_ALIYUN_ENDPOINT=" + v.server.URL, "SMS_ALIYUN_ACCESS_KEY_ID=LTAI5tExample", "SMS_ALIYUN_ACCESS_KEY_SECRET=" + aliyunSecret,
		"SMS_TENCENT_ENDPOINT=" + v.server.URL, "SMS_TENCENT_SECRET_ID=AKIDExample", "SMS_TENCENT_SECRET_KEY=" + tencentSecret, "SMS_TENCENT_APP_ID=1400006666",
		"SMS_TWILIO_ENDPOINT=" + v.server.URL, "SMS_TWILIO_ACCOUNT_SID=" + twilioAccount, "SMS_TWILIO_AUTH_TOKEN=" + twilioSecret, "SMS_TWILIO_FROM=+14155550123",
		"SMS_SNS_ENDPOINT=" + v.server.URL, "SMS_SNS_ACCESS_KEY_ID=AKIAExample", "SMS_SNS_SECRET_ACCESS_KEY=" + snsSecret,
		`SMS_TEMPLATES=[
			{"provider":"sns","text":"{code} is your code for {minutes} minutes"},
			{"provider":"aliyun","languages":["zh-CN"],"companies":[1],"sign":"second","template":"SMS_9","params":["code={code}","min={minutes}"]},
			{"provider":"aliyun","languages":["zh-CN"],"sign":"门神","template":"SMS_1","params":["code={code}","min={minutes}"]},
			{"provider":"aliyun","languages":["en"],"sign":"menshen","template":"SMS_2"},
			{"provider":"tencent","languages":["zh-CN","en"],"sign":"门神","template":"1110","params":["{code}","{minutes}"]},
			{"provider":"twilio","languages":["zh-CN"],"text":"验证码 {code}，{minutes} 分钟内有效"},
			{"provider":"twilio","languages":["en"],"text":"{code} is your code for {minutes} minutes"}]`,
	}
}

func readAliyun(r *http.Request, _ []byte) (number, text string) {
	q := r.URL.Query()
	return "+86" + q.Get("PhoneNumbers"), q.Get("SignName") + " " + q.Get("TemplateCode") + " " + q.Get("TemplateParam")
}

func readTencent(_ *http.Request, body []byte) (number, text string) {
	var b struct {
		PhoneNumberSet, TemplateParamSet []string
		SignName                         string
		TemplateID                       string `json:"TemplateId"`
	}
	if json.Unmarshal(body, &b) != nil || len(b.PhoneNumberSet) != 1 {
		return "", ""
	}
	return b.PhoneNumberSet[0], b.SignName + " " + b.TemplateID + " " + strings.Join(b.TemplateParamSet, " ")
}

func readTwilio(_ *http.Request, body []byte) (number, text string) {
	form, _ := url.ParseQuery(string(body))
	return form.Get("To"), form.Get("Body")
}

func readSNS(_ *http.Request, body []byte) (number, text string) {
	form, _ := url.ParseQuery(string(body))
	return form.Get("PhoneNumber"), form.Get("Message")
}

func (v *vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, scheme := "twilio", "Basic "
	switch {
	case r.Header.Get("x-acs-action") == "SendSms":
		name, scheme = "aliyun", "ACS3-HMAC-SHA256 Credential=LTAI5tExample,"
	case r.Header.Get("X-TC-Action") == "SendSms":
		name, scheme = "tencent", "TC3-HMAC-SHA256 Credential=AKIDExample/"
	case r.Header.Get("X-Amz-Date") != "":
		name, scheme = "sns", "AWS4-HMAC-SHA256 Credential=AKIAExample/"
	case r.URL.Path != "/2010-04-01/Accounts/"+twilioAccount+"/Messages.json":
		v.t.Errorf("a request of no vendor: %s %s", r.Method, r.URL.Path)
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), scheme) || r.Method != http.MethodPost {
		v.t.Errorf("%s: %s with authorization %q", name, r.Method, r.Header.Get("Authorization"))
	}
	v.secrets.add(kindToken, r.Header.Get("Authorization"))
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	number, text := v.readers[name](r, body)
	v.secrets.add(kindCode, codeIn(text))
	v.mu.Lock()
	v.messages[number] = append(v.messages[number], name+": "+text)
	answer := v.moods[name+" "+number]
	v.mu.Unlock()
	if answer == nil {
		answer = v.yes[name]
	}
	answer(w, r)
}

var tenDigits = regexp.MustCompile(`[0-9]{10}`)

// codeIn is the code of a message.
func codeIn(text string) string { return tenDigits.FindString(text) }

// setResponse makes a vendor respond differently to messages to a number.
func (v *vendors) setResponse(name, mobile string, answer http.HandlerFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.moods[name+" +86"+mobile] = answer
}

// codeSent returns all messages to a number since the last call, with the code of
// the last one.
func (v *vendors) codeSent(mobile string) (messages, code string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.messages["+86"+mobile]
	delete(v.messages, "+86"+mobile)
	if len(all) > 0 {
		code = codeIn(all[len(all)-1])
	}
	return strings.ReplaceAll(strings.Join(all, "\n"), code, "CODE"), code
}

// wantProvider checks which provider is stored with the newest code.
func (d *deployment) wantProvider(t *testing.T, name string) {
	t.Helper()
	if got := d.value(t, "SELECT provider FROM codes ORDER BY sent_at DESC, seq DESC LIMIT 1"); got != name {
		t.Errorf("the provider is noted as %q, want %q", got, name)
	}
}

// wantCounted checks lines of the metrics.
func (d *deployment) wantCounted(t *testing.T, lines ...string) {
	t.Helper()
	response, err := d.client.Get(d.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	for _, line := range lines {
		if !strings.Contains(string(text), "\nmenshen_sms_total{"+line+"\n") {
			t.Errorf("the metrics have no %s", line)
		}
	}
}

// TestVendors logs in by each vendor, in the language of the request.
func TestVendors(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		for name, want := range map[string][3]string{
			"aliyun": {
				`aliyun: 门神 SMS_1 {"code":"CODE","min":"5"}`, `aliyun: menshen SMS_2 {"code":"CODE"}`, `aliyun: second SMS_9 {"code":"CODE","min":"5"}`,
			},
			"tencent": {`tencent: 门神 1110 CODE 5`, `tencent: 门神 1110 CODE 5`, `tencent: 门神 1110 CODE 5`},
			"sns":     {`sns: CODE is your code for 5 minutes`, `sns: CODE is your code for 5 minutes`, `sns: CODE is your code for 5 minutes`},
			"twilio":  {`twilio: 验证码 CODE，5 分钟内有效`, `twilio: CODE is your code for 5 minutes`, `twilio: 验证码 CODE，5 分钟内有效`},
		} {
			t.Run(driver+" "+name, func(t *testing.T) {
				d := newDeployment(t, driver)
				v := newVendors(t, d.secrets)
				d.settings = append(d.settings, v.settings(name, "")...)
				d.start(t)
				for i, row := range []call{
					{headers: headersOf("Accept-Language", "zh-CN,zh;q=0.9")}, {headers: headersOf("Accept-Language", "en-GB")}, {},
				} {
					f := form{Mobile: d.number()}
					if i == 2 {
						f.CompanyType = 1
					}
					row.path, row.body = "/auth/mobile/code", fmt.Sprintf(`{"companyType":%d,"mobile":%q,"productType":0}`, f.CompanyType, f.Mobile)
					d.do(t, row)
					var sent string
					if sent, f.ValidateNo = v.codeSent(f.Mobile); sent != want[i] {
						t.Errorf("sent was %s, want %s", sent, want[i])
					}
					d.login(t, f)
					d.wantProvider(t, name)
				}
				d.wantCounted(t, `outcome="sent",provider="`+name+`"} 3`)
			})
		}
	}
}

// TestFallback: the fallback provider is used after a definite refusal and after
// nothing else; limits of vendors are answered as limits.
func TestFallback(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			d := newDeployment(t, driver)
			v := newVendors(t, d.secrets)
			d.settings = append(d.settings, v.settings("tencent", "aliyun")...)
			d.start(t)
			status := func(code string) http.HandlerFunc {
				return respondWith(200, `{"Response":{"SendStatusSet":[{"Code":"`+code+`","Message":"no"}],"RequestId":"1"}}`)
			}
			limited := respondWith(200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5","RequestId":"1"}`)
			const first, second = "tencent: 门神 1110 CODE 5", `aliyun: 门神 SMS_1 {"code":"CODE","min":"5"}`
			t.Run("after a refusal", func(t *testing.T) {
				f := form{Mobile: d.number()}
				v.setResponse("tencent", f.Mobile, respondWith(200, `{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"no"},"RequestId":"1"}}`))
				since := len(d.log.text())
				d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), want: `{"resendAfter":60}`})
				var sent string
				if sent, f.ValidateNo = v.codeSent(f.Mobile); sent != first+"\n"+second {
					t.Errorf("sent was %s", sent)
				}
				d.login(t, f)
				d.wantProvider(t, "aliyun")
				d.log.await(t, since, "AuthFailure.SignatureFailure") // the operator learns why
			})
			t.Run("not after a time-out", func(t *testing.T) {
				f := form{Mobile: d.number()}
				v.setResponse("tencent", f.Mobile, respondWith(504, ""))
				d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50301, want: "null"})
				var sent string
				if sent, f.ValidateNo = v.codeSent(f.Mobile); sent != first {
					t.Errorf("sent was %s", sent)
				}
				d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile)}, 42901, 50, 60)
				d.login(t, f) // it came all the same
			})
			t.Run("limits of both", func(t *testing.T) {
				f := form{Mobile: d.number()}
				v.setResponse("tencent", f.Mobile, status("LimitExceeded.PhoneNumberDailyLimit"))
				v.setResponse("aliyun", f.Mobile, limited)
				for range 2 { // no cooldown of ours
					d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile)}, 42901, hour, hour)
					if sent, _ := v.codeSent(f.Mobile); sent != first+"\n"+second {
						t.Errorf("sent was %s", sent)
					}
				}
				v.setResponse("aliyun", f.Mobile, respondWith(400, `{"Code":"SignatureDoesNotMatch","Message":"no"}`))
				d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile)}, 42902, day, day)
				d.wantProvider(t, "aliyun")
			})
			d.wantCounted(t, `outcome="refused",provider="tencent"} 1`, `outcome="unknown",provider="tencent"} 1`, `outcome="throttled",provider="tencent"} 3`,
				`outcome="sent",provider="aliyun"} 1`, `outcome="throttled",provider="aliyun"} 2`, `outcome="refused",provider="aliyun"} 1`)
		})
	}
}

// TestTestNumbersAreNotSent: codes of test numbers are fixed and counted apart.
func TestTestNumbersAreNotSent(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			const reviewer, late = "13700137000", "13700137001"
			d := newDeployment(t, driver, `CODE_TEST_NUMBERS=[{"mobile":"13700137000","code":"246813","until":"2999-01-31T00:00:00Z"},
				{"mobile":"13700137001","code":"246813","until":"2020-01-31T00:00:00Z"}]`)
			d.start(t)
			f := form{Mobile: reviewer, ValidateNo: "246813"}
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // not asked for
			d.do(t, call{path: "/auth/mobile/code", body: codeBody("+86 137-0013-7000")})
			d.messages.wantNoMessage(t, "+86"+reviewer)
			d.wantProvider(t, "test")
			d.login(t, f)
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(late)})
			if code := d.messages.nextMessage(t, "+86"+late).Code; code == "246813" {
				t.Error("a test number outlived its end")
			}
			d.wantCounted(t, `outcome="sent",provider="test"} 1`, `outcome="sent",provider="webhook"} 1`)
		})
	}
}
