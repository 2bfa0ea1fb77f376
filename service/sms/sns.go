package sms

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
	"menshen/service/sign"
)

// SNS sends through Amazon's Simple Notification Service: Publish of API 2010-03-31, signed
// by Signature Version 4. Build it with NewSNS.
type SNS struct {
	vendorWire
	now func() time.Time
}

// NewSNS returns a sender for a checked configuration.
func NewSNS(c config.SMS, now func() time.Time) *SNS {
	return &SNS{newVendorWire(config.ProviderSNS, c), now}
}

// snsAnswer is the vendor's response: the id of a message, or an error.
type snsAnswer struct {
	MessageID string `xml:"PublishResult>MessageId"`
	Code      string `xml:"Error>Code"`
}

// Send requests one message. A 2xx with the message's id is success. Every 4xx is a
// refusal. The limits of requests wrap model.ErrCooldown.
func (s *SNS) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	answer, err := s.ask(ctx, m, s.request)
	if err != nil {
		return model.Sent{}, err
	}
	var said snsAnswer
	malformed := xml.Unmarshal(answer.body, &said) != nil
	switch {
	case answer.status >= 400:
		return model.Sent{}, s.judge(answer.status, said.Code)
	case malformed || said.MessageID == "":
		return model.Sent{}, s.open("the answer is not understood")
	}
	return model.Sent{MessageID: model.VendorMessageID(said.MessageID, m.Mobile)}, nil
}

// judge implements the errors of Publish and those common to all actions as far as they
// matter here.
func (s *SNS) judge(status int, code string) error {
	reason := "status " + strconv.Itoa(status) + ", code " + outbound.Quotable(code, codeForm)
	switch code {
	case "Throttled", "Throttling", "ThrottlingException", "RequestThrottled":
		return s.throttled(model.ErrCooldown.After(minute), reason)
	}
	if status == http.StatusTooManyRequests {
		return s.throttled(model.ErrCooldown.After(minute), reason)
	}
	return s.refused(reason)
}

func (s *SNS) request(ctx context.Context, m model.Message, template config.Template) (*http.Request, error) {
	c := s.config.SNS
	form := url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "PhoneNumber": {m.Mobile.E164()}, "Message": {values(m).Fill(template.Text)},
	}
	attributes := [][2]string{{"AWS.SNS.SMS.SMSType", "Transactional"}}
	if c.SenderID != "" {
		attributes = append(attributes, [2]string{"AWS.SNS.SMS.SenderID", c.SenderID})
	}
	for i, attribute := range attributes {
		entry := "MessageAttributes.entry." + strconv.Itoa(i+1)
		form.Set(entry+".Name", attribute[0])
		form.Set(entry+".Value.DataType", "String")
		form.Set(entry+".Value.StringValue", attribute[1])
	}
	body := sign.Query(form)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Address()+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sign.SigV4{ID: c.AccessKeyID, Secret: string(c.SecretAccessKey), Region: c.Region, Service: "sns", At: s.now()}.Sign(request, body)
	return request, nil
}
