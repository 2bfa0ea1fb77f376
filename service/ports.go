// Package service holds the rules of menshen. It knows no HTTP, no SQL and no
// configuration. What the rules need from outside are the ports: interfaces in the file
// ports.go.
//
// Every method of a port may return model.ErrUnavailable when the storage cannot be
// reached, besides the errors named at the method.
package service

import (
	"context"

	"menshen/model"
	"menshen/service/code"
)

// Tx runs transactions.
type Tx = code.Tx

// EventLog is the append-only log of events.
type EventLog = code.EventLog

// Gates are mutexes of the database.
type Gates interface {
	// Gate locks the gate until the transaction ends. Of concurrent transactions one
	// goes on and the others wait.
	Gate(ctx context.Context, name []byte, now model.Time) error
}

// Marks are times in the database, by name.
type Marks interface {
	// Raised returns those of the names that were raised after since, with their times.
	Raised(ctx context.Context, names []string, since model.Time) (map[string]model.Time, error)
	// Raise raises a name unless it was raised after since, and reports whether this call
	// did. Of concurrent calls exactly one does. It must run in a transaction.
	Raise(ctx context.Context, name string, since, now model.Time) (bool, error)
}

// UserStore stores the accounts.
type UserStore interface {
	// Register returns the account of user's company and number, and locks it until
	// the transaction ends. It inserts user if there is none; of concurrent calls one
	// inserts. It returns model.ErrIDTaken if another account has user's id: the caller
	// must roll back and call again with another id.
	Register(ctx context.Context, user model.User) (kept model.User, created bool, err error)
	// Insert adds accounts. It returns model.ErrNumberTaken, ErrExternalIDTaken or
	// ErrIDTaken if another account has the number, the external id or the id; the
	// caller must roll back. Of concurrent calls one succeeds.
	Insert(ctx context.Context, users ...model.User) error
	// ByNumber returns an account, model.ErrNotFound if there is none.
	ByNumber(ctx context.Context, company int32, mobileKey []byte) (model.User, error)
	// ByExternalID is ByNumber for the id in the company's own system.
	ByExternalID(ctx context.Context, company int32, externalID string) (model.User, error)
	// List lists the accounts that filter selects and that are not deleted, newest first,
	// at most limit.
	List(ctx context.Context, filter model.UserFilter, limit int) ([]model.User, error)
	// LockNumbers returns the accounts of a company that have one of the keys, and makes
	// other writers of them wait until the transaction ends, if there is one.
	LockNumbers(ctx context.Context, company int32, keys [][]byte) ([]model.User, error)
	// ByExternalIDs returns the accounts of a company that have one of the external ids.
	ByExternalIDs(ctx context.Context, company int32, ids ...string) ([]model.User, error)
	// After lists accounts that are not deleted in the order of their ids, from the one
	// after the given id on, at most limit.
	After(ctx context.Context, id int64, limit int) ([]model.User, error)
	// ByID returns an account, also a deleted one; model.ErrNotFound if there is none.
	ByID(ctx context.Context, id int64) (model.User, error)
	// Lock is ByID that makes other writers wait until the transaction ends.
	Lock(ctx context.Context, id int64) (model.User, error)
	// Renumber changes the number of an account. It returns model.ErrNumberTaken if the
	// number has an account in the company already; of concurrent calls for one number
	// one succeeds.
	Renumber(ctx context.Context, id int64, mobileKey, sealed []byte) error
	// Erase removes the personal data of an account and, if free is set, its number.
	Erase(ctx context.Context, id int64, free bool, now model.Time) error
	// Free removes the number of an erased account, so that it can be registered again.
	Free(ctx context.Context, id int64) error
	// EndCredentials ends the device credentials of an account.
	EndCredentials(ctx context.Context, id int64) error
	// SetBan sets the end of a ban, 0 for no ban, and its reason.
	SetBan(ctx context.Context, id int64, until model.Time, reason string) error
	// Describe writes nick name, real name, avatar, external id and metadata. It returns
	// model.ErrExternalIDTaken if another account of the company has the external id.
	Describe(ctx context.Context, user model.User) error
}

// SessionStore stores sessions and login sequences.
type SessionStore interface {
	// Advance records a login in its sequence, which stays locked until the
	// transaction ends: the epoch rises by one, LoginAt never falls. It returns the sequence
	// and the sessions of the user and group that were not ended, lowest epoch first.
	Advance(ctx context.Context, login model.LoginSequence) (model.LoginSequence, []model.Session, error)
	// LoginSequence returns a sequence, model.ErrNotFound if there is none.
	LoginSequence(ctx context.Context, userID int64, group string) (model.LoginSequence, error)
	// LockLoginSequence locks an existing sequence until the transaction ends.
	LockLoginSequence(ctx context.Context, userID int64, group string) error
	// Insert adds an active session. It returns an error if another active session
	// has the same seat.
	Insert(ctx context.Context, session model.Session) error
	// ByID returns a session, also an ended one; model.ErrNotFound if there is none.
	ByID(ctx context.Context, id string) (model.Session, error)
	// Active lists the sessions that have not been ended, lowest epoch first. An empty
	// group means all groups.
	Active(ctx context.Context, userID int64, group string) ([]model.Session, error)
	// DisplacedSince lists the sessions of a group that were displaced after since.
	DisplacedSince(ctx context.Context, userID int64, group string, since model.Time) ([]model.Session, error)
	// Ended lists the newest ended sessions, at most limit.
	Ended(ctx context.Context, userID int64, limit int) ([]model.Session, error)
	// All lists the user's sessions, ended ones too, newest first.
	All(ctx context.Context, userID int64) ([]model.Session, error)
	// LastLogin returns the time of the user's newest login, 0 if none is known.
	LastLogin(ctx context.Context, userID int64) (model.Time, error)
	// End ends a session and reports whether this call did. The first call wins.
	End(ctx context.Context, id string, reason model.Reason, by string, now model.Time) (bool, error)
	// EndSeen is End under the condition that the row still has the generation and the
	// confirmation of seen.
	EndSeen(ctx context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error)
	// Rotate writes the tokens of next over the row that was read as seen. It returns
	// model.ErrStalePair, and changes nothing, if the row has changed or ended since.
	Rotate(ctx context.Context, seen, next model.Session) error
	// FastRotate is Rotate over a row that was not read. It reports whether all of this
	// holds: the session of next's id and user is alive at next.MintedAt, ends no sooner
	// than next.CurExp, has next's refresh hash, and its generation is next.PrevGen.
	// Otherwise nothing changes. Of concurrent callers one succeeds.
	FastRotate(ctx context.Context, next model.Session) (bool, error)
	// Confirm records the first use of the token of generation gen.
	Confirm(ctx context.Context, id string, gen int64, now model.Time) error
	// Anonymise removes the personal data from the user's sessions.
	Anonymise(ctx context.Context, userID int64) error
	// Bind binds an active session that has no device number to deviceNumber, and
	// reports whether this call did. The first call wins.
	Bind(ctx context.Context, id, deviceNumber string) (bool, error)
}

// ActiveStore counts the sessions that are alive.
type ActiveStore interface {
	// CountActive counts the sessions of the companies that are alive at now, by product
	// type.
	CountActive(ctx context.Context, of model.Companies, now model.Time) (map[int32]int64, error)
}

// EndLog is the log of events as the follower reads it.
type EndLog interface {
	// Ends lists the events after since that record the end of a session.
	Ends(ctx context.Context, since model.Time) ([]model.Event, error)
}

// FeedStore stores the revocations in the order of their publication.
type FeedStore interface {
	// Unpublished lists the sessions that ended after since, are not in the feed and
	// have tokens that are valid at now; oldest first, at most limit.
	Unpublished(ctx context.Context, since, now model.Time, limit int) ([]model.Session, error)
	// Newest returns the newest revocation, model.ErrNotFound if there is none.
	Newest(ctx context.Context) (model.Revocation, error)
	// Publish adds revocations. The caller must hold the feed's gate.
	Publish(ctx context.Context, revocations []model.Revocation) error
	// After lists the revocations beyond seq that have not expired at now, at most limit.
	After(ctx context.Context, seq int64, now model.Time, limit int) ([]model.Revocation, error)
	// Purge removes up to limit revocations that have expired at now, but never the
	// newest, and returns their number.
	Purge(ctx context.Context, now model.Time, limit int) (int, error)
}

// JanitorStore finds and removes rows that are past their retention, in small batches.
// Concurrent calls do no harm: each row is removed once.
type JanitorStore interface {
	// Overdue reads the next stretch sessions of the table, after the id after. It returns
	// those whose end has come at now, at most limit, and the id to go on from, "" at the
	// end of the table.
	Overdue(ctx context.Context, after string, now model.Time, stretch, limit int) (overdue []model.Session, next string, err error)
	// Codes removes up to limit codes that were sent before the time before, and
	// returns their number. Their messages keep when they were redeemed.
	Codes(ctx context.Context, before model.Time, limit int) (int, error)
	// Sessions is Codes for sessions that ended before.
	Sessions(ctx context.Context, before model.Time, limit int) (int, error)
	// Events is Codes for events.
	Events(ctx context.Context, before model.Time, limit int) (int, error)
	// Gates is Codes for gates that were used last before.
	Gates(ctx context.Context, before model.Time, limit int) (int, error)
	// Messages is Codes for messages.
	Messages(ctx context.Context, before model.Time, limit int) (int, error)
	// Receipts is Codes for receipts that have found no message.
	Receipts(ctx context.Context, before model.Time, limit int) (int, error)
	// Puzzles is Codes for puzzles that expired before.
	Puzzles(ctx context.Context, before model.Time, limit int) (int, error)
}

// MessageLog is what was sent, as operators read it.
type MessageLog interface {
	// List lists the messages that filter selects, newest first, at most limit.
	List(ctx context.Context, filter model.MessageFilter, limit int) ([]model.TracedMessage, error)
	// OfCodes returns the last attempt to send each of the codes, by code.
	OfCodes(ctx context.Context, codes ...int64) (map[int64]model.TracedMessage, error)
	// Vendors counts messages by bucket, vendor and region, in the order of the buckets.
	Vendors(ctx context.Context, span model.EventSpan) ([]model.VendorCount, error)
	// Erase takes number and user out of the messages of an account, and the masked number
	// out of its events and those of its first codes.
	Erase(ctx context.Context, user model.User, mask string) error
	// EraseNumber does so with the messages to a number that have no account.
	EraseNumber(ctx context.Context, company int32, numberKey []byte) error
}

// AuditStore is the log of events as operators read it.
type AuditStore interface {
	// List lists the events that filter selects, newest first, at most limit.
	List(ctx context.Context, filter model.EventFilter, limit int) ([]model.Event, error)
	// Count counts events, and those of them that belong to a session, by bucket and kind;
	// logins and registrations by detail too.
	Count(ctx context.Context, span model.EventSpan) ([]model.EventCount, error)
	// Returned counts the registrations whose account was used a day later or after that, by
	// bucket and detail.
	Returned(ctx context.Context, span model.EventSpan) ([]model.EventCount, error)
}
