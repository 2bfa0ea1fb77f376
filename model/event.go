package model

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Kind is the kind of an event. Its values are part of the contract.
type Kind string

// The kinds of events.
const (
	EventRegister       Kind = "register"
	EventCodeSent       Kind = "code_sent"
	EventCodeFailed     Kind = "code_failed"
	EventLogin          Kind = "login"
	EventDisplaced      Kind = "displaced"
	EventRelogin        Kind = "relogin"
	EventLogout         Kind = "logout"
	EventKick           Kind = "kick"
	EventBan            Kind = "ban"
	EventUnban          Kind = "unban"
	EventReuse          Kind = "reuse"
	EventExpired        Kind = "expired"
	EventRecover        Kind = "recover"
	EventAdopt          Kind = "adopt"
	EventDeviceBound    Kind = "device_bound"
	EventDeviceMismatch Kind = "device_mismatch"
	EventUserChanged    Kind = "user_changed"
	EventNumberChanged  Kind = "number_changed"
	EventUserDeleted    Kind = "user_deleted"
	EventKickWar        Kind = "kick_war"
	EventPumping        Kind = "pumping"
	EventConfigChanged  Kind = "config_changed"
	EventUnlocked       Kind = "unlocked"
	EventViewed         Kind = "viewed"
	EventReceipt        Kind = "receipt"
	EventConversionLow  Kind = "conversion_low"
	EventUserCreated    Kind = "user_created"
	EventDenied         Kind = "denied"
	EventExported       Kind = "exported"
)

// Kinds lists all kinds of events.
func Kinds() []Kind { return slices.Sorted(maps.Keys(sentences)) }

// EventFilter selects events. A field that is zero selects all.
type EventFilter struct {
	UserID    int64
	Companies Companies // events of no company are of none of them
	Kind      Kind
	Actor     string
	From      Time  // inclusive
	To        Time  // exclusive
	Before    int64 // the cursor: events with a lower id
	Follow    bool  // oldest first: events with a higher id than After
	After     int64
}

// EventSpan selects the events to count.
type EventSpan struct {
	From, To  Time // inclusive, exclusive
	Bucket    time.Duration
	Companies Companies // as in EventFilter
}

// EventCount counts the events of a kind in one period, apart by detail for kinds
// whose statistics need it.
type EventCount struct {
	Bucket   Time
	Kind     Kind
	Detail   string
	Count    int64
	Sessions int64 // events among Count that belong to a session
}

// Event is one row of the append-only event log, which serves as audit trail, outbox
// and change feed. The deletion of an account takes the masked number out of its rows.
type Event struct {
	ID     int64
	At     Time
	Kind   Kind
	UserID int64 // 0: no known user
	// CompanyType is the company that the event is of; nil: none, or the row is of a program
	// that did not write it.
	CompanyType *int32
	SessionID   string // "": none
	Actor       string // "user", "system" or the name of an operator's key
	IP          string
	Device      string // label of the device, never its number
	RequestID   string
	Detail      string // JSON object or ""
	Fold        []byte // nil, or the key of Folded
}

// Folded returns the event so that its repeats are kept as one row: the first event
// of a kind and a period (UTC) with the same values of by. A row that is read has the
// number of its repeats, itself included, in the member count of its detail. No value
// of by may be a whole number of a user: the key that is stored has no secret.
func (e Event) Folded(period time.Duration, by ...string) Event {
	key := []byte(e.Kind)
	for _, part := range append([]string{strconv.FormatInt(int64(e.At)/period.Milliseconds(), 10)}, by...) {
		key = strconv.AppendQuote(key, part)
	}
	sum := sha256.Sum256(key)
	e.Fold = sum[:]
	return e
}

// Counted returns the event with the number of its repeats in its detail.
func (e Event) Counted(count int64) Event {
	object := map[string]any{}
	if e.Detail != "" && json.Unmarshal([]byte(e.Detail), &object) != nil {
		return e // of another form
	}
	object["count"] = count
	text, _ := json.Marshal(object) // what was unmarshalled always marshals
	e.Detail = string(text)
	return e
}

// The actors of events that no operator caused.
const (
	ActorUser   = "user"
	ActorSystem = "system"
)

// DetailCode is the member of a code_sent event's detail that names its code. Operators see
// what became of the message in its place.
const DetailCode = "code"

// Explained returns a code_sent event whose detail says, in place of its code, what became of
// the message. sent is the last attempt to have it sent, zero if there is none. What receipts
// said later has events of its own.
func (e Event) Explained(sent TracedMessage) Event {
	var detail map[string]string
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return e // of another form
	}
	delete(detail, DetailCode)
	if sent.Provider != "" {
		detail["provider"], detail["messageId"], detail["state"], detail["reason"] = sent.Provider, sent.MessageID, string(sent.State), sent.Reason
		if sent.ReportedAt != 0 {
			detail["state"], detail["reason"] = string(MessageAccepted), ""
		}
	}
	text, _ := json.Marshal(detail) // strings always marshal
	e.Detail = string(text)
	return e
}

// SentCode returns the code of a code_sent event, 0 if it names none.
func (e Event) SentCode() int64 {
	var detail map[string]string
	if e.Kind != EventCodeSent || json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return 0
	}
	id, _ := strconv.ParseInt(detail[DetailCode], 10, 64)
	return id
}

// EventDetail is the detail of an event: a JSON object of pairs of name and value.
func EventDetail(pairs ...string) string {
	object := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		object[pairs[i]] = pairs[i+1]
	}
	text, _ := json.Marshal(object) // strings always marshal
	return string(text)
}
