package model

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// MessageState is what is known of a message. Its values are part of the contract.
type MessageState string

// The states of messages.
const (
	MessageAccepted    MessageState = "accepted"    // the vendor took it
	MessageDelivered   MessageState = "delivered"   // a receipt says so; no later one changes it
	MessageUndelivered MessageState = "undelivered" // a receipt says so
	MessageRefused     MessageState = "refused"     // definitely not sent
	MessageThrottled   MessageState = "throttled"   // refused because of a limit of the vendor
	MessageUnknown     MessageState = "unknown"     // the vendor gave no clear answer: it may arrive
	MessageTest        MessageState = "test"        // of a test number, or of an operator's test
)

// Known reports whether s is a state.
func (s MessageState) Known() bool { return messageStates[s].en != "" }

// TracedMessage is one attempt to have a message sent by a vendor.
type TracedMessage struct {
	ID          int64
	At          Time
	CodeID      int64  // 0: the message of a test without a code
	NumberKey   []byte // as Code.NumberKey; nil once the account is deleted
	MobileKey   []byte // as User.MobileKey; nil once the account is deleted
	Mobile      string // masked; "" once the account is deleted
	UserID      int64  // of the account at the time or registered by the code; 0: none, or it is deleted
	CompanyType int32
	ProductType int32
	Purpose     Purpose
	Region      string // of the number, ISO 3166
	Provider    string
	MessageID   string // the vendor's own; "" if it gave none
	State       MessageState
	Reason      string // the vendor's code; "" if it gave none
	ReportedAt  Time   // 0: no receipt
	RedeemedAt  Time   // of its code; 0: not redeemed
	Cost        int64  // in millionths of the unit of sms.prices
}

// MaxMessageID bounds a vendor's id of a message, in bytes. A longer one is not kept.
const MaxMessageID = 64

// MessageFilter selects messages. A field that is zero selects all.
type MessageFilter struct {
	NumberKey []byte
	UserID    int64
	Ownerless Time // not 0: only those from then on that were sent to no account
	Companies Companies
	Provider  string
	State     MessageState
	Before    int64 // the cursor: messages with a lower id
}

// Sent is a vendor's answer to a message that it took. Of a message that it did not take,
// the id alone may be known.
type Sent struct {
	MessageID string // the vendor's own
	Segments  int    // that the vendor bills; 0: it did not say
}

// Receipt is a vendor's later report on a message.
type Receipt struct {
	Provider  string
	MessageID string       // the vendor's own
	State     MessageState // MessageDelivered or MessageUndelivered
	Reason    string
	At        Time // 0: the vendor did not say
}

// VendorCode is a vendor's code for a fault, within the error of a sender.
type VendorCode string

// Error is the code.
func (c VendorCode) Error() string { return string(c) }

// VendorCodeOf returns the code of a sender's error, "" if it has none.
func VendorCodeOf(err error) string {
	code, _ := errors.AsType[VendorCode](err)
	return string(code)
}

// maxVendorText bounds a vendor's code or words in a row, in characters.
const maxVendorText = 64

// longDigits may be a number, or a code.
var longDigits = regexp.MustCompile(`[0-9]{6,}`)

// VendorText returns what a vendor says as a row may keep it: one short line, without
// anything that may be a number or a code.
func VendorText(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, text)
	text = longDigits.ReplaceAllString(text, masked)
	if runes := []rune(text); len(runes) > maxVendorText {
		text = string(runes[:maxVendorText])
	}
	return text
}

// VendorMessageID returns a vendor's id of a message to the number as a row may keep it: ""
// if it is too long, not printable ASCII, or repeats the number.
func VendorMessageID(id string, number Mobile) string {
	digits := strings.TrimPrefix(strings.TrimPrefix(number.E164(), "+86"), "+")
	foreign := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(id) > MaxMessageID || strings.ContainsFunc(id, foreign) || digits != "" && strings.Contains(id, digits) {
		return ""
	}
	return id
}

// Conversion counts accepted messages, and how many of their codes were redeemed.
type Conversion struct {
	Provider string
	Region   string
	Counted  int
	Redeemed int
}

// VendorCount counts the messages of one vendor to one region in one period.
type VendorCount struct {
	Bucket    Time
	Provider  string
	Region    string
	Sent      int64 // not those that the vendor refused, and none of a test
	Delivered int64
	Failed    int64 // undelivered, refused or throttled
	Redeemed  int64 // of those sent
	Cost      int64 // of all of them, in millionths of the unit of sms.prices
}

// Ratio is the share of redeemed messages, 0 to 1.
func (c Conversion) Ratio() float64 { return float64(c.Redeemed) / float64(max(1, c.Counted)) }

// FollowUp is how far a task at a vendor about messages that were sent has come.
type FollowUp struct {
	Name      string
	At        Time  // of the last message that was handled
	MessageID int64 // its id
	DueAt     Time  // when the next turn may begin; of a turn that was claimed, when another may take its place
	Failures  int   // turns in a row that failed
}
