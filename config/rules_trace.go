package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

const (
	receiptTokens   = 2       // at most, while one is changed
	receiptTokenMax = 256     // characters
	mostPerSegment  = 1000000 // of any currency
)

// trace checks what is needed to learn what became of messages.
func (r *rules) trace() {
	c := r.SMS.Conversion
	within(r, "sms.conversion.window", c.Window, span[time.Duration]{time.Second, time.Minute, time.Hour})
	within(r, "sms.conversion.margin", c.Margin, span[int]{1, 1, 100})
	within(r, "sms.conversion.least", c.Least, span[int]{1, 10, 1_000_000})
	known := phonenumbers.GetSupportedRegions()
	for i, price := range r.SMS.Prices {
		key := item("sms.prices", i)
		r.oneOf(key+".provider", price.Provider, providers...)
		if !known[price.Region] {
			r.breaks(key+".region", "must be the two capital letters of a region, such as CN")
		}
		if price.Segment < 0 || price.Segment > mostPerSegment {
			r.breaks(key+".segment", "must be from 0 to %d", mostPerSegment)
		}
	}
	r.oneOf("sms.aliyun.receipts", r.SMS.Aliyun.Receipts, ReceiptsPush, ReceiptsPull)
	r.oneOf("sms.tencent.receipts", r.SMS.Tencent.Receipts, ReceiptsPush, ReceiptsPull)
	r.receiptTokens("sms.aliyun.receipt_token", r.SMS.Aliyun.ReceiptTokens)
	r.receiptTokens("sms.tencent.receipt_token", r.SMS.Tencent.ReceiptTokens)
	r.receiptTokens("sms.twilio.receipt_token", r.SMS.Twilio.ReceiptTokens)
	r.receiptURL()
}

// receiptTokens checks tokens that are a part of a path.
func (r *rules) receiptTokens(key string, tokens []Secret) {
	if len(tokens) > receiptTokens {
		r.breaks(key, "may hold %d tokens, while one is changed", receiptTokens)
	}
	for i, token := range tokens {
		r.longSecret(item(key, i), token)
		if len(token) > receiptTokenMax || strings.Trim(string(token), tokenCharacters) != "" {
			r.breaks(item(key, i), "must be at most %d letters, digits and -._~, since it is a part of a path", receiptTokenMax)
		}
	}
}

const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// receiptURL checks the address of Twilio's receipts, over which they are signed.
func (r *rules) receiptURL() {
	const key = "sms.twilio.receipt_url"
	t := r.SMS.Twilio
	if t.ReceiptURL == "" {
		if len(t.ReceiptTokens) > 0 {
			r.breaks(key, "must be given with sms.twilio.receipt_token: receipts are signed over it")
		}
		return
	}
	u, err := url.Parse(string(t.ReceiptURL))
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		r.breaks(key, "must be an https address without user, password and fragment")
	case !slices.ContainsFunc(t.ReceiptTokens, func(token Secret) bool { return strings.HasSuffix(u.Path, "/"+string(token)) }):
		r.breaks(key, "must end in /hooks/sms/twilio/ and one of sms.twilio.receipt_token")
	}
}
