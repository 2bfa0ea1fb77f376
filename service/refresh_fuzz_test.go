package service

import (
	"context"
	"errors"
	"strings"
	"testing"

	"menshen/model"
)

// oneSession is storage with one session, which is asked for ids only.
type oneSession struct {
	SessionStore
	session model.Session
	asked   []string
}

func (o *oneSession) ByID(_ context.Context, id string) (model.Session, error) {
	o.asked = append(o.asked, id)
	if id != o.session.ID {
		return model.Session{}, model.ErrNotFound
	}
	return o.session, nil
}

// FuzzRefreshToken: no bytes but the token's own find its session, every refusal
// is the same, and nothing goes to the storage that is not an id's form.
func FuzzRefreshToken(f *testing.F) {
	id := strings.Repeat("AB23", 6) + "CD"
	token, hash := newRefreshToken(id)
	for _, seed := range []string{
		string(token), "", "rt1_", "rt1__", "rt1_" + id, "rt1_" + id + "_", "rt2_" + id + "_x", "rt1_" + strings.ToLower(id) + "_x",
		"rt1_" + id + "_" + id + "_x", "rt1_' OR 1=1 --_x", "rt1_../x_x", "rt1_\x00_x", "RT1_" + id + "_x", "rt1_" + strings.Repeat("A", 300) + "_x",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, own bool) {
		store := &oneSession{session: model.Session{ID: id, RefreshHash: hash}}
		if own { // the finder is to come close: its bytes behind the right ones
			raw = string(token) + raw
		}
		session, err := (&Sessions{Endings: &Endings{Store: store}}).byRefreshToken(t.Context(), model.Secret(raw))
		if right := raw == string(token); (err == nil) != right || right && session.ID != id {
			t.Errorf("%q: session %q, error %v", raw, session.ID, err)
		}
		if err != nil && !errors.Is(err, model.ErrRefreshToken) {
			t.Errorf("%q: error %v", raw, err)
		}
		for _, asked := range store.asked {
			if strings.Trim(asked, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || asked == "" || len(asked) > 32 {
				t.Errorf("%q: the storage was asked for %q", raw, asked)
			}
		}
	})
}
