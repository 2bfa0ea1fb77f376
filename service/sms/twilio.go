package sms

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
)

// Twilio sends through Twilio's Messages resource (API 2010-04-01) with HTTP Basic.
// Build it with NewTwilio.
type Twilio struct{ vendorWire }

// NewTwilio returns a sender for a checked configuration.
func NewTwilio(c config.SMS) *Twilio {
	return &Twilio{newVendorWire(config.ProviderTwilio, c)}
}

// Send requests one message. A 2xx with the message's sid is success, unless its status
// is that of a message that has failed already. Every 4xx is a refusal. 429 and the
// limits among the vendor's codes wrap model.ErrCooldown, or ErrTooMany for the
// account's daily limit.
func (t *Twilio) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	answer, err := t.ask(ctx, m, t.request)
	if err != nil {
		return model.Sent{}, err
	}
	var said struct {
		SID       string          `json:"sid"`
		Segments  json.RawMessage `json:"num_segments"`
		Status    string          `json:"status"`
		ErrorCode int             `json:"error_code"`
	}
	if answer.status >= 400 {
		return model.Sent{}, t.judge(answer)
	}
	malformed := json.Unmarshal(answer.body, &said) != nil
	switch {
	case malformed || said.SID == "":
		return model.Sent{}, t.open("the answer is not understood")
	case said.Status == "failed" || said.Status == "undelivered" || said.Status == "canceled":
		return model.Sent{MessageID: said.SID}, t.refused(cmp.Or(twilioCode(said.ErrorCode), said.Status))
	}
	return model.Sent{MessageID: said.SID, Segments: count(said.Segments)}, nil
}

// judge implements the vendor's table of codes as far as it matters here.
func (t *Twilio) judge(a answer) error {
	var said struct {
		Code int `json:"code"`
	}
	_ = json.Unmarshal(a.body, &said) // without a code the status decides
	reason := cmp.Or(twilioCode(said.Code), "status "+strconv.Itoa(a.status))
	switch said.Code {
	case 63038: // the account's limit of messages in a day
		return t.throttled(model.ErrTooMany.After(day), reason)
	case 20429, 14107, 21611, 30022: // too many at once: requests, messages, the sender's queue
		return t.throttled(model.ErrCooldown.After(retryAfter(a.header)), reason)
	}
	if a.status == http.StatusTooManyRequests {
		return t.throttled(model.ErrCooldown.After(retryAfter(a.header)), reason)
	}
	return t.refused(reason)
}

// twilioCode returns one of the vendor's error codes: five digits. Longer numbers might
// be an echo of our request: "".
func twilioCode(code int) string {
	if 0 < code && code <= 99999 {
		return strconv.Itoa(code)
	}
	return ""
}

// retryAfter returns the vendor's Retry-After if it is plausible, otherwise a minute.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > int(day/time.Second) {
		return minute
	}
	return time.Duration(seconds) * time.Second
}

func (t *Twilio) request(ctx context.Context, m model.Message, template config.Template) (*http.Request, error) {
	c := t.config.Twilio
	form := url.Values{
		"To": {m.Mobile.E164()}, "Body": {values(m).Fill(template.Text)},
	}
	if strings.HasPrefix(c.From, "MG") && len(c.From) == len("MG")+32 {
		form.Set("MessagingServiceSid", c.From)
	} else {
		form.Set("From", c.From)
	}
	if c.ReceiptURL != "" {
		form.Set("StatusCallback", string(c.ReceiptURL))
	}
	target := c.Endpoint + "/2010-04-01/Accounts/" + url.PathEscape(c.AccountSID) + "/Messages.json"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.AccountSID, string(c.AuthToken))
	return request, nil
}
