package token

import (
	"bytes"
	"strings"
	"testing"

	"menshen/model"
)

// FuzzRefreshToken: no bytes but the token's own have its session and its hash, and nothing is
// taken for a session's id that has not the form of one.
func FuzzRefreshToken(f *testing.F) {
	id := strings.Repeat("AB23", 6) + "CD"
	token, hash := NewRefresh(id)
	for _, seed := range []string{
		string(token), "", "rt1_", "rt1__", "rt1_" + id, "rt1_" + id + "_", "rt2_" + id + "_x", "rt1_" + strings.ToLower(id) + "_x",
		"rt1_" + id + "_" + id + "_x", "rt1_' OR 1=1 --_x", "rt1_../x_x", "rt1_\x00_x", "RT1_" + id + "_x", "rt1_" + strings.Repeat("A", 300) + "_x",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, own bool) {
		if own { // the finder is to come close: its bytes behind the right ones
			raw = string(token) + raw
		}
		found, foundHash, ok := ParseRefresh(model.Secret(raw))
		if right := raw == string(token); (ok && found == id && bytes.Equal(foundHash, hash)) != right {
			t.Errorf("%q: session %q, ok is %t", raw, found, ok)
		}
		if ok && (strings.Trim(found, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || found == "" || len(found) > 32) || !ok && (found != "" || foundHash != nil) {
			t.Errorf("%q: the session is %q", raw, found)
		}
	})
}
