package repository

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"menshen/model"
)

// Messages stores the attempts to have messages sent, and receipts that came before them.
type Messages struct{ DB *DB }

var messageTable = table[model.TracedMessage]{
	"messages", `at, code_id, number_key, mobile_key, mobile, user_id, company_type, product_type, purpose, region, provider, message_id, state, ` +
		`reason, cost`,
	func(m *model.TracedMessage) []any {
		return []any{
			&m.At, &m.CodeID, &m.NumberKey, &m.MobileKey, &m.Mobile, &m.UserID, &m.CompanyType, &m.ProductType, &m.Purpose, &m.Region, &m.Provider,
			&m.MessageID, &m.State, &m.Reason, &m.Cost,
		}
	},
}

const (
	// messageUser is the user of a message: that of its row, else the account of its number if
	// the code may have registered it. No code lives for longer than ten minutes.
	messageUser = `CASE WHEN messages.user_id > 0 THEN messages.user_id ELSE COALESCE(users.id, 0) END`
	userJoin    = ` LEFT JOIN users ON messages.user_id = 0 AND users.company_type = messages.company_type AND users.mobile_key = messages.mobile_key
AND users.created_at >= messages.at AND users.created_at <= messages.at + 600000`
	// messageRedeemed is when the code of a message was redeemed. A code is removed after 26
	// hours, and leaves its redemption to its messages.
	messageRedeemed = `CASE WHEN messages.state IN ('refused', 'throttled') THEN 0 WHEN messages.redeemed_at > 0 THEN messages.redeemed_at
ELSE COALESCE(codes.used_at, 0) END`
	messageJoins = "messages LEFT JOIN codes ON codes.id = messages.code_id" + userJoin
)

// shownMessageTable reads messages as operators see them.
var shownMessageTable = table[model.TracedMessage]{
	messageJoins,
	"messages.id, " + strings.Replace(qualified("messages.%s", messageTable.columns), "messages.user_id", messageUser, 1) +
		", messages.reported_at, " + messageRedeemed,
	func(m *model.TracedMessage) []any {
		return append(append([]any{&m.ID}, messageTable.pointers(m)...), &m.ReportedAt, &m.RedeemedAt)
	},
}

// knownSince is the part of a row that says whether its number redeemed a code since a time.
// MySQL reads the table into which it inserts only through a derived one.
const knownSince = `EXISTS (SELECT 1 FROM codes WHERE number_key = ? AND used_at > 0) OR
EXISTS (SELECT 1 FROM (SELECT 1 FROM messages WHERE number_key = ? AND redeemed_at > ? LIMIT 1) AS redeemed)`

// Insert adds messages. Each row keeps whether its number redeemed a code after since. It is
// one statement.
func (m Messages) Insert(ctx context.Context, since model.Time, messages ...model.TracedMessage) error {
	if len(messages) == 0 {
		return nil
	}
	var args []any
	for i := range messages {
		args = append(append(args, messageTable.pointers(&messages[i])...), messages[i].NumberKey, messages[i].NumberKey, since)
	}
	row := "(" + strings.Repeat("?, ", strings.Count(messageTable.columns, ",")+1) + knownSince + ")"
	return m.DB.exec(ctx, "insert messages", "INSERT INTO messages ("+messageTable.columns+", known) VALUES "+
		row+strings.Repeat(", "+row, len(messages)-1), args...)
}

// List lists the newest messages that match the filter, newest first, at most limit.
func (m Messages) List(ctx context.Context, filter model.MessageFilter, limit int) ([]model.TracedMessage, error) {
	rest, args := selecting(filter, limit)
	return m.read(ctx, "list messages", rest, args...)
}

// selecting is the query of List after FROM.
func selecting(filter model.MessageFilter, limit int) (rest string, args []any) {
	var conditions []string
	where := func(given bool, condition string, values ...any) {
		if given {
			conditions, args = append(conditions, condition), append(args, values...)
		}
	}
	where(filter.NumberKey != nil, "messages.number_key = ?", filter.NumberKey)
	where(filter.UserID != 0, "messages.user_id = ?", filter.UserID)
	where(filter.Ownerless != 0, "messages.user_id = 0 AND messages.at >= ?", filter.Ownerless)
	where(filter.Provider != "", "messages.provider = ?", filter.Provider)
	where(filter.State != "", "messages.state = ?", filter.State)
	where(filter.Before != 0, "messages.id < ?", filter.Before)
	if len(filter.Companies) > 0 {
		companies := make([]any, len(filter.Companies))
		for i, company := range filter.Companies {
			companies[i] = company
		}
		where(true, "messages.company_type IN (?"+strings.Repeat(", ?", len(companies)-1)+")", companies...)
	}
	if len(conditions) > 0 {
		rest = "WHERE " + strings.Join(conditions, " AND ")
	}
	return rest + " ORDER BY messages.id DESC LIMIT " + strconv.Itoa(limit), args
}

// OfCodes lists the last attempt at a vendor for each of the codes, by code.
func (m Messages) OfCodes(ctx context.Context, codes ...int64) (map[int64]model.TracedMessage, error) {
	last := make(map[int64]model.TracedMessage, len(codes))
	if len(codes) == 0 {
		return last, nil
	}
	args := make([]any, len(codes))
	for i, code := range codes {
		args[i] = code
	}
	found, err := m.read(ctx, "read messages", "WHERE messages.code_id IN (?"+strings.Repeat(", ?", len(codes)-1)+") ORDER BY messages.id", args...)
	for _, message := range found {
		last[message.CodeID] = message
	}
	return last, err
}

// read reads messages as operators see them. rest is the query after FROM.
func (m Messages) read(ctx context.Context, doing, rest string, args ...any) ([]model.TracedMessage, error) {
	t := shownMessageTable
	on := txOr(ctx, m.DB.reportPool).Statement.ConnPool
	found, err := t.read(on.QueryContext(ctx, "SELECT "+t.columns+" FROM "+t.name+" "+rest, args...))
	return found, unavailable(doing, err)
}

// ByVendor finds the message with a vendor's id.
func (m Messages) ByVendor(ctx context.Context, provider, id string) (model.TracedMessage, error) {
	return shownMessageTable.first(ctx, m.DB, "WHERE messages.message_id = ? AND messages.provider = ? ORDER BY messages.id LIMIT 1", id, provider)
}

// Report records a receipt and reports whether it says something new. It never takes back
// that a message was delivered. Of concurrent calls with one receipt one succeeds.
func (m Messages) Report(ctx context.Context, id int64, r model.Receipt) (bool, error) {
	before := "'accepted', 'unknown'"
	if r.State == model.MessageDelivered {
		before += ", 'undelivered'"
	}
	return m.DB.execCAS(ctx, "report message", "UPDATE messages SET state = ?, reason = ?, reported_at = ? WHERE id = ? AND state IN ("+before+")",
		r.State, r.Reason, r.At, id)
}

// KeepEarly keeps a receipt of a message that has no row yet.
func (m Messages) KeepEarly(ctx context.Context, r model.Receipt, now model.Time) error {
	err := m.DB.exec(ctx, "keep receipt", "INSERT INTO receipts (provider, message_id, state, reason, reported_at, at) VALUES (?, ?, ?, ?, ?, ?)",
		r.Provider, r.MessageID, r.State, r.Reason, r.At, now)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil
	}
	return err
}

var receiptTable = table[model.Receipt]{
	"receipts", `provider, message_id, state, reason, reported_at`,
	func(r *model.Receipt) []any { return []any{&r.Provider, &r.MessageID, &r.State, &r.Reason, &r.At} },
}

// Early lists the receipts of messages that have a row by now, at most limit.
func (m Messages) Early(ctx context.Context, limit int) ([]model.Receipt, error) {
	found, err := receiptTable.list(ctx, m.DB, `WHERE EXISTS (SELECT 1 FROM messages WHERE messages.message_id = receipts.message_id
AND messages.provider = receipts.provider) LIMIT `+strconv.Itoa(limit))
	return found, unavailable("list receipts", err)
}

// ForgetEarly removes a receipt that was kept.
func (m Messages) ForgetEarly(ctx context.Context, r model.Receipt) error {
	return m.DB.exec(ctx, "forget receipt", "DELETE FROM receipts WHERE provider = ? AND message_id = ? AND state = ?", r.Provider, r.MessageID, r.State)
}

// eraseMessages takes the number and the user out of messages.
const eraseMessages = "UPDATE messages SET user_id = 0, number_key = NULL, mobile_key = NULL, mobile = '' WHERE "

// Erase takes number and user out of the messages of an account, and the masked number out
// of its events.
func (m Messages) Erase(ctx context.Context, user model.User, mask string) error {
	if err := Events(m).erase(ctx, user, mask); err != nil {
		return err
	}
	return m.DB.exec(ctx, "erase messages", eraseMessages+"user_id = ?", user.ID)
}

// EraseNumber takes the number out of the messages to it, and the events of them, that have
// no account.
func (m Messages) EraseNumber(ctx context.Context, company int32, numberKey []byte) error {
	if err := Events(m).eraseSent(ctx, company, numberKey); err != nil {
		return err
	}
	return m.DB.exec(ctx, "erase messages", eraseMessages+"number_key = ? AND company_type = ? AND user_id = 0", numberKey, company)
}

// Conversion counts the messages to numbers that were known whose codes were redeemed, or
// ended without it, after from and not later than until. The codes must still be there.
func (m Messages) Conversion(ctx context.Context, from, until model.Time) (counts []model.Conversion, err error) {
	const longest = 600_000 // life of a code, in milliseconds
	err = m.DB.reportDB(ctx).Raw(`SELECT provider, region, COUNT(*) AS counted, COUNT(NULLIF(used_at, 0)) AS redeemed FROM (
  SELECT messages.provider AS provider, messages.region AS region, codes.used_at AS used_at,
    CASE WHEN codes.used_at > 0 THEN codes.used_at ELSE codes.expires_at END AS ended_at
  FROM messages JOIN codes ON codes.id = messages.code_id
  WHERE messages.at > ? AND messages.at <= ? AND messages.known = 1 AND messages.state IN ('accepted', 'delivered', 'undelivered')
) AS ended WHERE ended_at > ? AND ended_at <= ? GROUP BY provider, region ORDER BY provider, region`,
		from-longest, until, from, until).Scan(&counts).Error
	return counts, unavailable("count conversions", err)
}

// Outcomes counts the messages since a time by vendor and state.
func (m Messages) Outcomes(ctx context.Context, since model.Time) (counts []model.VendorOutcome, err error) {
	err = m.DB.reportDB(ctx).Raw("SELECT provider, state, COUNT(*) AS count FROM messages WHERE at >= ? GROUP BY provider, state ORDER BY provider, state",
		since).Scan(&counts).Error
	return counts, unavailable("count messages", err)
}

// Vendors counts the messages between from and to by bucket, vendor and region.
func (m Messages) Vendors(ctx context.Context, span model.EventSpan) (counts []model.VendorCount, err error) {
	where, args := "messages.at >= ? AND messages.at < ?", []any{span.Bucket.Milliseconds(), span.From, span.To}
	if len(span.Companies) > 0 {
		where, args = where+" AND messages.company_type IN ?", append(args, []int32(span.Companies))
	}
	err = m.DB.reportDB(ctx).Raw(`SELECT bucket, provider, region, COUNT(sent) AS sent, COUNT(delivered) AS delivered, COUNT(failed) AS failed,
  COUNT(CASE WHEN sent = 1 THEN redeemed END) AS redeemed, SUM(cost) AS cost FROM (
  SELECT messages.at - messages.at % ? AS bucket, messages.provider AS provider, messages.region AS region, messages.cost AS cost,
    CASE WHEN messages.state IN ('accepted', 'delivered', 'undelivered', 'unknown') THEN 1 END AS sent,
    CASE WHEN messages.state = 'delivered' THEN 1 END AS delivered,
    CASE WHEN messages.state IN ('undelivered', 'refused', 'throttled') THEN 1 END AS failed, NULLIF(`+messageRedeemed+`, 0) AS redeemed
  FROM messages LEFT JOIN codes ON codes.id = messages.code_id WHERE `+where+`
) AS counted GROUP BY bucket, provider, region ORDER BY bucket, provider, region`, args...).Scan(&counts).Error
	return counts, unavailable("count messages of vendors", err)
}
