// Package service holds the rules of menshen. It knows no HTTP, no SQL and no
// configuration: everything that the rules ask of outside is on this page.
//
// Every port may answer model.ErrUnavailable when the storage is away, besides
// the errors named here.
package service

import (
	"context"

	"menshen/model"
)

// Tx runs acts in transactions.
type Tx interface {
	// Within runs act in one transaction that the context carries; an error of
	// act undoes everything and comes back as it is. act may run several times.
	Within(ctx context.Context, act func(ctx context.Context) error) error
}

// CodeStore keeps the verification codes and their ledger.
type CodeStore interface {
	// Gate lets one transaction at a time past name, until it ends. Gates are
	// passed in the order budget, address, number.
	Gate(ctx context.Context, name []byte, now model.Time) error
	// Recent lists the number's codes of all companies and purposes whose end
	// is after since, newest first, at most so many. Of those that a provider
	// refused it lists the ones that somebody tried, and the newest of all.
	Recent(ctx context.Context, numberKey []byte, since model.Time, most int) ([]model.Code, error)
	// NthSent is when the n-th newest code after since was sent from ipKey, or
	// from anywhere when ipKey is empty; 0 when there were fewer. What a provider
	// refused is no message of the deployment, but is counted for the address.
	NthSent(ctx context.Context, ipKey string, since model.Time, n int) (model.Time, error)
	// CountSince counts what NthSent looks at, and what a provider refused too.
	CountSince(ctx context.Context, ipKey string, since model.Time) (int, error)
	// Insert adds a code; the caller has passed the number's gate.
	Insert(ctx context.Context, code model.Code) error
	// Settle notes how the sending ended and by whom; a refused code is dead.
	Settle(ctx context.Context, id int64, s model.Settlement) error
	// CountAttempt counts one attempt; for id 0 it writes nothing.
	CountAttempt(ctx context.Context, id int64) error
	// Use redeems the code: exactly one caller gets nil, others model.ErrCode.
	Use(ctx context.Context, id int64, now model.Time) error
}

// GuardStore tells what came of the codes that were sent, and keeps alarms.
// A code that a provider refused was never sent.
type GuardStore interface {
	// PrefixYield counts the codes of the span for numbers with the prefix.
	PrefixYield(ctx context.Context, prefixKey string, span model.YieldSpan) (model.Yield, error)
	// BlockYield is PrefixYield for the codes asked for from a block of addresses.
	BlockYield(ctx context.Context, blockKey string, span model.YieldSpan) (model.Yield, error)
	// CountSent counts the messages of the deployment after since.
	CountSent(ctx context.Context, since model.Time) (int, error)
	// Raised gives, of the named alarms, those raised after since with the time
	// of it.
	Raised(ctx context.Context, names []string, since model.Time) (map[string]model.Time, error)
	// Raise raises an alarm that was not raised after since, and reports whether
	// this call did: of concurrent ones one does. It belongs into a transaction.
	Raise(ctx context.Context, name string, since, now model.Time) (bool, error)
}

// UserStore keeps the accounts.
type UserStore interface {
	// Register returns the account of user's company and number, made from user
	// when there is none, locked until the transaction ends. Of concurrent calls
	// one creates. model.ErrNotFound: the id is taken, roll back and take another.
	Register(ctx context.Context, user model.User) (kept model.User, created bool, err error)
	// ByNumber finds an account; none is model.ErrNotFound.
	ByNumber(ctx context.Context, company int32, mobileKey []byte) (model.User, error)
	// ByID finds an account, deleted ones too; none is model.ErrNotFound.
	ByID(ctx context.Context, id int64) (model.User, error)
	// Lock is ByID that keeps other writers waiting until the transaction ends.
	Lock(ctx context.Context, id int64) (model.User, error)
	// Renumber gives an account another number; when that has an account in
	// the company already: model.ErrNumberTaken.
	Renumber(ctx context.Context, id int64, mobileKey, sealed []byte) error
	// Erase removes the personal data of an account; free lets its number go.
	Erase(ctx context.Context, id int64, free bool, now model.Time) error
	// Free lets the number of an erased account go.
	Free(ctx context.Context, id int64) error
	// SetBan writes the end of a ban, 0 for none, and its reason.
	SetBan(ctx context.Context, id int64, until model.Time, reason string) error
	// Describe writes nick name, real name and avatar.
	Describe(ctx context.Context, user model.User) error
}

// SessionStore keeps sessions and slots.
type SessionStore interface {
	// Advance notes a login in its slot, which stays locked until the
	// transaction ends: the epoch rises by one, LoginAt never falls.
	Advance(ctx context.Context, slot model.Slot) (model.Slot, error)
	// Slot reads a slot; none is model.ErrNotFound.
	Slot(ctx context.Context, userID int64, group string) (model.Slot, error)
	// LockSlot locks an existing slot until the transaction ends.
	LockSlot(ctx context.Context, userID int64, group string) error
	// Insert adds an active session; a second one in its place is an error.
	Insert(ctx context.Context, session model.Session) error
	// ByID reads a session, ended or not; none is model.ErrNotFound.
	ByID(ctx context.Context, id string) (model.Session, error)
	// Active lists the sessions that were not ended, lowest epoch first; an
	// empty group means all groups.
	Active(ctx context.Context, userID int64, group string) ([]model.Session, error)
	// DisplacedSince lists the sessions of a group that were displaced after since.
	DisplacedSince(ctx context.Context, userID int64, group string, since model.Time) ([]model.Session, error)
	// Ended lists the newest ended sessions.
	Ended(ctx context.Context, userID int64, limit int) ([]model.Session, error)
	// End ends a session and reports whether this call did; the first one wins.
	End(ctx context.Context, id string, reason model.Reason, by string, now model.Time) (bool, error)
	// EndSeen is End only while the row still has seen's generation and
	// confirmation.
	EndSeen(ctx context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error)
	// Rotate writes next's tokens over the row as seen was read; when the row
	// changed or ended since: model.ErrStalePair, and nothing changes.
	Rotate(ctx context.Context, seen, next model.Session) error
	// Renew is Rotate over a row that nobody has read, and reports whether it
	// could be: the session of next's id and user lives at next.MintedAt, ends no
	// sooner than next.CurExp, has next's refresh hash, and its generation is
	// next.PrevGen. If not, nothing changes; of several callers one succeeds.
	Renew(ctx context.Context, next model.Session) (bool, error)
	// Confirm notes the first use of the token of generation gen.
	Confirm(ctx context.Context, id string, gen int64, now model.Time) error
	// Anonymise removes what the user's sessions tell of a person.
	Anonymise(ctx context.Context, userID int64) error
	// Bind ties an active session to its first device number and reports
	// whether this call did.
	Bind(ctx context.Context, id, deviceNumber string) (bool, error)
}

// EventLog is the append-only log.
type EventLog interface {
	// Append adds lines in the transaction of the context.
	Append(ctx context.Context, events ...model.Event) error
}

// VaultStore keeps sealed values.
type VaultStore interface {
	// Keep stores value unless there is one, and returns the one that is there.
	Keep(ctx context.Context, name string, value []byte) ([]byte, error)
	// Value reads what is there; nothing is model.ErrNotFound.
	Value(ctx context.Context, name string) ([]byte, error)
	// Replace exchanges old for value; model.ErrNotFound when it changed since.
	Replace(ctx context.Context, name string, old, value []byte) error
}

// SealStore finds the numbers that are sealed under a secret, by the id with
// which they begin.
type SealStore interface {
	// SealedUnder lists up to limit accounts, only ids and sealed numbers, after
	// skipping so many.
	SealedUnder(ctx context.Context, secretID []byte, skip, limit int) ([]model.User, error)
	// CountSealed counts them; with an empty id, all accounts that have a number.
	CountSealed(ctx context.Context, secretID []byte) (int64, error)
	// Reseal exchanges a sealed number and reports whether this call did; one that
	// changed since old was read stays.
	Reseal(ctx context.Context, id int64, old, sealed []byte) (bool, error)
}

// EndLog is the log as the follower reads it.
type EndLog interface {
	// Ends lists the lines after since that tell of a session's end.
	Ends(ctx context.Context, since model.Time) ([]model.Event, error)
}

// FeedStore keeps the revocations in the order in which they are told.
type FeedStore interface {
	// Untold lists ended sessions after since that are not in the feed and whose
	// tokens are of interest at now, oldest first.
	Untold(ctx context.Context, since, now model.Time, limit int) ([]model.Session, error)
	// Newest is the newest revocation; none is model.ErrNotFound.
	Newest(ctx context.Context) (model.Revocation, error)
	// Tell adds revocations; the caller has passed the feed's gate.
	Tell(ctx context.Context, revocations []model.Revocation) error
	// After lists revocations beyond seq that are of interest at now.
	After(ctx context.Context, seq int64, now model.Time, limit int) ([]model.Revocation, error)
	// Purge removes up to limit revocations that are of no interest at now, but
	// never the newest, and returns their number.
	Purge(ctx context.Context, now model.Time, limit int) (int, error)
}

// Gates is the mutex of the database.
type Gates interface {
	// Gate lets one transaction at a time past name, until it ends.
	Gate(ctx context.Context, name []byte, now model.Time) error
}

// JanitorStore finds and removes what has outlived its use, in small batches.
type JanitorStore interface {
	// Overdue lists sessions of the next stretch of the table whose end has come,
	// and the id to go on from, "" at the end of the table.
	Overdue(ctx context.Context, after string, now model.Time, stretch int) (overdue []model.Session, next string, err error)
	// Codes removes up to limit codes sent before the time; the others likewise.
	Codes(ctx context.Context, before model.Time, limit int) (int, error)
	Sessions(ctx context.Context, before model.Time, limit int) (int, error)
	Events(ctx context.Context, before model.Time, limit int) (int, error)
	Gates(ctx context.Context, before model.Time, limit int) (int, error)
}

// AuditStore reads the log for people.
type AuditStore interface {
	// List lists the newest lines that pass the filter, newest first.
	List(ctx context.Context, filter model.EventFilter, limit int) ([]model.Event, error)
	// Count counts lines, and those of them about a session, by bucket
	// (milliseconds) and kind; logins and registrations by detail too.
	Count(ctx context.Context, from, to model.Time, bucket int64) ([]model.EventCount, error)
}

// ActiveCounter counts live sessions by product.
type ActiveCounter interface {
	CountActive(ctx context.Context, now model.Time) (map[int32]int64, error)
}

// Sender brings a code to a mobile number. An error that is
// model.ErrSendRefused is a definite no; any other leaves it open. A definite no
// because the provider's limit of messages is reached wraps the failure to
// answer with as well, such as model.ErrCooldown.
type Sender interface {
	Send(ctx context.Context, message model.Message) error
}

// Challenger verifies that a challenge, such as a CAPTCHA, was answered. An error
// that is model.ErrChallengeFailed is a definite no; any other leaves it open.
type Challenger interface {
	Verify(ctx context.Context, answer model.Secret, ip string) error
}

// Caller is what is known of whoever sends a request, for the log of events.
type Caller struct {
	IP        string
	Device    string // label, never a number
	RequestID string
}
