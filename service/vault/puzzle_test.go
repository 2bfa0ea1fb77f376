package vault

import (
	"bytes"
	"testing"
)

// TestPuzzles: a signature is good for its text alone, and for as long as its secret is
// configured.
func TestPuzzles(t *testing.T) {
	secret := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	open := func(secrets ...[]byte) *Vault {
		v, err := newVault(secrets)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	old, rotated, other := open(secret('k')), open(secret('n'), secret('k')), open(secret('n'))
	signature := old.SignPuzzle([]byte("text"))
	for name, row := range map[string]struct {
		vault     *Vault
		text      string
		signature []byte
		want      bool
	}{
		"its own":            {old, "text", signature, true},
		"a former secret's":  {rotated, "text", signature, true},
		"a secret's, gone":   {other, "text", signature, false},
		"another text's":     {old, "Text", signature, false},
		"cut off":            {old, "text", signature[:31], false},
		"none":               {old, "text", nil, false},
		"by the new secret":  {rotated, "text", rotated.SignPuzzle([]byte("text")), true},
		"unknown to the old": {old, "text", rotated.SignPuzzle([]byte("text")), false},
	} {
		if got := row.vault.PuzzleSigned([]byte(row.text), row.signature); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
