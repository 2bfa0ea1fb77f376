package config

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	secretKeySize  = 32 // bytes of secret.key
	secretText     = 32 // minimum length of clients' and operators' secrets, in characters
	webhookPrefix  = "whsec_"
	webhookLeast   = 24 // bytes of a Standard Webhooks secret
	webhookLenient = 16 // outside production
	webhookMost    = 64
)

func (r *rules) secrets() {
	if r.Secret.Key != "" {
		r.masterKey("secret.key", r.Secret.Key)
	} else if r.Production() {
		r.breaks("secret.key", "must be given in production, where none is generated: base64 of 32 random bytes")
	}
	for i, previous := range r.Secret.Previous {
		r.masterKey(item("secret.previous", i), previous)
	}
}

func (r *rules) masterKey(key string, secret Secret) {
	decoded, err := decodeBase64(string(secret))
	switch {
	case err != nil:
		r.breaks(key, "must be standard base64 of 32 bytes: it is not base64")
	case len(decoded) != secretKeySize:
		r.breaks(key, "must be standard base64 of 32 bytes: it is of %d", len(decoded))
	case r.Production() && sample(decoded):
		r.guessable(key)
	}
}

func (r *rules) webhookSecret(secret string) {
	const key = "sms.webhook.secret"
	least := webhookLenient
	if r.Production() {
		least = webhookLeast
	}
	encoded, prefixed := strings.CutPrefix(secret, webhookPrefix)
	decoded, err := decodeBase64(encoded)
	switch {
	case !prefixed:
		r.breaks(key, "must begin with %s", webhookPrefix)
	case err != nil:
		r.breaks(key, "must be %s and standard base64: it is not base64", webhookPrefix)
	case len(decoded) < least || len(decoded) > webhookMost:
		r.breaks(key, "must be %s and base64 of %d to %d bytes: it is of %d",
			webhookPrefix, least, webhookMost, len(decoded))
	case r.Production() && sample(decoded):
		r.guessable(key)
	}
}

func (r *rules) clients() {
	ids := unique[string]{}
	for i, c := range r.Clients {
		key := item("clients", i)
		// HTTP Basic ends the user at the first colon (RFC 7617 §2).
		if c.ID == "" || strings.Contains(c.ID, ":") {
			r.breaks(key+".id", "must be a name without a colon")
		}
		ids.add(r, key+".id", c.ID)
		r.longSecret(key+".secret", c.Secret)
	}
}

// ShellActor is the prefix of actors of commands. No admin key may have such a name.
const ShellActor = "cli:"

// maxActor bounds the name of an actor in the audit trail, in characters.
const maxActor = 64

func (r *rules) admins() {
	adminNames, keys := unique[string]{}, unique[[sha256.Size]byte]{}
	for i, a := range r.Admin.Keys {
		key := item("admin.keys", i)
		switch n := utf8.RuneCountInString(a.Name); {
		case n == 0 || n > maxActor || strings.ContainsFunc(a.Name, unicode.IsControl):
			r.breaks(key+".name", "must be 1 to %d characters", maxActor)
		case a.Name == "user" || a.Name == "system" || strings.HasPrefix(a.Name, ShellActor):
			r.breaks(key+".name", "is what the audit trail calls others")
		}
		adminNames.add(r, key+".name", a.Name)
		r.oneOf(key+".role", a.Role, RoleRead, RoleSupport, RoleAdmin)
		companies := unique[int32]{}
		for n, company := range a.Companies {
			companies.add(r, item(key+".companies", n), company)
		}
		hash, hashed, ok := hashOf(a.Key)
		switch {
		case !ok:
			r.breaks(key+".key", "must be %s and 64 hexadecimal digits, or the key itself", hashPrefix)
		case !hashed:
			r.clearKey(key+".key", a.Key)
		}
		keys.add(r, key+".key", hash)
	}
}

func (r *rules) clearKey(key string, secret Secret) {
	r.longSecret(key, secret)
	if strings.ContainsFunc(string(secret), func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.breaks(key, "must be printable ASCII without spaces, to fit into an Authorization header")
	}
}

func (r *rules) longSecret(key string, secret Secret) {
	if n := utf8.RuneCountInString(string(secret)); n < secretText {
		r.breaks(key, "must have at least %d characters: it has %d", secretText, n)
	} else if r.Production() && sample(string(secret)) {
		r.guessable(key)
	}
}

func (r *rules) guessable(key string) {
	r.breaks(key, "is a sample that anybody would try, which production refuses")
}
