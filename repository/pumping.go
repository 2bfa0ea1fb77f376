package repository

import (
	"context"

	"menshen/model"
)

// groupColumns are the columns of the groupings. It is read-only.
var groupColumns = map[model.Grouping]string{model.GroupPrefix: "prefix_key", model.GroupBlock: "block_key"}

// Yield counts the codes of the group in the span.
func (c Codes) Yield(ctx context.Context, by model.Grouping, key string, span model.YieldSpan) (model.Yield, error) {
	var yield model.Yield
	newest := c.DB.readDB(ctx).Model(&model.Code{}).Select("used_at").
		Where(groupColumns[by]+" = ? AND sent_at > ? AND sent_at <= ?", key, span.Since, span.Until).
		Where("expires_at <= ? AND delivery <> ?", span.Ended, model.DeliveryRefused).
		Order("sent_at DESC").Limit(span.Most)
	err := c.DB.readDB(ctx).Table("(?) AS newest", newest).
		Select("COUNT(*) AS sent, COUNT(NULLIF(used_at, 0)) AS redeemed").Scan(&yield).Error
	return yield, unavailable("count redeemed codes", err)
}

// mostBusy bounds the codes that Busy reads.
const mostBusy = 100_000

// Busy returns the groups with at least least codes sent after since and not later than
// until. The inner LIMIT also keeps the databases from reading a whole index of groups
// instead of the times between.
func (c Codes) Busy(ctx context.Context, by model.Grouping, since, until model.Time, least int) (map[string]model.Yield, error) {
	column := groupColumns[by]
	var groups []struct {
		Name  string
		Yield model.Yield `gorm:"embedded"`
	}
	newest := c.DB.readDB(ctx).Model(&model.Code{}).Select(column+" AS name", "used_at").
		Where("sent_at > ? AND sent_at <= ? AND delivery <> ?", since, until, model.DeliveryRefused).
		Order("sent_at DESC").Limit(mostBusy)
	err := c.DB.readDB(ctx).Table("(?) AS newest", newest).
		Select("name, COUNT(*) AS sent, COUNT(NULLIF(used_at, 0)) AS redeemed").
		Where("name <> ''").Group("name").Having("COUNT(*) >= ?", least).Scan(&groups).Error
	busy := make(map[string]model.Yield, len(groups))
	for _, g := range groups {
		busy[g.Name] = g.Yield
	}
	return busy, unavailable("count the codes of groups", err)
}

// CountGroup counts the codes of the group sent after since and not later than until, by
// its index alone.
func (c Codes) CountGroup(ctx context.Context, by model.Grouping, key string, since, until model.Time) (int, error) {
	var n int64
	err := c.DB.readDB(ctx).Model(&model.Code{}).
		Where(groupColumns[by]+" = ? AND sent_at > ? AND sent_at <= ?", key, since, until).Count(&n).Error
	return int(n), unavailable("count the codes of a group", err)
}

// CountSent counts the messages of the deployment after since.
func (c Codes) CountSent(ctx context.Context, since model.Time) (int, error) {
	var n int64
	err := c.DB.readDB(ctx).Model(&model.Code{}).Where("sent_at > ? AND delivery <> ?", since, model.DeliveryRefused).Count(&n).Error
	return int(n), unavailable("count messages", err)
}

// Raised returns the named alarms that were raised after since. An alarm is a row of
// gates whose touched_at is when it was raised.
func (c Codes) Raised(ctx context.Context, names []string, since model.Time) (map[string]model.Time, error) {
	keys := make([][]byte, len(names)) // of the key's type: to SQLite, text and bytes differ
	for i, name := range names {
		keys[i] = []byte(name)
	}
	var alarms []struct {
		Name      string
		TouchedAt model.Time
	}
	err := c.DB.readDB(ctx).Table("gates").Select("name", "touched_at").
		Where("name IN ? AND touched_at > ?", keys, since).Scan(&alarms).Error
	raised := make(map[string]model.Time, len(alarms))
	for _, alarm := range alarms {
		raised[alarm.Name] = alarm.TouchedAt
	}
	return raised, unavailable("read alarms", err)
}

// Raise raises an alarm that was not raised after since. It locks the alarm's row first,
// so that of concurrent transactions one raises it.
func (c Codes) Raise(ctx context.Context, name string, since, now model.Time) (bool, error) {
	if err := c.DB.exec(ctx, "touch alarm", c.DB.dialect.lockAlarm, []byte(name)); err != nil {
		return false, err
	}
	return c.DB.execCAS(ctx, "raise alarm", "UPDATE gates SET touched_at = ? WHERE name = ? AND touched_at <= ?", now, []byte(name), since)
}
