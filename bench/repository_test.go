package bench

import (
	"context"
	"testing"
	"time"

	"menshen/model"
)

// BenchmarkRepository measures each act of the storage on a hot path, one after the
// other on one connection.
func BenchmarkRepository(b *testing.B) {
	eachDatabase(b, func(b *testing.B, h *harness) {
		login, err := h.logInNewUser(b.Context(), "device-1")
		if err != nil {
			b.Fatal(err)
		}
		claims, err := h.tokens.Verify(string(login.Access.Value))
		if err != nil {
			b.Fatal(err)
		}
		for _, act := range h.storageActs(claims) {
			b.Run(act.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := act.do(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

// storageAct can be repeated.
type storageAct struct {
	name string
	do   func(ctx context.Context) error
}

func (h *harness) storageActs(claims model.Claims) []storageAct {
	sessions, users, codes := h.sessions.Store, h.login.Users, h.login.Codes.Store
	line := model.Event{Kind: model.EventLogin, UserID: claims.UserID, SessionID: claims.SessionID, Actor: "bench"}
	return []storageAct{
		{"session/by id", func(ctx context.Context) error { _, err := sessions.ByID(ctx, claims.SessionID); return err }},
		{"session/active", func(ctx context.Context) error { _, err := sessions.Active(ctx, claims.UserID, "app"); return err }},
		{"session/slot", func(ctx context.Context) error {
			_, err := sessions.LoginSequence(ctx, claims.UserID, "app")
			return err
		}},
		{"session/confirm", func(ctx context.Context) error {
			return sessions.Confirm(ctx, claims.SessionID, claims.Gen, model.TimeOf(time.Now()))
		}},
		{"session/advance", func(ctx context.Context) error {
			return h.sessions.Tx.Within(ctx, func(ctx context.Context) error {
				_, _, err := sessions.Advance(ctx, model.LoginSequence{UserID: claims.UserID, ProductGroup: "app", LoginAt: model.TimeOf(time.Now())})
				return err
			})
		}},
		{"session/rotate", func(ctx context.Context) error {
			seen, err := sessions.ByID(ctx, claims.SessionID)
			if err != nil {
				return err
			}
			next := seen
			next.PrevGen, next.Gen, next.MintedAt = seen.Gen, seen.Gen+1, model.TimeOf(time.Now())
			return sessions.Rotate(ctx, seen, next)
		}},
		{"user/by id", func(ctx context.Context) error { _, err := users.ByID(ctx, claims.UserID); return err }},
		{"code/recent", func(ctx context.Context) error { _, err := codes.Recent(ctx, []byte("nobody"), 1, 10); return err }},
		{"code/nth sent", func(ctx context.Context) error { _, err := codes.NthSent(ctx, model.SendScope{}, 1, 100); return err }},
		{"code/gate", func(ctx context.Context) error {
			return h.sessions.Tx.Within(ctx, func(ctx context.Context) error { return codes.Gate(ctx, []byte("bench"), model.TimeOf(time.Now())) })
		}},
		{"event/append", func(ctx context.Context) error {
			line.At = model.TimeOf(time.Now())
			return h.sessions.Events.Append(ctx, line)
		}},
	}
}
