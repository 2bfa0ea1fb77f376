package code

import (
	"context"

	"menshen/model"
	"menshen/service/vault"
)

// Tx runs acts in transactions.
type Tx = vault.Tx

// EventLog is the append-only log.
type EventLog interface {
	// Append adds events in the transaction of the context.
	Append(ctx context.Context, events ...model.Event) error
}

// Store keeps the verification codes and their attempts and outcomes.
type Store interface {
	// Gate locks name until the transaction ends. Gates must be passed in the order
	// budget, block, address, number.
	Gate(ctx context.Context, name []byte, now model.Time) error
	// Recent lists the number's codes of all companies and purposes that expire after
	// since, newest first, at most limit. It leaves out a code that a provider refused,
	// unless it has attempts or is the number's newest code.
	Recent(ctx context.Context, numberKey []byte, since model.Time, limit int) ([]model.Code, error)
	// NthSent returns when the code was sent with which the scope's count of the codes
	// after since, from the newest on, reaches n. It returns 0 if there were fewer. For an
	// address or a block ten redeemed codes count as one, and a code that a provider
	// refused counts. For the deployment each code counts, but none that was refused.
	NthSent(ctx context.Context, scope model.SendScope, since model.Time, n int) (model.Time, error)
	// NthRefused returns when the nth newest code of the number and pool of code was sent that
	// a provider refused, no operator has forgiven and that was sent after since. It returns 0
	// if there were fewer.
	NthRefused(ctx context.Context, code model.Code, since model.Time, n int) (model.Time, error)
	// CountSince counts the scope's codes after since, each as one, refused ones too.
	CountSince(ctx context.Context, scope model.SendScope, since model.Time) (int, error)
	// Survey answers a survey in one statement. It counts each code as one, refused ones too.
	Survey(ctx context.Context, survey model.SendSurvey) (model.SendFindings, error)
	// Insert adds a code. The caller must have passed the gate of the number and the
	// code's pool.
	Insert(ctx context.Context, code model.Code) error
	// Settle records the outcome of the sending and the provider. A refused code is
	// dead.
	Settle(ctx context.Context, id int64, s model.Settlement) error
	// CountAttempt counts one attempt in the pool and reports whether it did. It counts
	// no more than most, and none on a code that was redeemed or refused. Of concurrent
	// transactions one goes on and the others wait.
	CountAttempt(ctx context.Context, id int64, pool model.AttemptPool, most int) (bool, error)
	// Spare marks one open attempt of the code as no failure.
	Spare(ctx context.Context, id int64) error
	// Forgive takes all codes of the number, and the failures that they have by now, out of
	// the number's limits, not out of those of addresses and the deployment.
	Forgive(ctx context.Context, numberKey []byte) error
	// Use is CountAttempt that redeems the code too. Of any number of calls one succeeds.
	Use(ctx context.Context, id int64, pool model.AttemptPool, most int, now model.Time) (bool, error)
}

// Accounts finds the account of a number.
type Accounts interface {
	// ByNumber returns an account, model.ErrNotFound if there is none.
	ByNumber(ctx context.Context, company int32, mobileKey []byte) (model.User, error)
}

// Users finds an account.
type Users interface {
	// ByID returns an account, also a deleted one; model.ErrNotFound if there is none.
	ByID(ctx context.Context, id int64) (model.User, error)
}

// PumpingStore counts how many of the sent codes were redeemed, and keeps alarms. A code
// that a provider refused does not count as sent.
type PumpingStore interface {
	// Yield counts the codes of the group in the span.
	Yield(ctx context.Context, by model.Grouping, key string, span model.YieldSpan) (model.Yield, error)
	// Busy returns, by their keys, the groups with at least least codes sent after since
	// and not later than until, whether or not these have expired.
	Busy(ctx context.Context, by model.Grouping, since, until model.Time, least int) (map[string]model.Yield, error)
	// CountGroup counts the codes of the group sent after since and not later than until,
	// refused ones too.
	CountGroup(ctx context.Context, by model.Grouping, key string, since, until model.Time) (int, error)
	// CountSent counts the messages of the deployment after since.
	CountSent(ctx context.Context, since model.Time) (int, error)
	// Raised returns those of the named alarms that were raised after since, with their
	// times.
	Raised(ctx context.Context, names []string, since model.Time) (map[string]model.Time, error)
	// Raise raises an alarm unless it was raised after since, and reports whether this
	// call did. Of concurrent calls exactly one does. It must run in a transaction.
	Raise(ctx context.Context, name string, since, now model.Time) (bool, error)
}

// MessageStore keeps the attempts to have messages sent, and what became of them.
type MessageStore interface {
	// Insert adds messages, and notes of each whether its number redeemed a code after since.
	Insert(ctx context.Context, since model.Time, messages ...model.TracedMessage) error
	// ByVendor finds a message by the vendor's id, model.ErrNotFound if there is none.
	ByVendor(ctx context.Context, provider, id string) (model.TracedMessage, error)
	// Report records a receipt and reports whether it says something new. It never takes back
	// that a message was delivered. Of concurrent calls with one receipt one succeeds.
	Report(ctx context.Context, id int64, receipt model.Receipt) (bool, error)
	// KeepEarly keeps a receipt of a message that has no row yet. A second call does nothing.
	KeepEarly(ctx context.Context, receipt model.Receipt, now model.Time) error
	// Early lists kept receipts of messages that have a row by now, at most limit.
	Early(ctx context.Context, limit int) ([]model.Receipt, error)
	// ForgetEarly removes a kept receipt.
	ForgetEarly(ctx context.Context, receipt model.Receipt) error
	// Conversion counts, by provider and region, the accepted messages to numbers that had
	// redeemed a code before. A message counts at the time at which its code was redeemed or
	// ended, if that is after from and not later than until.
	Conversion(ctx context.Context, from, until model.Time) ([]model.Conversion, error)
}

// FollowUpStore keeps how far the tasks at vendors have come.
type FollowUpStore interface {
	// Claim begins a turn of the task if one is due, and reports whether this call did. The
	// turn is the caller's until the given time. Of concurrent calls one succeeds.
	Claim(ctx context.Context, name string, now, until model.Time) (turn model.FollowUp, ours bool, err error)
	// Release ends a turn that was claimed: the next one is due at the given time. A turn whose
	// time was over, so that another call has claimed it, changes nothing.
	Release(ctx context.Context, turn model.FollowUp, due model.Time) error
	// Sent lists the messages of a provider in the order of their times, at most limit: those
	// after the turn's message and not later than until.
	Sent(ctx context.Context, turn model.FollowUp, provider string, until model.Time, limit int) ([]model.TracedMessage, error)
}

// Gateway sends a code to a mobile number. What its errors mean: model.ErrSendRefused. An
// error may wrap a model.VendorCode.
type Gateway interface {
	Send(ctx context.Context, message model.Message) (model.Sent, error)
}

// Challenger poses challenges, such as a CAPTCHA, and verifies their answers.
type Challenger interface {
	// Params returns what the vendor's widget needs, beside its site key, to pose the
	// challenge to the client: a JSON object.
	Params(ctx context.Context, asker model.Asker) (any, error)
	// Verify returns nil if the answer is right, and was not used before. What its errors
	// mean: model.ErrChallengeFailed. model.ErrUnavailable is a fault of the storage.
	Verify(ctx context.Context, answer model.Secret, asker model.Asker) error
}
