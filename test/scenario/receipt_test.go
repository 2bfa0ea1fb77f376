package scenario

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/repository/dbtest"
)

const (
	oldReceiptToken = "old-0123456789-0123456789-0123456789"
	newReceiptToken = "new-0123456789-0123456789-0123456789"
	twilioToken     = "twilio-auth-token"
	receiptURL      = "https://auth.example.com/hooks/sms/twilio/" + newReceiptToken
)

// hooks begins the paths of receipts.
const hooks = "/hooks/"

// hook posts what a vendor sends to a route of receipts, which is in no envelope.
func (d *deployment) hook(t *testing.T, path, body string, header map[string]string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.public+"/hooks/sms/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// signedReceipt returns the headers of a webhook's receipt.
func signedReceipt(t *testing.T, body string, at time.Time) map[string]string {
	t.Helper()
	signer, err := webhooks.NewWebhook(gatewaySecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign("receipt_1", at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		webhooks.HeaderWebhookID: "receipt_1", webhooks.HeaderWebhookTimestamp: strconv.FormatInt(at.Unix(), 10), webhooks.HeaderWebhookSignature: signature,
	}
}

// tracedMessage is a row of GET /admin/messages.
type tracedMessage struct {
	ID          int64   `json:"id"`
	Mobile      string  `json:"mobile"`
	UserID      *int64  `json:"userId"`
	Purpose     string  `json:"purpose"`
	Provider    string  `json:"provider"`
	MessageID   string  `json:"messageId"`
	State       string  `json:"state"`
	Reason      string  `json:"reason"`
	ReportedAt  *string `json:"reportedAt"`
	RedeemedAt  *string `json:"redeemedAt"`
	CompanyType int32   `json:"companyType"`
	ProductType int32   `json:"productType"`
}

func (d *deployment) traced(t *testing.T, query string) (items []tracedMessage) {
	t.Helper()
	a := d.callAdmin(t, call{path: "/admin/messages?" + query})
	var list struct{ Items []tracedMessage }
	if err := json.Unmarshal(a.data, &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// TestReceipts: what vendors post, by the whole program (contract §11).
func TestReceipts(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			tokens := oldReceiptToken + "," + newReceiptToken
			d := newDeployment(t, driver, `ADMIN_KEYS=[{"name":"alice","key":"`+aliceKey+`"},{"name":"carol","key":"`+carolKey+`","companies":[0,1]}]`, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "SMS_ALIYUN_RECEIPT_TOKEN="+tokens, "SMS_TWILIO_RECEIPT_TOKEN="+tokens,
				"SMS_TWILIO_RECEIPT_URL="+receiptURL, "SMS_TWILIO_AUTH_TOKEN="+twilioToken, "LIMITS_ENABLED=true", "LIMITS_OTHER=40",
				`SMS_PRICES=[{"provider":"webhook","region":"CN","segment":0.045}]`)
			for _, token := range []string{oldReceiptToken, newReceiptToken} {
				d.secrets.add(kindToken, token)
			}
			d.start(t)
			testEarlyReceipt(t, d)
			testVendorReceipts(t, d)
			testReceiptRefusals(t, d)
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// testEarlyReceipt: a receipt that comes before the vendor's answer counts.
func testEarlyReceipt(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	number := a.UserInfo.Mobile
	d.messages.setResponse("+86"+number, func(w http.ResponseWriter, r *http.Request) {
		body := `{"id":"` + r.Header.Get("webhook-id") + `","state":"undelivered","reason":"phone off","at":"2019-08-24T14:15:22Z"}`
		if status, text := d.hook(t, "webhook", body, signedReceipt(t, body, time.Now())); status != 200 || !strings.HasPrefix(text, `{"code":0,"data":null,`) {
			t.Errorf("the receipt is answered %d %s", status, text)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	d.sendCode(t, number, 0)
	items := d.traced(t, "mobile=%2B86"+number)
	if len(items) != 2 {
		t.Fatalf("%d messages", len(items))
	}
	m := items[0]
	if m.State != "undelivered" || m.Reason != "phone off" || m.ReportedAt == nil || *m.ReportedAt != "2019-08-24T14:15:22Z" || m.RedeemedAt != nil ||
		m.UserID == nil || *m.UserID != a.UserInfo.ID || m.Provider != "webhook" || !strings.HasPrefix(m.MessageID, "msg_") || !strings.Contains(m.Mobile, "****") {
		t.Errorf("the message is %+v", m)
	}
	if items[1].State != "accepted" || items[1].RedeemedAt == nil {
		t.Errorf("the first message is %+v", items[1])
	}
	for _, query := range []string{"userId=" + strconv.FormatInt(a.UserInfo.ID, 10), "state=undelivered", "provider=webhook&mobile=" + number} {
		if items := d.traced(t, query); len(items) == 0 || items[0].ID != m.ID {
			t.Errorf("%s: %+v", query, items)
		}
	}
	timeline := d.callAdmin(t, call{path: "/admin/users/" + strconv.FormatInt(a.UserInfo.ID, 10) + "/timeline"})
	for _, want := range []string{`"kind":"receipt"`, `"state":"undelivered"`, `"state":"accepted"`, `"messageId":"` + m.MessageID + `"`, `"reason":"phone off"`} {
		if !strings.Contains(string(timeline.raw), want) {
			t.Errorf("the timeline lacks %s", want)
		}
	}
	if seen := d.callAdmin(t, call{path: "/admin/audit?kind=receipt", as: carolKey}); !strings.Contains(string(seen.raw), m.MessageID) {
		t.Errorf("a key of the company does not see the receipt: %s", seen.raw)
	}
	if status, printed, _ := d.command(t, "messages", number); status != 0 || strings.Count(printed, "\n") != 2 || !strings.Contains(printed, m.MessageID) {
		t.Errorf("the command ends with %d: %s", status, printed)
	}
	if got := d.scrape(t)[`menshen_sms_cost{provider="webhook",region="CN"}`]; got < 0.089 || got > 0.091 {
		t.Errorf("the cost is %v", got)
	}
}

// testVendorReceipts: the vendors' forms, and the answers that they expect.
func testVendorReceipts(t *testing.T, d *deployment) {
	const delivered = `[{"phone_number":"13900000001","success":true,"err_code":"DELIVERED","biz_id":"12345","report_time":"2017-01-01 00:00:00"}]`
	d.exec(t, `INSERT INTO messages (at, code_id, mobile, user_id, company_type, product_type, purpose, region, provider, message_id, state, reason)
VALUES (1, 1, '', 0, 0, 0, 'login', 'CN', 'aliyun', '12345', 'accepted', ''), (1, 1, '', 0, 0, 0, 'login', 'US', 'twilio', 'SM1', 'accepted', '')`)
	for range 30 { // no limit counts them
		for _, token := range []string{oldReceiptToken, newReceiptToken} {
			if status, text := d.hook(t, "aliyun/"+token, delivered, nil); status != 200 || text != `{"code":0,"msg":"成功"}` {
				t.Fatalf("aliyun: %d %s", status, text)
			}
		}
	}
	if status, text := d.hook(t, "aliyun/"+newReceiptToken, "["+strings.Repeat(" ", 255<<10)+"]", nil); status != 200 {
		t.Errorf("255 KiB: %d %s", status, text)
	}
	if status, text := d.hook(t, "aliyun/"+newReceiptToken, "["+strings.Repeat(" ", 256<<10)+"]", nil); status != 413 || !strings.Contains(text, "41300") {
		t.Errorf("more than 256 KiB: %d %s", status, text)
	}
	if status, text := d.hook(t, "aliyun/"+newReceiptToken, `{}`, nil); status != 400 || !strings.Contains(text, "40000") {
		t.Errorf("no list: %d %s", status, text)
	}
	const form = "ErrorCode=30003&MessageSid=SM1&MessageStatus=undelivered&To=%2B14155550123"
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	text := receiptURL
	for _, name := range []string{"ErrorCode", "MessageSid", "MessageStatus", "To"} {
		text += name + values.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(twilioToken))
	mac.Write([]byte(text))
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	if status, text := d.hook(t, "twilio/"+newReceiptToken, form, header); status != 200 || text != "<Response/>" {
		t.Errorf("twilio: %d %s", status, text)
	}
	header["X-Twilio-Signature"] = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
	if status, text := d.hook(t, "twilio/"+newReceiptToken, form, header); status != 401 || !strings.Contains(text, "40100") {
		t.Errorf("twilio, forged: %d %s", status, text)
	}
	for _, broken := range []string{"%", "a=%zz", "a=1;b=2"} {
		if status, text := d.hook(t, "twilio/"+newReceiptToken, broken, header); status != 400 || !strings.Contains(text, "40000") {
			t.Errorf("twilio, %s: %d %s", broken, status, text)
		}
	}
	for query, want := range map[string]string{"provider=aliyun": "delivered", "provider=twilio": "undelivered 30003"} {
		if items := d.traced(t, query); len(items) != 1 || strings.TrimSpace(items[0].State+" "+items[0].Reason) != want {
			t.Errorf("%s: %+v", query, items)
		}
	}
}

// testReceiptRefusals: routes without their token are none, and wrong ones are limited.
func testReceiptRefusals(t *testing.T, d *deployment) {
	const body = `{"id":"msg_unknown","state":"delivered"}`
	for name, tt := range map[string]struct {
		path, body string
		header     map[string]string
		status     int
		code       string
	}{
		"wrong token":      {"aliyun/" + strings.Repeat("x", 36), "[]", nil, 404, "40400"},
		"not configured":   {"tencent/" + newReceiptToken, "[]", nil, 404, "40400"},
		"no signature":     {"webhook", body, nil, 401, "40100"},
		"unsigned, large":  {"webhook", body + strings.Repeat(" ", 16<<10), nil, 413, "41300"},
		"too old":          {"webhook", body, signedReceipt(t, body, time.Now().Add(-301*time.Second)), 401, "40100"},
		"an unknown id":    {"webhook", body, signedReceipt(t, body, time.Now()), 200, `"code":0`},
		"an unknown state": {"webhook", `{"id":"a","state":"lost"}`, signedReceipt(t, `{"id":"a","state":"lost"}`, time.Now()), 400, "40000"},
	} {
		if status, text := d.hook(t, tt.path, tt.body, tt.header); status != tt.status || !strings.Contains(text, tt.code) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	limited := false
	for n := 0; n < 60 || !limited && n < 600; n++ {
		status, _ := d.hook(t, "aliyun/"+strings.Repeat("x", 36), "[]", nil)
		limited = limited || status == 429
	}
	if !limited {
		t.Error("wrong tokens are not limited")
	}
	if status, _ := d.hook(t, "aliyun/"+newReceiptToken, "[]", nil); status != 200 {
		t.Errorf("a good token is limited: %d", status)
	}
	for query, field := range map[string]string{"state=lost": "state unknown", "cursor=x": "cursor format", "cursor=999999999": "cursor unknown"} {
		d.callAdmin(t, call{path: "/admin/messages?" + query, code: 40000, fields: []string{field}})
	}
}
