package repository

import (
	"context"

	"menshen/model"
)

// Sessions stores the sessions and the login sequences that order them.
type Sessions struct{ DB *DB }

// Advance records a login in its sequence. It must be the transaction's first statement
// on the row, because SELECT … FOR UPDATE deadlocks on a row that may not exist.
func (s Sessions) Advance(ctx context.Context, login model.LoginSequence) (kept model.LoginSequence, active []model.Session, err error) {
	kept, inserted, err := loginSequenceTable.upsert(ctx, s.DB, "advance login sequence", s.DB.dialect.upsertLoginSequence,
		login.UserID, login.ProductGroup, login.LoginAt, login.SessionID, login.LoginAt, login.SessionID)
	switch {
	case err == nil && inserted:
		login.Epoch = 1
		return login, nil, nil
	case err == nil && kept.Epoch == 0:
		return s.sequenceAndActive(ctx, login.UserID, login.ProductGroup)
	case err == nil && kept.Epoch > 1: // otherwise there is no older session
		active, err = s.Active(ctx, login.UserID, login.ProductGroup)
	}
	return kept, active, err
}

// sequenceAndActive is LoginSequence and Active in one statement.
func (s Sessions) sequenceAndActive(ctx context.Context, userID int64, group string) (sequence model.LoginSequence, active []model.Session, err error) {
	rows, err := sequenceSessionTable.list(ctx, s.DB, "WHERE slots.user_id = ? AND slots.product_group = ? ORDER BY sessions.epoch", userID, group)
	for _, row := range rows {
		sequence = row.sequence
		if row.session.UserID != 0 {
			active = append(active, row.session)
		}
	}
	return sequence, active, unavailable("read login sequence", err)
}

// LoginSequence reads the login sequence of a user and group.
func (s Sessions) LoginSequence(ctx context.Context, userID int64, group string) (model.LoginSequence, error) {
	return loginSequenceTable.first(ctx, s.DB, "WHERE user_id = ? AND product_group = ?", userID, group)
}

// LockLoginSequence locks the row until the transaction ends. It writes, because the
// nodes of a cluster do not share locks, only changes.
func (s Sessions) LockLoginSequence(ctx context.Context, userID int64, group string) error {
	return s.DB.exec(ctx, "lock login sequence", "UPDATE slots SET locks = locks + 1 WHERE user_id = ? AND product_group = ?", userID, group)
}

// Insert adds an active session. A unique key refuses a second one in the same place.
func (s Sessions) Insert(ctx context.Context, session model.Session) error {
	return sessionTable.insert(ctx, s.DB, session)
}

// ByID reads a session, ended or not.
func (s Sessions) ByID(ctx context.Context, id string) (model.Session, error) {
	return sessionTable.first(ctx, s.DB, "WHERE id = ?", id)
}

// Active lists the sessions of a user and group that were not ended.
func (s Sessions) Active(ctx context.Context, userID int64, group string) ([]model.Session, error) {
	where, args := "WHERE user_id = ? AND active_slot IS NOT NULL", []any{userID}
	if group != "" {
		where, args = where+" AND product_group = ?", append(args, group)
	}
	sessions, err := sessionTable.list(ctx, s.DB, where+" ORDER BY epoch", args...)
	return sessions, unavailable("list sessions", err)
}

// End ends a session and reports whether this call did.
func (s Sessions) End(ctx context.Context, id string, reason model.Reason, by string, now model.Time) (bool, error) {
	return s.DB.execCAS(ctx, "end session",
		"UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = ?, ended_by = ? WHERE id = ? AND active_slot IS NOT NULL",
		now, reason, by, id)
}

// EndSeen is End if the row still has the generation and the confirmation of seen.
func (s Sessions) EndSeen(ctx context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error) {
	return s.DB.execCAS(ctx, "end session",
		"UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = ? WHERE id = ? AND gen = ? AND confirmed = ? AND active_slot IS NOT NULL",
		now, reason, seen.ID, seen.Gen, seen.Confirmed)
}

// Rotate replaces the tokens of seen by those of next.
func (s Sessions) Rotate(ctx context.Context, seen, next model.Session) error {
	return s.DB.execOne(ctx, "rotate token", model.ErrStalePair,
		`UPDATE sessions SET gen = ?, prev_gen = ?, cur_jti = ?, cur_iat = ?, cur_exp = ?, max_exp = ?, minted_at = ?, confirmed = 0, idle_until = ?, last_seen_at = ?
WHERE id = ? AND gen = ? AND confirmed = ? AND active_slot IS NOT NULL`,
		next.Gen, next.PrevGen, next.CurJTI, next.CurIat, next.CurExp, next.MaxExp, next.MintedAt, next.IdleUntil, next.LastSeenAt,
		seen.ID, seen.Gen, seen.Confirmed)
}

// FastRotate is Rotate without reading the row first, and reports whether it did.
func (s Sessions) FastRotate(ctx context.Context, next model.Session) (bool, error) {
	return s.DB.execCAS(ctx, "rotate token at once",
		`UPDATE sessions SET gen = ?, prev_gen = ?, cur_jti = ?, cur_iat = ?, cur_exp = ?, max_exp = CASE WHEN max_exp > ? THEN max_exp ELSE ? END,
minted_at = ?, confirmed = 0, idle_until = ?, last_seen_at = ?
WHERE id = ? AND user_id = ? AND refresh_hash = ? AND gen = ? AND active_slot IS NOT NULL AND idle_until > ? AND ends_at > ? AND ends_at >= ?`,
		next.Gen, next.PrevGen, next.CurJTI, next.CurIat, next.CurExp, next.CurExp, next.CurExp,
		next.MintedAt, next.IdleUntil, next.LastSeenAt,
		next.ID, next.UserID, next.RefreshHash, next.PrevGen, next.MintedAt, next.MintedAt, next.CurExp)
}

// Confirm records the first use of the token of generation gen.
func (s Sessions) Confirm(ctx context.Context, id string, gen int64, now model.Time) error {
	return s.DB.exec(ctx, "confirm token",
		"UPDATE sessions SET confirmed = 1, last_seen_at = ? WHERE id = ? AND gen = ? AND confirmed = 0 AND active_slot IS NOT NULL",
		now, id, gen)
}

// Anonymise removes personal data from the user's sessions.
func (s Sessions) Anonymise(ctx context.Context, userID int64) error {
	return s.DB.exec(ctx, "anonymise sessions",
		"UPDATE sessions SET device_number = '', device_name = '', ended_by = '', ip = '', source = '' WHERE user_id = ?", userID)
}

// Bind sets the device number of an active session that has none.
func (s Sessions) Bind(ctx context.Context, id, deviceNumber string) (bool, error) {
	return s.DB.execCAS(ctx, "bind device",
		"UPDATE sessions SET device_number = ? WHERE id = ? AND device_number = '' AND active_slot IS NOT NULL", deviceNumber, id)
}

// Ended lists the user's newest ended sessions.
func (s Sessions) Ended(ctx context.Context, userID int64, limit int) ([]model.Session, error) {
	var sessions []model.Session
	err := s.DB.readDB(ctx).Where("user_id = ? AND active_slot IS NULL", userID).
		Order("ended_at DESC, login_at DESC").Limit(limit).Find(&sessions).Error
	return sessions, unavailable("list ended sessions", err)
}

// All lists the user's sessions, ended ones too, newest first.
func (s Sessions) All(ctx context.Context, userID int64) ([]model.Session, error) {
	sessions, err := sessionTable.list(ctx, s.DB, "WHERE user_id = ? ORDER BY login_at DESC, id", userID)
	return sessions, unavailable("list sessions", err)
}

// LastLogin returns the time of the user's newest login, 0 if none is known.
func (s Sessions) LastLogin(ctx context.Context, userID int64) (model.Time, error) {
	last, err := scalar[model.Time](ctx, s.DB, "SELECT COALESCE(MAX(login_at), 0) FROM slots WHERE user_id = ?", userID)
	return last, unavailable("read the last login", err)
}

// DisplacedSince lists up to 100 sessions of a group that were displaced after since.
func (s Sessions) DisplacedSince(ctx context.Context, userID int64, group string, since model.Time) ([]model.Session, error) {
	var sessions []model.Session
	err := s.DB.readDB(ctx).Where("user_id = ? AND product_group = ? AND active_slot IS NULL AND end_reason = ? AND ended_at > ?",
		userID, group, model.ReasonDisplaced, since).Limit(100).Find(&sessions).Error
	return sessions, unavailable("list displaced sessions", err)
}

// CountActive counts the sessions of the companies that are active at now, by product.
func (s Sessions) CountActive(ctx context.Context, of model.Companies, now model.Time) (map[int32]int64, error) {
	var rows []struct {
		ProductType int32
		Count       int64
	}
	query := s.DB.reportDB(ctx).Table("sessions").Select("product_type, COUNT(*) AS count").
		Where("active_slot IS NOT NULL AND idle_until > ? AND ends_at > ?", now, now).Group("product_type")
	if len(of) > 0 {
		query = query.Where("company_type IN ?", []int32(of))
	}
	err := query.Scan(&rows).Error
	counts := make(map[int32]int64, len(rows))
	for _, row := range rows {
		counts[row.ProductType] = row.Count
	}
	return counts, unavailable("count sessions", err)
}
