package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

func TestUserProfile(t *testing.T) {
	runScenes(t,
		scene{"as it was at login", func(t *testing.T, in *instance) {
			c := in.logIn(alice, inCompany(1))
			got, err := in.users.ByID(t.Context(), c.User.User.ID)
			wantFailure(t, err, nil)
			if diff := cmp.Diff(c.User, got); diff != "" {
				t.Errorf("the profile differs:\n%s", diff)
			}
		}},
		scene{"unknown", func(t *testing.T, in *instance) {
			in.logIn(alice)
			for _, id := range []int64{0, 1, -1} {
				_, err := in.users.ByID(t.Context(), id)
				wantFailure(t, err, model.ErrNotFound)
			}
		}},
		scene{"a number sealed for another row", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice), in.logIn(bob)
			in.sql("UPDATE users SET mobile = (SELECT m FROM (SELECT mobile AS m FROM users WHERE id = ?) x) WHERE id = ?",
				a.User.User.ID, b.User.User.ID)
			if _, err := in.users.ByID(t.Context(), b.User.User.ID); err == nil || strings.Contains(err.Error(), alice) {
				t.Errorf("a swapped number opens, or shows: %v", err)
			}
		}},
	)
}

func TestUserChange(t *testing.T) {
	text := func(s string) *string { return &s }
	runScenes(t,
		scene{"each member alone and all", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			other := in.logIn(bob)
			want := c.User
			in.clearEvents()
			for _, step := range []struct {
				changes service.Changes
				apply   func(u *model.User)
				events  int64
			}{
				{service.Changes{}, func(*model.User) {}, 0},
				{service.Changes{NickName: text("👩‍🚀 宇航员")}, func(u *model.User) { u.NickName = "👩‍🚀 宇航员" }, 1},
				{service.Changes{RealName: text("张三")}, func(u *model.User) { u.RealName = "张三" }, 2},
				{service.Changes{AvatarURL: text("https://example.com/a.png")}, func(u *model.User) { u.AvatarURL = "https://example.com/a.png" }, 3},
				{service.Changes{RealName: text("张三")}, func(*model.User) {}, 3}, // the same once more changes nothing
				{service.Changes{RealName: text(""), AvatarURL: text("")}, func(u *model.User) { u.RealName, u.AvatarURL = "", "" }, 4},
				{service.Changes{NickName: text(strings.Repeat("门", 32)), RealName: text(strings.Repeat("🚀", 64))}, func(u *model.User) {
					u.NickName, u.RealName = strings.Repeat("门", 32), strings.Repeat("🚀", 64)
				}, 5},
			} {
				step.apply(&want.User)
				in.clock.Advance(time.Minute) // repeats within a minute are one event
				got, err := in.users.Change(t.Context(), in.row(c), step.changes, model.Caller{RequestID: "r1"})
				wantFailure(t, err, nil)
				again, err := in.users.ByID(t.Context(), c.User.User.ID)
				wantFailure(t, err, nil)
				for _, profile := range []service.Profile{got, again} {
					if diff := cmp.Diff(want, profile); diff != "" {
						t.Errorf("after %+v:\n%s", step.changes, diff)
					}
				}
				if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'user_changed' AND request_id = 'r1'"); n != step.events {
					t.Errorf("after %+v there are %d events, want %d", step.changes, n, step.events)
				}
			}
			if got, err := in.users.ByID(t.Context(), other.User.User.ID); err != nil || got.User.NickName != "用户8000" && got.User.NickName != other.User.User.NickName {
				t.Errorf("another user is %+v, error %v", got, err)
			}
			in.useToken(c) // sessions go on
		}},
		scene{"two members at once by 16 callers", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			session := in.row(c)
			for _, err := range race(16, func(i int) error {
				changes := service.Changes{NickName: text("nick")}
				if i%2 == 0 {
					changes = service.Changes{RealName: text("real")}
				}
				return errOf(in.users.Change(t.Context(), session, changes, model.Caller{}))
			}) {
				wantFailure(t, err, nil)
			}
			got, err := in.users.ByID(t.Context(), session.UserID)
			if err != nil || got.User.NickName != "nick" || got.User.RealName != "real" {
				t.Errorf("a change was lost: %+v, error %v", got.User, err)
			}
		}},
		scene{"an account that is gone", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			session := in.row(c)
			in.sql("DELETE FROM users")
			_, err := in.users.Change(t.Context(), session, service.Changes{NickName: text("x")}, model.Caller{})
			if !errors.Is(err, model.ErrNotFound) {
				t.Errorf("error %v", err)
			}
		}},
	)
}
