package sms

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/config"
	"menshen/model"
)

// errNotReceipts means that a body is not what the vendor documents.
var errNotReceipts = errors.New("not receipts")

// beijing is the zone of the times of Chinese vendors.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// timeIn returns a vendor's time, 0 if it cannot be read.
func timeIn(text string) model.Time {
	at, err := time.ParseInLocation(time.DateTime, text, beijing)
	if err != nil {
		return 0
	}
	return model.TimeOf(at)
}

// stateOf is the state of a receipt, with the vendor's code if it was not delivered.
func stateOf(delivered bool, code string) (model.MessageState, string) {
	if delivered {
		return model.MessageDelivered, ""
	}
	return model.MessageUndelivered, code
}

// AliyunReceipts reads the receipts that Aliyun posts: SmsReport, "HTTP batch push".
func AliyunReceipts(body []byte) (receipts []model.Receipt, err error) {
	var reports []struct {
		Success    any    `json:"success"`
		Code       string `json:"err_code"`
		BizID      string `json:"biz_id"`
		ReportTime string `json:"report_time"`
	}
	if json.Unmarshal(body, &reports) != nil {
		return nil, errNotReceipts
	}
	for _, r := range reports {
		if r.Success == nil {
			continue // not a receipt
		}
		state, code := stateOf(r.Success == true || r.Success == "true", r.Code)
		receipts = append(receipts, model.Receipt{
			Provider: config.ProviderAliyun, MessageID: r.BizID, State: state, Reason: code, At: timeIn(r.ReportTime),
		})
	}
	return receipts, nil
}

// TencentReceipts reads the receipts that Tencent posts: "SMS Sending Status Notification".
func TencentReceipts(body []byte) (receipts []model.Receipt, err error) {
	var reports []struct {
		Status      string `json:"report_status"`
		Code        string `json:"errmsg"`
		SID         string `json:"sid"`
		ReceiveTime string `json:"user_receive_time"`
	}
	if json.Unmarshal(body, &reports) != nil {
		return nil, errNotReceipts
	}
	for _, r := range reports {
		if r.Status != "SUCCESS" && r.Status != "FAIL" {
			continue // not a receipt
		}
		state, code := stateOf(r.Status == "SUCCESS", r.Code)
		receipts = append(receipts, model.Receipt{
			Provider: config.ProviderTencent, MessageID: r.SID, State: state, Reason: code, At: timeIn(r.ReceiveTime),
		})
	}
	return receipts, nil
}

// TwilioReceipts reads the receipts that Twilio posts to the StatusCallback of a message.
type TwilioReceipts struct {
	AuthToken model.Secret
	URL       model.Secret   // that Twilio was given, with one of the tokens
	Tokens    []model.Secret // all that are good
}

// Read returns the receipt in a form that was posted to the route with the token, none while
// the message is under way. The error is model.ErrToken unless Twilio has signed the form.
func (t TwilioReceipts) Read(header http.Header, token string, body []byte) ([]model.Receipt, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, model.MalformedField("body", model.ReasonFormat).Wrap(errNotReceipts)
	}
	signature := []byte(header.Get("X-Twilio-Signature"))
	if !hmac.Equal(signature, []byte(twilioSignature(string(t.AuthToken), t.address(token), form))) {
		return nil, model.ErrToken
	}
	status := form.Get("MessageStatus")
	switch status {
	case "delivered", "read", "undelivered", "failed":
	default:
		return nil, nil // queued, sending, sent: no receipt yet
	}
	state, code := stateOf(status == "delivered" || status == "read", form.Get("ErrorCode"))
	return []model.Receipt{{Provider: config.ProviderTwilio, MessageID: form.Get("MessageSid"), State: state, Reason: code}}, nil
}

// address is the URL that Twilio was given for receipts when the token was in use.
func (t TwilioReceipts) address(token string) string {
	address := string(t.URL)
	for _, known := range t.Tokens {
		if at := strings.LastIndex(address, "/"+string(known)); at >= 0 {
			return address[:at+1] + token + address[at+1+len(known):]
		}
	}
	return address
}

// twilioSignature signs a form that is posted to an address ("Validating Signatures from
// Twilio"): the address, then each name and value in the order of the names, a value that is
// repeated once.
func twilioSignature(authToken, address string, form url.Values) string {
	text := address
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[name]))) {
			text += name + value
		}
	}
	mac := hmac.New(sha1.New, []byte(authToken))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// webhookTolerance is how far the time of a webhook's receipt may be off.
const webhookTolerance = 5 * time.Minute

// WebhookReceipts verifies the receipts of the webhook provider, which are signed as its
// messages are. Build it with NewWebhookReceipts.
type WebhookReceipts struct {
	signer *webhooks.Webhook
	now    func() time.Time
}

// NewWebhookReceipts returns a verifier for secret = whsec_<base64>. Its error does not show
// the secret.
func NewWebhookReceipts(secret model.Secret, now func() time.Time) (*WebhookReceipts, error) {
	signer, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	return &WebhookReceipts{signer: signer, now: now}, nil
}

// Verify returns model.ErrToken unless the body is signed and its time is now.
func (w *WebhookReceipts) Verify(header http.Header, body []byte) error {
	seconds, err := strconv.ParseInt(header.Get(webhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil {
		return model.ErrToken
	}
	if off := w.now().Sub(time.Unix(seconds, 0)).Abs(); off > webhookTolerance {
		return model.ErrToken.Wrap(fmt.Errorf("the receipt's time is off by %s", off.Truncate(time.Second)))
	}
	if w.signer.VerifyIgnoringTimestamp(body, header) != nil {
		return model.ErrToken
	}
	return nil
}
