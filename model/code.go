package model

// Purpose is what a code may be redeemed for. It cannot be redeemed for another.
type Purpose string

// The purposes.
const (
	PurposeLogin  Purpose = "login"
	PurposeChange Purpose = "change"
	PurposeDelete Purpose = "delete"
)

// Delivery is the state of a code's message.
type Delivery int8

// The states of delivery.
const (
	DeliveryPending  Delivery = iota // the provider has not answered yet, or it took the message
	DeliveryAccepted                 // another provider took the message, or there is none to send
	DeliveryRefused                  // definitely not sent: nothing is charged to the number
	DeliveryUnknown                  // time-out: the message may arrive
)

// Code is a verification code that was sent. The limits of sending and of guessing
// are counted from the rows of codes.
type Code struct {
	ID          int64
	CompanyType int32
	Purpose     Purpose
	NumberKey   []byte // keyed hash of the number without its company
	Seq         int64  // order of the codes of one number, assigned under its gate
	CodeMAC     []byte
	SendPool    SendPool
	IPKey       string // address, IPv6 by /64; "": counted for no address
	PrefixKey   string // keyed hash of the number's prefix; "": pumping detection does not count this code
	BlockKey    string // address block, IPv4 by /24 and IPv6 by /48; "": as PrefixKey, and counted for no block
	SentAt      Time
	ExpiresAt   Time
	TicketHash  []byte // of the ticket that was given to the client; nil: none is good
	// TicketAttempts and Attempts count the comparisons with a good ticket and those
	// without one: the two pools of attempts.
	TicketAttempts int32
	Attempts       int32
	// Spared counts those of Attempts that are no failures: they were right, but refused
	// for another reason, or an operator has lifted the limits of the number since.
	Spared   int32
	Forgiven bool // an operator has lifted the limits of the number since
	UsedAt   Time // 0: not redeemed
	DeadAt   Time // 0: not invalidated by the provider's refusal
	Delivery Delivery
	Provider string // that is asked first, then see Settlement
}

// SendPool is one of the three counts of a number's messages. Each has limits of its own,
// so that strangers cannot use up those of a known device.
type SendPool int8

// The pools of sending. Requests of older programs count as open.
const (
	SendOpen       SendPool = iota // all other requests
	SendKnown                      // requests with a good device credential
	SendChallenged                 // requests that passed a challenge
)

// AttemptPool is one of the two counts of a code's attempts.
type AttemptPool int8

// The pools of attempts.
const (
	AttemptOpen   AttemptPool = iota // without a good ticket
	AttemptTicket                    // with the ticket of the code
)

// SendScope is what messages are counted for: the deployment (the zero value), an
// address, or a block of neighbouring addresses. Exactly one member is set, or none.
type SendScope struct{ IPKey, BlockKey string }

// SendSpan selects the codes of a scope that were sent after Since.
type SendSpan struct {
	Of    SendScope
	Since Time
}

// SendSurvey asks what decides about a requested code.
type SendSurvey struct {
	CompanyType int32
	MobileKey   []byte   // of the account; nil: not asked for
	Alarms      []string // names
	AlarmsSince Time     // they were raised after it
	Groups      []GroupSpan
	Spans       []SendSpan
}

// SendFindings answers a SendSurvey.
type SendFindings struct {
	AccountID int64  // 0: the number has no account
	Alarms    int    // how many are raised
	Groups    []bool // whether each group has as many expired codes as its Most, refused ones too
	Sent      map[SendSpan]int
}

// ProviderTest is the provider of test numbers, to which nothing is sent.
const ProviderTest = "test"

// Settlement is how the sending of a code ended.
type Settlement struct {
	Delivery Delivery
	Provider string // the provider that accepted the message, or the last one that was asked
	At       Time
}

// Grouping is what the codes of a group have in common.
type Grouping string

// The groupings.
const (
	GroupPrefix Grouping = "prefix" // the prefix of their numbers
	GroupBlock  Grouping = "block"  // the block of the addresses that requested them
)

// YieldSpan selects codes of a group: the newest Most of those that were sent after
// Since, not later than Until, and that have expired by Ended.
type YieldSpan struct {
	Since, Until Time
	Ended        Time
	Most         int // codes
}

// GroupSpan selects codes of one group.
type GroupSpan struct {
	By  Grouping
	Key string
	YieldSpan
}

// Yield counts codes of a group, and how many of them were redeemed.
type Yield struct {
	Sent     int
	Redeemed int
}
