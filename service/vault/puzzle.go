package vault

import "crypto/hmac"

// SignPuzzle returns the signature of a puzzle, made by the current secret.
func (v *Vault) SignPuzzle(text []byte) []byte { return mac(v.puzzles[0], string(text)) }

// PuzzleSigned reports whether one of the secrets made the signature.
func (v *Vault) PuzzleSigned(text, signature []byte) bool {
	for _, key := range v.puzzles {
		if hmac.Equal(signature, mac(key, string(text))) {
			return true
		}
	}
	return false
}
