package model

// Purpose is what a code may be redeemed for. A code serves its purpose alone.
type Purpose string

// The purposes.
const (
	PurposeLogin  Purpose = "login"
	PurposeChange Purpose = "change"
	PurposeDelete Purpose = "delete"
)

// Delivery is what is known of a code's message.
type Delivery int8

// The states of delivery.
const (
	DeliveryPending  Delivery = iota // the provider has not answered yet
	DeliveryAccepted                 // the provider took the message
	DeliveryRefused                  // a definite no: nothing was sent, nothing is charged to the number
	DeliveryUnknown                  // time-out: it may arrive
)

// Code is a verification code that was sent, and the ledger row from which the
// limits of sending and of guessing are counted.
type Code struct {
	ID          int64
	CompanyType int32
	Purpose     Purpose
	NumberKey   []byte // keyed hash of the number without its company
	Seq         int64  // order of the codes of one number, decided under its gate
	CodeMAC     []byte
	IPKey       string // address, IPv6 by /64
	PrefixKey   string // keyed hash of the number's prefix; "": the guard does not count this code
	BlockKey    string // address block, IPv4 by /24 and IPv6 by /48; "" likewise
	SentAt      Time
	ExpiresAt   Time
	Attempts    int32
	UsedAt      Time // 0: not redeemed
	DeadAt      Time // 0: not killed by the provider's refusal
	Delivery    Delivery
	Provider    string // who took the message, or was asked last; see Settlement
}

// ProviderTest stands for the provider of test numbers, to which nothing is sent.
const ProviderTest = "test"

// Settlement is how the sending of a code ended.
type Settlement struct {
	Delivery Delivery
	Provider string // the provider that took the message, or the last one asked
	At       Time
}

// YieldSpan is which codes of a group are looked at: the newest of those sent
// after Since, and no later than Until, whose end has come by Ended.
type YieldSpan struct {
	Since, Until Time
	Ended        Time
	Most         int // codes
}

// Yield is what came of the codes of a group whose time is over.
type Yield struct {
	Sent     int
	Redeemed int
}
