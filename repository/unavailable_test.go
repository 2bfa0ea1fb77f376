package repository_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// calls returns a call of each method of all stores, as the rules make it.
func calls(db *repository.DB) map[string]func(ctx context.Context) error {
	codes, users, sessions := repository.Codes{DB: db}, repository.Users{DB: db}, repository.Sessions{DB: db}
	events, vault, messages, instances := repository.Events{DB: db}, repository.Vault{DB: db}, repository.Messages{DB: db}, repository.Instances{DB: db}
	follows := repository.FollowUps{DB: db}
	drop := func(_ any, err error) error { return err }
	s := aSession(1, 7, 0)
	return map[string]func(ctx context.Context) error{
		"Ping":   db.Ping,
		"Clock":  func(ctx context.Context) error { return drop(db.Clock(ctx)) },
		"Within": func(ctx context.Context) error { return db.Within(ctx, func(context.Context) error { return nil }) },

		"Gate":    func(ctx context.Context) error { return codes.Gate(ctx, key('g'), t0) },
		"Recent":  func(ctx context.Context) error { return drop(codes.Recent(ctx, key('a'), 0, 1000)) },
		"NthSent": func(ctx context.Context) error { return drop(codes.NthSent(ctx, model.SendScope{}, 0, 1)) },
		"Yield": func(ctx context.Context) error {
			return drop(codes.Yield(ctx, model.GroupPrefix, "p", model.YieldSpan{Ended: t0, Most: 1}))
		},
		"Busy":       func(ctx context.Context) error { return drop(codes.Busy(ctx, model.GroupBlock, 0, t0, 1)) },
		"CountGroup": func(ctx context.Context) error { return drop(codes.CountGroup(ctx, model.GroupBlock, "b", 0, t0)) },
		"Survey": func(ctx context.Context) error {
			return drop(codes.Survey(ctx, model.SendSurvey{Spans: []model.SendSpan{{}}}))
		},
		"NthRefused": func(ctx context.Context) error {
			return drop(codes.NthRefused(ctx, model.Code{NumberKey: key('a')}, 0, 1))
		},
		"CountSince":   func(ctx context.Context) error { return drop(codes.CountSince(ctx, model.SendScope{}, 0)) },
		"CountSent":    func(ctx context.Context) error { return drop(codes.CountSent(ctx, 0)) },
		"Raised":       func(ctx context.Context) error { return drop(codes.Raised(ctx, []string{"a"}, 0)) },
		"Raise":        func(ctx context.Context) error { return drop(codes.Raise(ctx, "a", 0, t0)) },
		"Codes.Insert": func(ctx context.Context) error { return codes.Insert(ctx, aCode(1, 'a', 1, t0)) },
		"Settle": func(ctx context.Context) error {
			return codes.Settle(ctx, 1, model.Settlement{Delivery: model.DeliveryAccepted, At: t0})
		},
		"CountAttempt": func(ctx context.Context) error { return drop(codes.CountAttempt(ctx, 1, model.AttemptOpen, 5)) },
		"Spare":        func(ctx context.Context) error { return codes.Spare(ctx, 1) },
		"Forgive":      func(ctx context.Context) error { return codes.Forgive(ctx, key('a')) },
		"Use":          func(ctx context.Context) error { return drop(codes.Use(ctx, 1, model.AttemptOpen, 5, t0)) },

		"Spend": func(ctx context.Context) error { return drop(repository.Puzzles{DB: db}.Spend(ctx, key('p')[:16], t0)) },

		"Register": func(ctx context.Context) error {
			_, _, err := users.Register(ctx, aUser(1, 'a'))
			return err
		},
		"ByNumber":   func(ctx context.Context) error { return drop(users.ByNumber(ctx, 1, key('a'))) },
		"Users.ByID": func(ctx context.Context) error { return drop(users.ByID(ctx, 1)) },
		"Lock":       func(ctx context.Context) error { return drop(users.Lock(ctx, 1)) },
		"Describe":   func(ctx context.Context) error { return users.Describe(ctx, aUser(1, 'a')) },
		"SetBan":     func(ctx context.Context) error { return users.SetBan(ctx, 1, t0, "") },

		"Advance": func(ctx context.Context) error {
			_, _, err := sessions.Advance(ctx, model.LoginSequence{UserID: 1})
			return err
		},
		"LoginSequence":     func(ctx context.Context) error { return drop(sessions.LoginSequence(ctx, 1, "app")) },
		"LockLoginSequence": func(ctx context.Context) error { return sessions.LockLoginSequence(ctx, 1, "app") },
		"Sessions.Insert":   func(ctx context.Context) error { return sessions.Insert(ctx, s) },
		"Sessions.ByID":     func(ctx context.Context) error { return drop(sessions.ByID(ctx, s.ID)) },
		"Active":            func(ctx context.Context) error { return drop(sessions.Active(ctx, 7, "")) },
		"Ended":             func(ctx context.Context) error { return drop(sessions.Ended(ctx, 7, 20)) },
		"End":               func(ctx context.Context) error { return drop(sessions.End(ctx, s.ID, model.ReasonKicked, "", t0)) },
		"EndSeen":           func(ctx context.Context) error { return drop(sessions.EndSeen(ctx, s, model.ReasonReuse, t0)) },
		"Rotate":            func(ctx context.Context) error { return sessions.Rotate(ctx, s, rotated(s, 1)) },
		"FastRotate":        func(ctx context.Context) error { return drop(sessions.FastRotate(ctx, rotated(s, 1))) },
		"Confirm":           func(ctx context.Context) error { return sessions.Confirm(ctx, s.ID, 1, t0) },
		"Bind":              func(ctx context.Context) error { return drop(sessions.Bind(ctx, s.ID, "device")) },

		"Append": func(ctx context.Context) error { return events.Append(ctx, anEvent(model.EventLogin, 7, t0)) },
		"List":   func(ctx context.Context) error { return drop(events.List(ctx, model.EventFilter{UserID: 7}, 10)) },
		"Ends":   func(ctx context.Context) error { return drop(events.Ends(ctx, 0)) },

		"Messages.Insert": func(ctx context.Context) error { return messages.Insert(ctx, 0, aMessage(1, 'a', 7)) },
		"Messages.List": func(ctx context.Context) error {
			return drop(messages.List(ctx, model.MessageFilter{NumberKey: key('a')}, 10))
		},
		"OfCodes":     func(ctx context.Context) error { return drop(messages.OfCodes(ctx, 1)) },
		"ByVendor":    func(ctx context.Context) error { return drop(messages.ByVendor(ctx, "webhook", "m1")) },
		"Report":      func(ctx context.Context) error { return drop(messages.Report(ctx, 1, aReceipt("m1", t0))) },
		"KeepEarly":   func(ctx context.Context) error { return messages.KeepEarly(ctx, aReceipt("m1", t0), t0) },
		"Early":       func(ctx context.Context) error { return drop(messages.Early(ctx, 10)) },
		"ForgetEarly": func(ctx context.Context) error { return messages.ForgetEarly(ctx, aReceipt("m1", t0)) },
		"Erase":       func(ctx context.Context) error { return messages.Erase(ctx, aUser(7, 'a'), "") },
		"EraseNumber": func(ctx context.Context) error { return messages.EraseNumber(ctx, 0, key('a')) },
		"Conversion":  func(ctx context.Context) error { return drop(messages.Conversion(ctx, 0, t0)) },
		"Returned": func(ctx context.Context) error {
			return drop(repository.Events{DB: db}.Returned(ctx, model.EventSpan{To: t0, Bucket: time.Second}))
		},
		"Vendors": func(ctx context.Context) error {
			return drop(messages.Vendors(ctx, model.EventSpan{To: t0, Bucket: time.Second}))
		},

		"Claim": func(ctx context.Context) error {
			_, _, err := follows.Claim(ctx, "a", t0, t0+1)
			return err
		},
		"Release": func(ctx context.Context) error { return follows.Release(ctx, model.FollowUp{Name: "a"}, t0) },
		"Sent":    func(ctx context.Context) error { return drop(follows.Sent(ctx, model.FollowUp{}, "webhook", t0, 10)) },

		"SignOfLife": func(ctx context.Context) error { return instances.SignOfLife(ctx, model.Instance{ID: "i", SeenAt: t0}) },
		"Forget":     func(ctx context.Context) error { return instances.Forget(ctx, "i", t0) },
		"Since":      func(ctx context.Context) error { return drop(instances.Since(ctx, t0)) },
		"Outcomes":   func(ctx context.Context) error { return drop(messages.Outcomes(ctx, t0)) },

		"Keep":    func(ctx context.Context) error { return drop(vault.Keep(ctx, "lookup", key('a'))) },
		"Replace": func(ctx context.Context) error { return vault.Replace(ctx, "lookup", key('a'), key('b')) },
	}
}

// TestStorageAway: if the storage is unavailable or broken every method returns
// that, never that something is not found, wrong or stale.
func TestStorageAway(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		for method, call := range calls(db) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx); code(err) != 50300 {
				t.Errorf("%s with a cancelled context: %v", method, err)
			}
		}
		for _, table := range []string{"vault", "users", "slots", "sessions", "codes", "gates", "events", "folds", "messages", "receipts", "puzzles", "instances", "followups"} {
			execSQL(t, db, "DROP TABLE "+table)
		}
		for method, call := range calls(db) {
			if method == "Ping" || method == "Clock" || method == "Within" {
				continue
			}
			if err := call(t.Context()); code(err) != 50300 {
				t.Errorf("%s without its table: %v", method, err)
			}
		}
		must(t, db.Close())
		for method, call := range calls(db) {
			if err := call(t.Context()); code(err) != 50300 {
				t.Errorf("%s on a closed database: %v", method, err)
			}
		}
	})
}

// code returns the number of the outermost failure, 0 if there is none.
func code(err error) int32 {
	var f *model.Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return 0
}

// TestErrorsHoldNoValues: errors say what was being done, never with which values.
func TestErrorsHoldNoValues(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		const canary = "CANARY"
		bytes := []byte(strings.Repeat(canary, 6))[:32]
		s := aSession(1, 7, 0)
		s.RefreshHash, s.DeviceNumber, s.IP, s.CurJTI, s.DeviceName = bytes, canary, canary, canary, canary
		c := aCode(1, 'a', 1, t0)
		c.NumberKey, c.CodeMAC, c.IPKey = bytes, bytes, canary
		u := aUser(1, 'a')
		u.MobileKey, u.Mobile, u.NickName, u.UserName = bytes, bytes, canary, canary
		insertSessions(t, db, s)
		insertCodes(t, db, c)
		mustRegister(t, db, u)
		doubled := s
		doubled.ID = testID(2)
		again := c
		again.ID = 2
		long := strings.Repeat(canary, 1000)
		wide := u
		wide.ID, wide.MobileKey = 2, []byte(long) // MySQL refuses it; SQLite has no lengths
		broken := u
		broken.NickName = canary + "\xff\xfe" // MySQL refuses it; SQLite takes bytes
		_, _, errWide := register(t, db, wide)
		errs := map[string]error{
			"a place that is taken":  repository.Sessions{DB: db}.Insert(t.Context(), doubled),
			"an order that is taken": repository.Codes{DB: db}.Insert(t.Context(), again),
			"too long":               errWide,
			"no UTF-8":               repository.Users{DB: db}.Describe(t.Context(), broken),
		}
		execSQL(t, db, "DROP TABLE sessions")
		execSQL(t, db, "DROP TABLE events")
		errs["no table"] = repository.Sessions{DB: db}.Insert(t.Context(), s)
		errs["no table for events"] = repository.Events{DB: db}.Append(t.Context(), model.Event{Kind: canary, Detail: canary})
		must(t, db.Close())
		for method, call := range calls(db) {
			errs[method] = call(t.Context())
		}
		for what, err := range errs {
			if err == nil && (what == "too long" || what == "no UTF-8") && db.Driver() == repository.SQLite {
				continue
			}
			if err == nil {
				t.Errorf("%s: no error", what)
			} else if strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
