package service_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// looks are the ways to look at the user of a number.
func (in *instance) looks(mobile string, id int64) map[string]func(ctx context.Context, by service.Operator) error {
	audit := in.audit()
	return map[string]func(ctx context.Context, by service.Operator) error{
		"number": func(ctx context.Context, by service.Operator) error {
			_, _, err := in.admin.Number(ctx, by, mobile)
			return err
		},
		"find by number": func(ctx context.Context, by service.Operator) error { return errOf(in.findBy(ctx, by, mobile, 0)) },
		"find by id":     func(ctx context.Context, by service.Operator) error { return errOf(in.findBy(ctx, by, "", id)) },
		"find by both":   func(ctx context.Context, by service.Operator) error { return errOf(in.findBy(ctx, by, mobile, id)) },
		"show":           func(ctx context.Context, by service.Operator) error { return errOf(in.admin.Show(ctx, by, id)) },
		"messages of the number": func(ctx context.Context, by service.Operator) error {
			_, _, err := in.admin.Messages(ctx, by, service.MessageQuery{Mobile: mobile})
			return err
		},
		"messages of the user": func(ctx context.Context, by service.Operator) error {
			_, _, err := in.admin.Messages(ctx, by, service.MessageQuery{UserID: id})
			return err
		},
		"timeline": func(ctx context.Context, by service.Operator) error {
			_, _, err := audit.Timeline(ctx, by, id, "")
			return err
		},
		"audit": func(ctx context.Context, by service.Operator) error {
			_, _, err := audit.List(ctx, by, model.EventFilter{UserID: id}, "")
			return err
		},
	}
}

// viewedBy returns the actors of the looks at a user, each with the count, oldest first.
func (in *instance) viewedBy(user int64) []string {
	in.t.Helper()
	actors := in.texts("SELECT actor FROM events WHERE kind = 'viewed' AND user_id = ? ORDER BY id", user)
	for i, count := range in.texts("SELECT folds.count FROM events JOIN folds ON folds.name = events.fold WHERE kind = 'viewed' AND user_id = ? ORDER BY id", user) {
		actors[i] += " " + count
	}
	return actors
}

// TestLooks: each look at a person is an event with the operator's name, folded by
// operator, person and hour, whatever the way. One that cannot be recorded fails.
func TestLooks(t *testing.T) {
	ops := service.Operator{Name: "ops"}
	runScenes(t,
		scene{"each way", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(bob)
			for way, look := range in.looks(alice, c.user) {
				in.sql("DELETE FROM folds")
				in.clearEvents()
				for _, by := range []service.Operator{root, ops, root} {
					wantFailure(t, look(t.Context(), by), nil)
				}
				if got, want := in.viewedBy(c.user), []string{"root 2", "ops 1"}; !slices.Equal(got, want) {
					t.Errorf("%s: looks %q, want %q", way, got, want)
				}
				restore := in.failEvents(model.EventViewed)
				in.clock.Advance(time.Hour)
				wantFailure(t, look(t.Context(), root), model.ErrUnavailable)
				restore()
				if n := in.count("SELECT COUNT(*) FROM events"); n != 2 {
					t.Errorf("%s: %d events", way, n)
				}
			}
			if got := in.viewedBy(other.user); len(got) > 0 {
				t.Errorf("looks at another: %q", got)
			}
		}},
		scene{"all ways in an hour, and in the next", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(bob)
			in.clock.Advance(time.Hour - in.clock.Now().Sub(in.clock.Now().Truncate(time.Hour)))
			ways := in.looks(alice, c.user)
			for range 2 {
				for _, look := range ways {
					wantFailure(t, look(t.Context(), root), nil)
				}
				in.clock.Advance(time.Hour - ms)
				wantFailure(t, ways["show"](t.Context(), root), nil)
				in.clock.Advance(ms)
			}
			wantFailure(t, errOf(in.admin.Show(t.Context(), root, other.user)), nil)
			wantFailure(t, ways["show"](t.Context(), root), nil)
			if got := in.viewedBy(other.user); !slices.Equal(got, []string{"root 1"}) {
				t.Errorf("looks at another: %q", got)
			}
			n := "root " + strconv.Itoa(len(ways)+1)
			if got, want := in.viewedBy(c.user), []string{n, n, "root 1"}; !slices.Equal(got, want) {
				t.Errorf("looks %q, want %q", got, want)
			}
		}},
		scene{"nobody is there", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clearEvents()
			ways := in.looks(bob, 42)
			for _, way := range []string{"find by id", "audit"} {
				wantFailure(t, ways[way](t.Context(), root), nil)
			}
			for _, way := range []string{"show", "timeline"} {
				wantFailure(t, ways[way](t.Context(), root), model.ErrNotFound)
			}
			wantFailure(t, errOf(in.find(t, "12345", 0)), model.ErrMobile)
			in.wantEvents()
			for range 2 { // the number, not the id, is what was looked for
				wantFailure(t, ways["find by number"](t.Context(), root), nil)
				wantFailure(t, errOf(in.find(t, bob, c.user)), nil)
				wantFailure(t, errOf(in.find(t, alice, 42)), nil)
			}
			want := []line{{Kind: "viewed", Actor: "root", Detail: `{"mobile":"139****9000"}`}}
			if got := in.lines(t, 0, model.Kinds()...); !slices.Equal(got, want) {
				t.Errorf("the log has %+v, want %+v", got, want)
			}
			if got := in.viewedBy(0); !slices.Equal(got, []string{"root 4"}) {
				t.Errorf("looks %q", got)
			}
			if got := in.viewedBy(c.user); !slices.Equal(got, []string{"root 2"}) {
				t.Errorf("looks %q at the user of the number", got)
			}
		}},
		scene{"left out by the rest of the query", func(t *testing.T, in *instance) {
			c, banned, other := in.logIn(alice), true, int32(1)
			in.logIn(bob)
			in.clearEvents()
			for _, q := range []service.UserQuery{
				{ID: c.user, Banned: &banned}, {ID: c.user, Source: "elsewhere"}, {ID: c.user, CompanyType: &other}, {ID: c.user, ExternalID: "x"}, {Mobile: alice, Banned: &banned},
			} {
				if users, _, err := in.admin.List(t.Context(), root, q); err != nil || len(users) > 0 {
					t.Errorf("%+v: %d users, error %v", q, len(users), err)
				}
			}
			_, _, err := in.admin.Messages(t.Context(), root, service.MessageQuery{UserID: c.user, Mobile: bob})
			wantFailure(t, err, nil)
			if got := in.viewedBy(c.user); !slices.Equal(got, []string{"root 6"}) {
				t.Errorf("looks %q", got)
			}
		}},
		scene{"a deleted account", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.deleteAccount(c, alice)
			for _, way := range []string{"find by id", "show", "timeline", "audit"} {
				wantFailure(t, in.looks(alice, c.user)[way](t.Context(), root), nil)
			}
			if got := in.viewedBy(c.user); !slices.Equal(got, []string{"root 4"}) {
				t.Errorf("looks %q", got)
			}
		}},
	)
}
