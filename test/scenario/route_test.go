package scenario

import (
	"fmt"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
)

const routesFile = `
sms:
  regions: [CN, HK, US]
  routes:
    - {regions: [CN], providers: [tencent, aliyun]}
    - {regions: [HK], providers: [%s]}
    - {regions: ["*"], providers: [twilio]}
  templates:
    - {provider: aliyun, regions: [CN], sign: 门神, template: SMS_1}
    - {provider: tencent, regions: [HK], template: 852}
    - {provider: tencent, products: [1], sign: 门神, template: 3}
    - {provider: tencent, sign: 门神, template: 2}
    - provider: twilio
      products: [1]
      text: |
        {code} is your code.

        @{domain} #{code}
    - {provider: twilio, languages: [zh-CN], text: "验证码 {code} {app_hash}"}
    - {provider: twilio, text: "{code} {app_hash}"}
products:
  - {type: 0, group: app, app_hash: FA+9qCX9VSu}
  - {type: 1, group: pc, domain: pc.example.com}
`

// sentTo returns the messages to a number in E.164 since the last call, with CODE for their
// codes.
func (v *vendors) sentTo(number string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := strings.Join(v.messages[number], "\n")
	delete(v.messages, number)
	return tenDigits.ReplaceAllString(all, "CODE")
}

// TestRoutes: who is asked, and with which text, depends on region and product; both change
// while the program runs.
func TestRoutes(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	v := newVendors(t, d.secrets)
	for _, setting := range v.settings("log", "") {
		if !strings.HasPrefix(setting, "SMS_TEMPLATES=") {
			d.settings = append(d.settings, setting)
		}
	}
	writeFile(t, d.file, fmt.Sprintf(routesFile, "tencent"))
	d.start(t)
	refusal := respondWith(200, `{"Response":{"Error":{"Code":"FailedOperation.InsufficientBalanceInSmsPackage","Message":"no"},"RequestId":"1"}}`)
	send := func(mobile string, product int, code int32) string {
		t.Helper()
		d.secrets.add(kindNumber, mobile)
		d.do(t, call{
			path: "/auth/mobile/code", body: fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":%d}`, mobile, product), code: code, headers: headersOf("Accept-Language", "en"),
		})
		return v.sentTo(mobile)
	}
	for i, want := range []string{"tencent: 门神 2 CODE", "tencent: 门神 3 CODE"} {
		if got := send("+86"+d.number(), i, 0); got != want {
			t.Errorf("product %d on the mainland: %s", i, got)
		}
		if got := send(fmt.Sprintf("+8525123456%d", i), i, 0); got != "tencent:  852 CODE" {
			t.Errorf("product %d in Hong Kong: %s", i, got)
		}
	}
	for i, want := range []string{"twilio: CODE FA+9qCX9VSu", "twilio: CODE is your code.\n\n@pc.example.com #CODE"} {
		if got := send(fmt.Sprintf("+1415555012%d", i), i, 0); got != want {
			t.Errorf("product %d abroad: %s", i, got)
		}
	}
	mainland := d.number()
	v.setResponse("tencent", mainland, refusal)
	if got := send("+86"+mainland, 0, 0); got != "tencent: 门神 2 CODE\naliyun: 门神 SMS_1 {\"code\":\"CODE\"}" {
		t.Errorf("the next provider of the route: %s", got)
	}
	v.mu.Lock()
	v.moods["tencent +85251234569"] = refusal
	v.mu.Unlock()
	if got := send("+85251234569", 0, 50301); got != "tencent:  852 CODE" {
		t.Errorf("a provider of another route: %s", got)
	}
	since := len(d.log.text())
	writeFile(t, d.file, fmt.Sprintf(routesFile, "tencent, twilio"))
	d.log.await(t, since, "configuration applied")
	if got := send("+85251234569", 1, 0); got != "tencent:  852 CODE\ntwilio: CODE is your code.\n\n@pc.example.com #CODE" {
		t.Errorf("after the change: %s", got)
	}
}

// TestCheckConfigShowsTexts: each text template, in each of its languages, as it arrives.
func TestCheckConfigShowsTexts(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "SMS_PROVIDER=log", "CODE_LENGTH=8")
	writeFile(t, d.file, fmt.Sprintf(routesFile, "log")+
		"  - {type: 2, group: app, app_hash: 0123456789+}\n")
	vendor := newVendors(t, d.secrets)
	for _, setting := range vendor.settings("log", "") {
		if !strings.HasPrefix(setting, "SMS_TEMPLATES=") && !strings.HasPrefix(setting, "CODE_") {
			d.settings = append(d.settings, setting)
		}
	}
	exit, out, complaint := d.command(t, "check-config")
	if exit != cli.ExitOK {
		t.Fatalf("exit %d: %s", exit, complaint)
	}
	const want = `
sms.templates[4] zh-CN: encoding GSM-7, segments 1
12345678 is your code.

@pc.example.com #12345678
sms.templates[4] en: encoding GSM-7, segments 1
12345678 is your code.

@pc.example.com #12345678
sms.templates[5] zh-CN: encoding UCS-2, segments 1
验证码 12345678 FA+9qCX9VSu
sms.templates[6] zh-CN: encoding GSM-7, segments 1
12345678 FA+9qCX9VSu
sms.templates[6] en: encoding GSM-7, segments 1
12345678 FA+9qCX9VSu
`
	if !strings.HasSuffix(out, want) {
		t.Errorf("it prints\n%s", out)
	}
	for _, c := range []struct{ from, to, want string }{
		{"regions: [HK], template: 852", "regions: [HK], languages: [en], template: 852", ""},
		{"{provider: tencent, sign: 门神, template: 2}", "{provider: tencent, sign: 门神, regions: [US], template: 2}", "sms.templates: none fits tencent for company 0/1, product 0, region CN, purpose login/change/delete, language zh-CN/en"},
		{`regions: ["*"]`, "regions: [JP]", "sms.routes: none is for region US"},
		{"providers: [tencent, aliyun]", "providers: []", "sms.routes[0].providers: must not be empty"},
		{"@{domain} #{code}", "@{domain} {code}", "sms.templates[4].text: begins its last line with @"},
		{", app_hash: FA+9qCX9VSu", "", "products[0].app_hash: must be given: sms.templates[5] names {app_hash}"},
	} {
		writeFile(t, d.file, strings.Replace(fmt.Sprintf(routesFile, "log"), c.from, c.to, 1))
		exit, _, complaint := d.command(t, "check-config")
		if (exit == cli.ExitOK) != (c.want == "") || !strings.Contains(complaint, c.want) {
			t.Errorf("%s: exit %d: %s", c.to, exit, complaint)
		}
	}
}
