package repository

import (
	"context"
	"strconv"
	"strings"

	"menshen/model"
)

// Codes stores the verification codes. Each row is a code, and an entry of the
// ledger from which the limits of sending and guessing are counted.
type Codes struct{ DB *DB }

// Gate is a mutex by name: one transaction at a time holds it, until it ends. It
// always writes, so that it costs the same for every name.
func (c Codes) Gate(ctx context.Context, name []byte, now model.Time) error {
	return c.DB.exec(ctx, "pass gate", c.DB.dialect.upsertGate, now, name, now)
}

// Recent lists the number's codes. Codes that a provider refused count against no limit,
// so there may be any number of them: it leaves out those that no rule needs.
//
// Statements of the hot paths contain their LIMIT as text: SQLite compiles a
// statement again for each value that is bound to it.
func (c Codes) Recent(ctx context.Context, numberKey []byte, since model.Time, limit int) ([]model.Code, error) {
	codes, err := codeTable.list(ctx, c.DB, `WHERE number_key = ? AND expires_at > ?
AND (delivery <> ? OR attempts > 0 OR NOT EXISTS (SELECT 1 FROM codes AS newer WHERE newer.number_key = codes.number_key AND newer.seq > codes.seq))
ORDER BY seq DESC LIMIT `+strconv.Itoa(limit),
		numberKey, since, model.DeliveryRefused)
	return codes, unavailable("list codes", err)
}

// of returns the condition for the codes that the scope counts. Without a key these are
// all codes.
func (c Codes) of(scope model.SendScope) (condition string, args []any) {
	switch {
	case scope.IPKey != "":
		return " AND ip_key = ?", []any{scope.IPKey}
	case scope.BlockKey != "":
		return " AND block_key = ?", []any{scope.BlockKey}
	}
	return "", nil
}

// NthSent returns the time of the code sent after since with which the scope's count,
// from the newest code on, reaches n.
func (c Codes) NthSent(ctx context.Context, scope model.SendScope, since model.Time, n int) (model.Time, error) {
	if scope == (model.SendScope{}) {
		sent, err := scalar[model.Time](ctx, c.DB,
			"SELECT sent_at FROM codes WHERE sent_at > ? AND delivery <> ? ORDER BY sent_at DESC LIMIT 1 OFFSET "+strconv.Itoa(n-1),
			since, model.DeliveryRefused)
		return sent, unavailable("count codes", err)
	}
	if rows, err := c.CountSince(ctx, scope, since); err != nil || rows < n { // by the index alone
		return 0, err
	}
	condition, args := c.of(scope)
	args = append([]any{since}, append(args, 10*n)...)
	sent, err := scalar[model.Time](ctx, c.DB, `SELECT sent_at FROM (
  SELECT sent_at, SUM(CASE used_at WHEN 0 THEN 10 ELSE 1 END) OVER (ORDER BY sent_at DESC, id DESC) AS tenths
  FROM codes WHERE sent_at > ?`+condition+`
) AS newest WHERE tenths >= ? ORDER BY tenths LIMIT 1`, args...)
	return sent, unavailable("count codes", err)
}

// NthRefused returns when the nth newest refused code of a number and pool was sent.
func (c Codes) NthRefused(ctx context.Context, code model.Code, since model.Time, n int) (model.Time, error) {
	sent, err := scalar[model.Time](ctx, c.DB,
		"SELECT sent_at FROM codes WHERE number_key = ? AND send_pool = ? AND delivery = ? AND forgiven = 0 AND sent_at > ? ORDER BY seq DESC LIMIT 1 OFFSET "+strconv.Itoa(n-1),
		code.NumberKey, code.SendPool, model.DeliveryRefused, since)
	return sent, unavailable("count refused codes", err)
}

// CountSince counts the codes after since, each as one. It counts codes that a provider
// refused too, so that it reads only the index.
func (c Codes) CountSince(ctx context.Context, scope model.SendScope, since model.Time) (n int, err error) {
	condition, args := c.of(scope)
	n, err = scalar[int](ctx, c.DB, "SELECT COUNT(*) FROM codes WHERE sent_at > ?"+condition, append([]any{since}, args...)...)
	return n, unavailable("count codes", err)
}

// Survey reads the account, alarms and counts in one statement.
func (c Codes) Survey(ctx context.Context, survey model.SendSurvey) (found model.SendFindings, err error) {
	var parts []string
	var args, into []any
	ask := func(answer any, query string, with ...any) {
		parts, args, into = append(parts, "COALESCE(("+query+"), 0)"), append(args, with...), append(into, answer)
	}
	if survey.MobileKey != nil {
		ask(&found.AccountID, "SELECT id FROM users WHERE company_type = ? AND mobile_key = ? AND deleted_at = 0", survey.CompanyType, survey.MobileKey)
	}
	if n := len(survey.Alarms); n > 0 {
		names := []any{survey.AlarmsSince}
		for _, name := range survey.Alarms {
			names = append(names, []byte(name))
		}
		ask(&found.Alarms, "SELECT COUNT(*) FROM gates WHERE touched_at > ? AND name IN (?"+strings.Repeat(", ?", n-1)+")", names...)
	}
	found.Groups = make([]bool, len(survey.Groups))
	for i, g := range survey.Groups {
		ask(&found.Groups[i], "SELECT 1 FROM codes WHERE "+groupColumns[g.By]+
			" = ? AND sent_at > ? AND sent_at <= ? AND expires_at <= ? LIMIT 1 OFFSET "+strconv.Itoa(g.Most-1), g.Key, g.Since, g.Until, g.Ended)
	}
	sent := make([]int, len(survey.Spans))
	for i, span := range survey.Spans {
		condition, key := c.of(span.Of)
		ask(&sent[i], "SELECT COUNT(*) FROM codes WHERE sent_at > ?"+condition, append([]any{span.Since}, key...)...)
	}
	if len(parts) == 0 {
		return found, nil
	}
	err = scanFirst(ctx, c.DB, into, "SELECT "+strings.Join(parts, ", "), args...)
	found.Sent = make(map[model.SendSpan]int, len(sent))
	for i, n := range sent {
		found.Sent[survey.Spans[i]] = n
	}
	return found, unavailable("survey codes", err)
}

// Insert adds a code. The caller must hold the number's gate.
func (c Codes) Insert(ctx context.Context, code model.Code) error {
	return codeTable.insert(ctx, c.DB, code)
}

// Settle records the result of the sending and the provider.
func (c Codes) Settle(ctx context.Context, id int64, s model.Settlement) error {
	var dead model.Time
	if s.Delivery == model.DeliveryRefused {
		dead = s.At
	}
	return c.DB.exec(ctx, "settle code", "UPDATE codes SET delivery = ?, provider = ?, dead_at = ? WHERE id = ?",
		s.Delivery, s.Provider, dead, id)
}

// attemptColumns are the counts of the pools of attempts. It is read-only.
var attemptColumns = map[model.AttemptPool]string{model.AttemptOpen: "attempts", model.AttemptTicket: "ticket_attempts"}

// CountAttempt counts one more attempt in the pool, if the code lives and the pool has
// fewer than most, and reports whether it did.
func (c Codes) CountAttempt(ctx context.Context, id int64, pool model.AttemptPool, most int) (bool, error) {
	column := attemptColumns[pool]
	return c.DB.execCAS(ctx, "count attempt", "UPDATE codes SET "+column+" = "+column+" + 1 WHERE id = ? AND "+column+
		" < ? AND used_at = 0 AND dead_at = 0", id, most)
}

// Spare marks one of the counted open attempts as no failure.
func (c Codes) Spare(ctx context.Context, id int64) error {
	return c.DB.exec(ctx, "spare attempt", "UPDATE codes SET spared = spared + 1 WHERE id = ?", id)
}

// Forgive takes the number's codes out of its limits, with the failures that they have by
// now. Later ones of a code that lives count again.
func (c Codes) Forgive(ctx context.Context, numberKey []byte) error {
	return c.DB.exec(ctx, "forgive codes", "UPDATE codes SET forgiven = 1, spared = attempts WHERE number_key = ?", numberKey)
}

// Use is CountAttempt that redeems the code too.
func (c Codes) Use(ctx context.Context, id int64, pool model.AttemptPool, most int, now model.Time) (bool, error) {
	column := attemptColumns[pool]
	return c.DB.execCAS(ctx, "use code", "UPDATE codes SET "+column+" = "+column+" + 1, used_at = ? WHERE id = ? AND "+column+
		" < ? AND used_at = 0 AND dead_at = 0", now, id, most)
}
