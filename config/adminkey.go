package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// hashPrefix marks an operator's key that is configured as a hash.
const hashPrefix = "sha256:"

// Hash is the SHA-256 of the operator's key.
func (k AdminKey) Hash() [sha256.Size]byte {
	hash, _, _ := hashOf(k.Key)
	return hash
}

// hashOf is the hash of a key in clear or as a hash. ok is false for a malformed hash.
func hashOf(key Secret) (hash [sha256.Size]byte, hashed, ok bool) {
	digits, hashed := strings.CutPrefix(string(key), hashPrefix)
	if !hashed {
		return sha256.Sum256([]byte(key)), false, true
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil || len(decoded) != len(hash) {
		return hash, true, false
	}
	return [sha256.Size]byte(decoded), true, true
}

// hashKeys replaces keys in clear by their hashes, since a configuration stays in
// memory.
func (c *Config) hashKeys() {
	for i := range c.Admin.Keys {
		hash := c.Admin.Keys[i].Hash()
		c.Admin.Keys[i].Key = Secret(hashPrefix + hex.EncodeToString(hash[:]))
	}
}
