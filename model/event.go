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
