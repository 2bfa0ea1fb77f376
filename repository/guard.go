package repository

import (
	"context"

	"menshen/model"
)

// PrefixYield counts the codes of the span for numbers with the prefix.
func (c Codes) PrefixYield(ctx context.Context, prefixKey string, span model.YieldSpan) (model.Yield, error) {
	return c.yield(ctx, "prefix_key", prefixKey, span)
}

// BlockYield is PrefixYield for the codes asked for from a block of addresses.
func (c Codes) BlockYield(ctx context.Context, blockKey string, span model.YieldSpan) (model.Yield, error) {
	return c.yield(ctx, "block_key", blockKey, span)
}

func (c Codes) yield(ctx context.Context, column, key string, span model.YieldSpan) (model.Yield, error) {
	var yield model.Yield
	newest := c.DB.reader(ctx).Model(&model.Code{}).Select("used_at").
		Where(column+" = ? AND sent_at > ? AND sent_at <= ?", key, span.Since, span.Until).
		Where("expires_at <= ? AND delivery <> ?", span.Ended, model.DeliveryRefused).
		Order("sent_at DESC").Limit(span.Most)
	err := c.DB.reader(ctx).Table("(?) AS newest", newest).
		Select("COUNT(*) AS sent, COUNT(NULLIF(used_at, 0)) AS redeemed").Scan(&yield).Error
	return yield, fault("count redeemed codes", err)
}

// CountSent counts the messages of the deployment after since.
func (c Codes) CountSent(ctx context.Context, since model.Time) (int, error) {
	var n int64
	err := c.DB.reader(ctx).Model(&model.Code{}).Where("sent_at > ? AND delivery <> ?", since, model.DeliveryRefused).Count(&n).Error
	return int(n), fault("count messages", err)
}

// Raised gives, of the named alarms, those raised after since with the time of
// it. An alarm is a gate that keeps when somebody passed it first.
func (c Codes) Raised(ctx context.Context, names []string, since model.Time) (map[string]model.Time, error) {
	var alarms []struct {
		Name      string
		TouchedAt model.Time
	}
	err := c.DB.reader(ctx).Table("gates").Select("name", "touched_at").
		Where("name IN ? AND touched_at > ?", asBytes(names), since).Scan(&alarms).Error
	raised := make(map[string]model.Time, len(alarms))
	for _, alarm := range alarms {
		raised[alarm.Name] = alarm.TouchedAt
	}
	return raised, fault("read alarms", err)
}

// Raise raises an alarm that was not raised after since, and reports whether
// this call did. It takes the alarm's row first, so that of concurrent
// transactions one does.
func (c Codes) Raise(ctx context.Context, name string, since, now model.Time) (bool, error) {
	if _, err := c.DB.exec(ctx, "touch alarm", c.DB.words.touchAlarm, []byte(name)); err != nil {
		return false, err
	}
	n, err := c.DB.exec(ctx, "raise alarm", "UPDATE gates SET touched_at = ? WHERE name = ? AND touched_at <= ?", now, []byte(name), since)
	return n == 1, err
}

// asBytes are names as the gates' key is: SQLite tells text from bytes.
func asBytes(names []string) [][]byte {
	all := make([][]byte, len(names))
	for i, name := range names {
		all[i] = []byte(name)
	}
	return all
}
