package repository

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"menshen/model"
)

// Events stores the append-only log. No line changes, but for the number that a deletion
// takes out of it: see erase. Repeats of a folded event are counted in another table, so
// that no line is ever locked by a writer.
type Events struct{ DB *DB }

// Append adds lines, in the transaction of the change that they record. Of folded
// events it adds the first one and counts the others; each of concurrent calls counts.
func (e Events) Append(ctx context.Context, events ...model.Event) error {
	if !slices.ContainsFunc(events, isFolded) {
		return e.insert(ctx, events)
	}
	if _, inside := ctx.Value(txKey{}).(*gorm.DB); inside {
		return e.appendFolded(ctx, events)
	}
	return e.DB.Within(ctx, func(ctx context.Context) error { return e.appendFolded(ctx, events) })
}

func isFolded(event model.Event) bool { return event.Fold != nil }

// appendFolded is Append inside a transaction.
func (e Events) appendFolded(ctx context.Context, events []model.Event) error {
	var first []model.Event
	for _, event := range events {
		if isFolded(event) {
			kept, inserted, err := foldTable.upsert(ctx, e.DB, "count event", e.DB.dialect.upsertFold, event.Fold)
			if err != nil {
				return err
			}
			if !inserted && kept.Count != 1 {
				continue
			}
		}
		first = append(first, event)
	}
	return e.insert(ctx, first)
}

func (e Events) insert(ctx context.Context, events []model.Event) error {
	if len(events) == 0 {
		return nil
	}
	return eventTable.insert(ctx, e.DB, events...)
}

// withoutNumber is the text of a detail without the masked numbers in it.
const withoutNumber = "JSON_REMOVE(detail, '$.mobile', '$.from', '$.to')"

// erase takes the masked number out of the lines of an account, and of the codes with which
// it may have registered, whose messages may be gone.
func (e Events) erase(ctx context.Context, user model.User, mask string) error {
	const longest = 600_000 // life of a code, in milliseconds
	err := e.DB.exec(ctx, "erase events", "UPDATE events SET detail = "+withoutNumber+" WHERE user_id = ? AND detail LIKE '%****%'", user.ID)
	if err != nil || mask == "" {
		return err
	}
	return e.DB.exec(ctx, "erase events", "UPDATE events"+e.DB.byIndex("events_at")+" SET detail = "+withoutNumber+
		" WHERE at >= ? AND at <= ? AND user_id = 0 AND company_type = ? AND kind = ? AND detail LIKE ?",
		user.CreatedAt-longest, user.CreatedAt, user.CompanyType, model.EventCodeSent, "%"+mask+"%")
}

// eraseSent takes the masked number out of the lines of codes that were sent to the number
// while it had no account. The messages must not be erased yet.
func (e Events) eraseSent(ctx context.Context, company int32, numberKey []byte) error {
	var sent []struct { // a message has the time of its event
		At     model.Time
		Mobile string
	}
	err := e.DB.readDB(ctx).Raw("SELECT DISTINCT at, mobile FROM messages WHERE number_key = ? AND company_type = ? AND user_id = 0",
		numberKey, company).Scan(&sent).Error
	if err != nil || len(sent) == 0 {
		return unavailable("find messages", err)
	}
	args := []any{"%" + sent[0].Mobile + "%"}
	for _, message := range sent {
		args = append(args, message.At)
	}
	return e.DB.exec(ctx, "erase events", "UPDATE events"+e.DB.byIndex("events_at")+" SET detail = "+withoutNumber+
		" WHERE user_id = 0 AND detail LIKE ? AND at IN (?"+strings.Repeat(", ?", len(sent)-1)+")", args...)
}

// List lists the newest lines that match the filter, newest first, folded ones with
// their count. To follow it lists the oldest ones, oldest first.
func (e Events) List(ctx context.Context, filter model.EventFilter, limit int) ([]model.Event, error) {
	if len(filter.Companies) == 0 {
		return e.list(ctx, filter, limit)
	}
	var all []model.Event
	for _, company := range filter.Companies { // by an index that has the order within one company
		events, err := e.list(ctx, filter, limit, company)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	slices.SortFunc(all, func(a, b model.Event) int {
		if filter.Follow {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return all[:min(limit, len(all))], nil
}

// list is List for all events or those of one company.
func (e Events) list(ctx context.Context, filter model.EventFilter, limit int, company ...int32) ([]model.Event, error) {
	// Of a struct GORM takes the members that are not zero.
	query := e.DB.reportDB(ctx).Model(&model.Event{}).Select("events.*, folds.count").Joins("LEFT JOIN folds ON folds.name = events.fold").
		Where(&model.Event{UserID: filter.UserID, Kind: filter.Kind, Actor: filter.Actor})
	if len(company) > 0 {
		query = query.Where("company_type = ?", company[0])
	}
	if filter.From != 0 {
		query = query.Where("at >= ?", filter.From)
	}
	if filter.To != 0 {
		query = query.Where("at < ?", filter.To)
	}
	if filter.Before != 0 {
		query = query.Where("id < ?", filter.Before)
	}
	order := "id DESC"
	if filter.Follow {
		query, order = query.Where("id > ?", filter.After), "id"
	}
	var lines []struct {
		model.Event
		Count int64
	}
	err := query.Order(order).Limit(limit).Find(&lines).Error
	events := make([]model.Event, len(lines))
	for i, line := range lines {
		events[i] = line.Event
		if isFolded(line.Event) {
			events[i] = line.Counted(line.Count)
		}
	}
	return events, unavailable("list events", err)
}

// Count counts the events between from and to by bucket and kind, some by detail too.
// A folded line counts as often as its event was repeated.
func (e Events) Count(ctx context.Context, span model.EventSpan) ([]model.EventCount, error) {
	where, args := "at >= ? AND at < ?", []any{span.Bucket.Milliseconds(), []model.Kind{model.EventLogin, model.EventRegister}, span.From, span.To}
	if len(span.Companies) > 0 {
		where, args = where+" AND company_type IN ?", append(args, []int32(span.Companies))
	}
	var counts []model.EventCount
	err := e.DB.reportDB(ctx).Raw(`SELECT bucket, kind, detail, SUM(repeats) AS count, COUNT(session) AS sessions FROM (
  SELECT at - at % ? AS bucket, kind, CASE WHEN kind IN ? THEN detail ELSE '' END AS detail, CASE WHEN session_id <> '' THEN 1 END AS session,
    COALESCE(folds.count, 1) AS repeats
  FROM events LEFT JOIN folds ON folds.name = events.fold WHERE `+where+`
) AS counted GROUP BY bucket, kind, detail ORDER BY bucket, kind`, args...).Scan(&counts).Error
	return counts, unavailable("count events", err)
}

// ReturnTime is for how long after its registration an account must have been used to be
// counted by Returned.
const ReturnTime = 24 * time.Hour

// Returned counts the registrations between from and to whose account was used ReturnTime
// later or after that, by bucket and detail. A session shows its last login, its last refresh
// and the first use of its tokens.
func (e Events) Returned(ctx context.Context, span model.EventSpan) ([]model.EventCount, error) {
	query, args := returnedQuery(span)
	var counts []model.EventCount
	err := e.DB.reportDB(ctx).Raw(query, args...).Scan(&counts).Error
	return counts, unavailable("count users who came back", err)
}

func returnedQuery(span model.EventSpan) (query string, args []any) {
	where := "at >= ? AND at < ? AND kind = ?"
	args = []any{span.Bucket.Milliseconds(), span.From, span.To, model.EventRegister}
	if len(span.Companies) > 0 {
		where, args = where+" AND company_type IN ?", append(args, []int32(span.Companies))
	}
	return `SELECT bucket, detail, COUNT(*) AS count FROM (
  SELECT at - at % ? AS bucket, detail FROM events WHERE ` + where + `
    AND EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = events.user_id AND sessions.last_seen_at >= events.at + ?)
) AS counted GROUP BY bucket, detail ORDER BY bucket`, append(args, ReturnTime.Milliseconds())
}

// endKinds are the kinds of events that record a session's end.
var endKinds = []model.Kind{
	model.EventDisplaced, model.EventRelogin, model.EventLogout, model.EventKick, model.EventBan, model.EventReuse,
	model.EventExpired, model.EventUserDeleted,
}

// Newest returns the time of the newest line, 0 if there is none.
func (e Events) Newest(ctx context.Context) (model.Time, error) {
	var newest model.Time
	err := e.DB.readDB(ctx).Raw("SELECT COALESCE(MAX(at), 0) FROM events").Scan(&newest).Error
	return newest, unavailable("read the newest event", err)
}

// Ends lists the ends of sessions after since. Only id, session and time are set.
func (e Events) Ends(ctx context.Context, since model.Time) ([]model.Event, error) {
	var events []model.Event
	err := e.DB.readDB(ctx).Select("id", "session_id", "at").
		Where("at > ? AND session_id <> '' AND kind IN ?", since, endKinds).Find(&events).Error
	return events, unavailable("read ends", err)
}
