package scenario

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

// desk plays what the vendors offer about messages that they took. It passes on everything
// else.
type desk struct {
	*vendors
	mu    sync.Mutex
	asked map[string]string // the last parameters, by operation
	told  map[string]int    // requests, by operation
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := r.Header.Get("x-acs-action") + r.Header.Get("X-TC-Action")
	answers := map[string]string{
		"QuerySendDetails": `{"TotalCount":1,"Message":"OK","RequestId":"819B","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"SendDate":"2019-01-08 16:44:10","OutId":"123",
			"SendStatus":2,"ReceiveDate":"2019-01-08 16:44:13","ErrCode":"MOBILE_NOT_ON_SERVICE","TemplateCode":"SMS_1","Content":"0123456789","PhoneNum":"1390000"}]},"Code":"OK"}`,
		"SmsConversionIntl": `{"Message":"OK","RequestId":"F655","Code":"OK"}`,
		"PullSmsSendStatus": `{"Response":{"PullSmsSendStatusSet":[{"Description":"DELIVRD","CountryCode":"86","SubscriberNumber":"18501234444","ReportStatus":"SUCCESS",
			"PhoneNumber":"+8618501234444","SerialNo":"5000","UserReceiveTime":1620734188,"SessionContext":""}],"RequestId":"8979"}}`,
		"ReportConversion": `{"Response":{"ReportConversionStatus":{"Code":"ok","Message":"success"},"RequestId":"a0aa"}}`,
	}
	answer, known := answers[action]
	if !known {
		d.vendors.ServeHTTP(w, r)
		return
	}
	d.secrets.add(kindToken, r.Header.Get("Authorization"))
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.asked[action] = r.URL.Query().Encode() + string(bytes.TrimSpace(body))
	d.told[action]++
	d.mu.Unlock()
	respondWith(200, answer)(w, r)
}

// requests returns how often an operation was requested, and its last parameters.
func (d *desk) requests(action string) (n int, parameters string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told[action], d.asked[action]
}

// TestFollowUps: turned on while running, receipts are fetched and redeemed codes reported, by
// the whole program.
func TestFollowUps(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, operatorKeys(), "CODE_COOLDOWN=0s")
			v := &desk{vendors: newVendors(t, d.secrets), asked: map[string]string{}, told: map[string]int{}}
			front := httptest.NewServer(v)
			t.Cleanup(front.Close)
			d.settings = append(append(d.settings, v.settings("aliyun", "tencent")...), "SMS_ALIYUN_ENDPOINT="+front.URL, "SMS_TENCENT_ENDPOINT="+front.URL)
			d.start(t)
			enter := func(f form) account {
				t.Helper()
				d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile)})
				_, f.ValidateNo = v.codeSent(f.Mobile)
				return d.login(t, f)
			}
			first := form{Mobile: d.number()}
			enter(first)
			v.setResponse("aliyun", first.Mobile, respondWith(200, `{"Code":"OK","Message":"OK","BizId":"77^0","RequestId":"F655"}`))
			enter(first) // of an account that there is
			second := form{Mobile: d.number()}
			v.setResponse("aliyun", second.Mobile, respondWith(200, `{"Code":"isv.AMOUNT_NOT_ENOUGH","Message":"no","RequestId":"1"}`))
			enter(second)
			d.exec(t, "UPDATE messages SET at = at - 3600000 WHERE message_id IN ('77^0', '5000')")
			d.exec(t, "UPDATE messages SET region = 'HK' WHERE message_id = '77^0'")

			writeFile(t, d.file, "sms: {aliyun: {receipts: pull, report_redeemed: true}, tencent: {receipts: pull, report_redeemed: true}}\n")
			for _, action := range []string{"QuerySendDetails", "SmsConversionIntl", "PullSmsSendStatus", "ReportConversion"} {
				eventually(t, 30*time.Second, action+" is requested", func() bool { n, _ := v.requests(action); return n > 0 })
			}
			eventually(t, 30*time.Second, "both receipts are recorded", func() bool {
				return len(d.traced(t, "provider=tencent&state=delivered")) == 1 && len(d.traced(t, "provider=aliyun&state=undelivered")) == 1
			})
			if m := d.traced(t, "state=undelivered")[0]; m.MessageID != "77^0" || m.Reason != "MOBILE_NOT_ON_SERVICE" || *m.ReportedAt != "2019-01-08T08:44:13Z" {
				t.Errorf("the message is %+v", m)
			}
			n, asked := v.requests("QuerySendDetails")
			if !strings.HasPrefix(asked, "BizId=77%5E0&CurrentPage=1&PageSize=10&PhoneNumber="+first.Mobile+"&SendDate=20") || n > 2 { // once for each age that it has
				t.Errorf("asked %d times, %s", n, asked)
			}
			if n, told := v.requests("SmsConversionIntl"); n != 1 || !strings.HasPrefix(told, "ConversionTime=") || !strings.HasSuffix(told, "&Delivered=true&MessageId=77%5E0") {
				t.Errorf("told %d times, %s", n, told)
			}
			if n, told := v.requests("ReportConversion"); n != 1 || !strings.HasPrefix(told, `{"SmsSdkAppId":"1400006666","SerialNo":"5000","ConversionTime":1`) {
				t.Errorf("told %d times, %s", n, told)
			}
			for _, task := range []string{`"aliyun",task="receipts"`, `"aliyun",task="redemptions"`, `"tencent",task="receipts"`, `"tencent",task="redemptions"`} {
				name := fmt.Sprintf(`menshen_sms_followups_total{outcome="done",provider=%s}`, task)
				eventually(t, 30*time.Second, name+" counts", func() bool { return d.scrape(t)[name] > 0 })
			}
			if kinds := d.cells(t, "SELECT kind FROM events WHERE kind = 'receipt'"); len(kinds) != 2 {
				t.Errorf("%d events", len(kinds))
			}
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// TestFollowUpsNeedAnAccount: check-config names what is missing.
func TestFollowUpsNeedAnAccount(t *testing.T) {
	d := newDeployment(t, dbtest.Drivers(t)[0], "SMS_TENCENT_RECEIPTS=pull", "SMS_ALIYUN_RECEIPTS=poll")
	exit, _, text := d.command(t, "check-config")
	for _, key := range []string{"sms.aliyun.receipts", "sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id"} {
		if exit != 1 || !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, key+":") }) {
			t.Errorf("the command ends with %d and does not name %s: %s", exit, key, text)
		}
	}
}
