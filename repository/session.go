package repository

import (
	"context"

	"menshen/model"
)

// Sessions keeps the sessions and the slots that order their logins.
type Sessions struct{ DB *DB }

// Advance notes a login in its slot: the epoch rises by one and the time of
// the newest login never falls. The slot stays locked until the transaction
// ends. It is the first statement on the slot, for SELECT … FOR UPDATE on a row
// that may not exist deadlocks.
func (s Sessions) Advance(ctx context.Context, slot model.Slot) (model.Slot, error) {
	kept, inserted, err := slotShape.upsert(ctx, s.DB, "advance slot", s.DB.words.upsertSlot,
		slot.UserID, slot.ProductGroup, slot.LoginAt, slot.SessionID)
	switch {
	case err == nil && inserted:
		slot.Epoch = 1
		return slot, nil
	case err == nil && kept.Epoch == 0:
		return s.Slot(ctx, slot.UserID, slot.ProductGroup)
	}
	return kept, err
}

// Slot reads the slot of a user and group; none is model.ErrNotFound.
func (s Sessions) Slot(ctx context.Context, userID int64, group string) (model.Slot, error) {
	return slotShape.one(ctx, s.DB, "WHERE user_id = ? AND product_group = ?", userID, group)
}

// LockSlot locks the slot until the transaction ends. It writes, because the
// nodes of a cluster see no lock of another's, only what it changed.
func (s Sessions) LockSlot(ctx context.Context, userID int64, group string) error {
	_, err := s.DB.exec(ctx, "lock slot", "UPDATE slots SET locks = locks + 1 WHERE user_id = ? AND product_group = ?", userID, group)
	return err
}

// Insert adds an active session. The unique key on the place among the active
// ones refuses a second winner.
func (s Sessions) Insert(ctx context.Context, session model.Session) error {
	return sessionShape.insert(ctx, s.DB, session)
}

// ByID reads a session, ended or not; none is model.ErrNotFound.
func (s Sessions) ByID(ctx context.Context, id string) (model.Session, error) {
	return sessionShape.one(ctx, s.DB, "WHERE id = ?", id)
}

// Active lists the sessions of a user that were not ended, lowest epoch first;
// those of one group, or with an empty group all.
func (s Sessions) Active(ctx context.Context, userID int64, group string) ([]model.Session, error) {
	which, args := "WHERE user_id = ? AND active_slot IS NOT NULL", []any{userID}
	if group != "" {
		which, args = which+" AND product_group = ?", append(args, group)
	}
	sessions, err := sessionShape.list(ctx, s.DB, which+" ORDER BY epoch", args...)
	return sessions, fault("list sessions", err)
}

// Ended lists the user's newest ended sessions.
func (s Sessions) Ended(ctx context.Context, userID int64, limit int) ([]model.Session, error) {
	var sessions []model.Session
	err := s.DB.reader(ctx).Where("user_id = ? AND active_slot IS NULL", userID).
		Order("ended_at DESC, login_at DESC").Limit(limit).Find(&sessions).Error
	return sessions, fault("list ended sessions", err)
}

// DisplacedSince lists the sessions of a group that were displaced after since,
// as many as anybody needs to see.
func (s Sessions) DisplacedSince(ctx context.Context, userID int64, group string, since model.Time) ([]model.Session, error) {
	var sessions []model.Session
	err := s.DB.reader(ctx).Where("user_id = ? AND product_group = ? AND active_slot IS NULL AND end_reason = ? AND ended_at > ?",
		userID, group, model.ReasonDisplaced, since).Limit(100).Find(&sessions).Error
	return sessions, fault("list displaced sessions", err)
}

// End ends a session and reports whether it was this call that did: the first
// reason stays, and ended is final.
func (s Sessions) End(ctx context.Context, id string, reason model.Reason, by string, now model.Time) (bool, error) {
	n, err := s.DB.exec(ctx, "end session",
		"UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = ?, ended_by = ? WHERE id = ? AND active_slot IS NOT NULL",
		now, reason, by, id)
	return n == 1, err
}

// EndSeen is End only while the row still has the generation and the
// confirmation of seen.
func (s Sessions) EndSeen(ctx context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error) {
	n, err := s.DB.exec(ctx, "end session",
		"UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = ? WHERE id = ? AND gen = ? AND confirmed = ? AND active_slot IS NOT NULL",
		now, reason, seen.ID, seen.Gen, seen.Confirmed)
	return n == 1, err
}

// Rotate writes the tokens of next over the row as it was read in seen. When
// the row changed since, or the session ended: model.ErrStalePair.
func (s Sessions) Rotate(ctx context.Context, seen, next model.Session) error {
	return s.DB.one(ctx, "rotate token", model.ErrStalePair,
		`UPDATE sessions SET gen = ?, prev_gen = ?, cur_jti = ?, cur_iat = ?, cur_exp = ?, max_exp = ?, minted_at = ?, confirmed = 0, idle_until = ?, last_seen_at = ?
WHERE id = ? AND gen = ? AND confirmed = ? AND active_slot IS NOT NULL`,
		next.Gen, next.PrevGen, next.CurJTI, next.CurIat, next.CurExp, next.MaxExp, next.MintedAt, next.IdleUntil, next.LastSeenAt,
		seen.ID, seen.Gen, seen.Confirmed)
}

// Renew is Rotate over a row that nobody has read, and reports whether it could
// be: the session of next's id and user lives at next.MintedAt, ends no sooner
// than next.CurExp, has next's refresh hash, and its generation is next.PrevGen.
func (s Sessions) Renew(ctx context.Context, next model.Session) (bool, error) {
	n, err := s.DB.exec(ctx, "renew token",
		`UPDATE sessions SET gen = ?, prev_gen = ?, cur_jti = ?, cur_iat = ?, cur_exp = ?, max_exp = CASE WHEN max_exp > ? THEN max_exp ELSE ? END,
minted_at = ?, confirmed = 0, idle_until = ?, last_seen_at = ?
WHERE id = ? AND user_id = ? AND refresh_hash = ? AND gen = ? AND active_slot IS NOT NULL AND idle_until > ? AND ends_at > ? AND ends_at >= ?`,
		next.Gen, next.PrevGen, next.CurJTI, next.CurIat, next.CurExp, next.CurExp, next.CurExp,
		next.MintedAt, next.IdleUntil, next.LastSeenAt,
		next.ID, next.UserID, next.RefreshHash, next.PrevGen, next.MintedAt, next.MintedAt, next.CurExp)
	return n == 1, err
}

// Confirm notes that the token of generation gen was seen in use. Whoever
// comes second, or too late, changes nothing.
func (s Sessions) Confirm(ctx context.Context, id string, gen int64, now model.Time) error {
	_, err := s.DB.exec(ctx, "confirm token",
		"UPDATE sessions SET confirmed = 1, last_seen_at = ? WHERE id = ? AND gen = ? AND confirmed = 0 AND active_slot IS NOT NULL",
		now, id, gen)
	return err
}

// Anonymise removes what the user's sessions tell of a person.
func (s Sessions) Anonymise(ctx context.Context, userID int64) error {
	_, err := s.DB.exec(ctx, "anonymise sessions",
		"UPDATE sessions SET device_number = '', device_name = '', ended_by = '', ip = '', source = '' WHERE user_id = ?", userID)
	return err
}

// Bind ties an active session to its first device number and reports whether
// this call did: of two racing ones exactly one.
func (s Sessions) Bind(ctx context.Context, id, deviceNumber string) (bool, error) {
	n, err := s.DB.exec(ctx, "bind device",
		"UPDATE sessions SET device_number = ? WHERE id = ? AND device_number = '' AND active_slot IS NOT NULL", deviceNumber, id)
	return n == 1, err
}

// CountActive counts the sessions that live at now, by product.
func (s Sessions) CountActive(ctx context.Context, now model.Time) (map[int32]int64, error) {
	var rows []struct {
		ProductType int32
		Count       int64
	}
	err := s.DB.reporter(ctx).Raw(`SELECT product_type, COUNT(*) AS count FROM sessions
WHERE active_slot IS NOT NULL AND idle_until > ? AND ends_at > ? GROUP BY product_type`, now, now).Scan(&rows).Error
	counts := make(map[int32]int64, len(rows))
	for _, row := range rows {
		counts[row.ProductType] = row.Count
	}
	return counts, fault("count sessions", err)
}
