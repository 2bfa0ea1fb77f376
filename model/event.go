package model

// Kind names what happened. Its words are part of the contract.
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
)

// Kinds lists all kinds of events.
func Kinds() []Kind {
	return []Kind{
		EventRegister, EventCodeSent, EventCodeFailed, EventLogin, EventDisplaced, EventRelogin, EventLogout, EventKick,
		EventBan, EventUnban, EventReuse, EventExpired, EventRecover, EventAdopt, EventDeviceBound, EventDeviceMismatch,
		EventUserChanged, EventNumberChanged, EventUserDeleted, EventKickWar, EventPumping, EventConfigChanged,
	}
}

// EventFilter narrows a look at the log; zero members do not.
type EventFilter struct {
	UserID int64
	Kind   Kind
	Actor  string
	From   Time  // inclusive
	To     Time  // exclusive
	Before int64 // lines with a lower id alone: the cursor
}

// EventCount is how many lines of a kind, and of a detail where it tells more,
// fall into one stretch of time.
type EventCount struct {
	Bucket   Time
	Kind     Kind
	Detail   string
	Count    int64
	Sessions int64 // of them, those about a session
}

// Event is one line of the append-only log: audit trail, outbox and change feed in one.
type Event struct {
	ID        int64
	At        Time
	Kind      Kind
	UserID    int64  // 0: none known
	SessionID string // "": none
	Actor     string // who did it: "user", "system" or an operator's key name
	IP        string
	Device    string // label of the device, never its number
	RequestID string
	Detail    string // JSON object or ""
}
