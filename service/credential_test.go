package service_test

import (
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

// bearing gives the request a device credential.
func bearing(credential model.Secret) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Credential = credential }
}

// wantPool requests a code, which must be sent and counted in the pool.
func (in *instance) wantPool(want model.SendPool, mobile string, change ...func(r *code.SendRequest)) {
	in.t.Helper()
	in.wantSent(mobile, change...)
	if got := in.count("SELECT send_pool FROM codes ORDER BY seq DESC LIMIT 1"); got != int64(want) {
		in.t.Errorf("the pool is %d, want %d", got, want)
	}
}

// renumberTo moves the client to another number and returns its new credential.
func (in *instance) renumberTo(c client, from, to string) model.Secret {
	in.t.Helper()
	oldCode, newCode := in.changeCodes(from, to, 0)
	_, credential, err := in.users.ChangeNumber(in.t.Context(), service.NumberChange{
		Mobile: to, NewCode: newCode, OldCode: oldCode, Session: in.row(c), Caller: model.Caller{},
	})
	wantFailure(in.t, err, nil)
	return credential
}

func (in *instance) deleteAccount(c client, mobile string) {
	in.t.Helper()
	session := in.row(c)
	_, err := in.users.Delete(in.t.Context(), service.Deletion{Session: session, Code: in.receiveCode(mobile, forPurpose(model.PurposeDelete))})
	wantFailure(in.t, err, nil)
}

// TestCredentialIsGood: the pool of a request that bears a credential from a login of
// alice, after what became of it.
func TestCredentialIsGood(t *testing.T) {
	const life = 180 * 24 * time.Hour
	since := func(then func(in *instance, c client)) func(*instance, client) model.Secret {
		return func(in *instance, c client) model.Secret { then(in, c); return c.Credential }
	}
	edited := func(edit func(text string) string) func(*instance, client) model.Secret {
		return func(_ *instance, c client) model.Secret { return model.Secret(edit(string(c.Credential))) }
	}
	for _, row := range []struct {
		name    string
		bears   func(in *instance, c client) model.Secret
		mobile  string // "": alice
		company int32
		want    model.SendPool
	}{
		{name: "its own", bears: since(func(*instance, client) {}), want: model.SendKnown},
		{name: "after a logout", bears: since(func(in *instance, c client) { in.wantLogOut(c, service.ScopeAll, 1) }), want: model.SendKnown},
		{name: "after another login", bears: since(func(in *instance, _ client) { in.logIn(alice) }), want: model.SendKnown},
		{name: "after a restart", bears: since(func(in *instance, _ client) { in.restart() }), want: model.SendKnown},
		{name: "of another instance", bears: since(func(in *instance, _ client) { *in = *in.another() }), want: model.SendKnown},
		{name: "while banned", bears: since(func(in *instance, _ client) {
			in.sql("UPDATE users SET banned_until = ?", model.Forever)
		}), want: model.SendKnown},
		{name: "before its end", bears: since(func(in *instance, _ client) { in.clock.Advance(life - time.Second) }), want: model.SendKnown},
		{name: "at its end", bears: since(func(in *instance, _ client) { in.clock.Advance(life) })},
		{name: "for another number", bears: since(func(*instance, client) {}), mobile: bob},
		{name: "for another number with an account", bears: since(func(in *instance, _ client) { in.logIn(bob) }), mobile: bob},
		{name: "for another company", bears: since(func(*instance, client) {}), company: 1},
		{name: "for another company with an account", bears: since(func(in *instance, _ client) { in.logIn(alice, inCompany(1)) }), company: 1},
		{name: "after a deletion", bears: since(func(in *instance, c client) { in.deleteAccount(c, alice) })},
		{name: "for the next account of the number", bears: since(func(in *instance, c client) {
			in.deleteAccount(c, alice)
			in.logIn(alice)
		})},
		{name: "after a deletion that a ban left the number", bears: since(func(in *instance, c client) {
			session, code := in.row(c), in.receiveCode(alice, forPurpose(model.PurposeDelete))
			in.sql("UPDATE users SET banned_until = ?", model.Forever)
			_, err := in.users.Delete(in.t.Context(), service.Deletion{Session: session, Code: code})
			wantFailure(in.t, err, nil)
		})},
		{name: "for the former number", bears: since(func(in *instance, c client) { in.renumberTo(c, alice, bob) })},
		{name: "the former one, for the new number", bears: since(func(in *instance, c client) { in.renumberTo(c, alice, bob) }), mobile: bob},
		{name: "the former one, after a change away and back", bears: since(func(in *instance, c client) {
			in.renumberTo(c, alice, bob)
			in.renumberTo(c, bob, alice)
		})},
		{name: "the former one, after a change by an older program", bears: since(func(in *instance, c client) {
			in.renumberTo(c, alice, bob)
			in.sql("UPDATE users SET credential_epoch = 0")
		}), mobile: bob},
		{name: "from a change", bears: func(in *instance, c client) model.Secret { return in.renumberTo(c, alice, bob) }, mobile: bob, want: model.SendKnown},
		{name: "with a secret that still verifies", bears: since(func(in *instance, _ client) {
			in.admission.Vault = in.mustOpenVault('n', 'k')
			in.t.Cleanup(in.emptyVaultAfter)
		}), want: model.SendKnown},
		{name: "with a secret that is gone", bears: since(func(in *instance, _ client) {
			in.mustOpenVault('n', 'k')
			in.admission.Vault = in.mustOpenVault('n')
			in.t.Cleanup(in.emptyVaultAfter)
		})},
		{name: "cut", bears: edited(func(text string) string { return text[:len(text)-1] })},
		{name: "with a blank", bears: edited(func(text string) string { return text + " " })},
		{name: "without its prefix", bears: edited(func(text string) string { return strings.TrimPrefix(text, "dc1_") })},
		{name: "twice", bears: edited(func(text string) string { return text + "," + text })},
		{name: "issued some seconds later or earlier", bears: edited(func(text string) string {
			return text[:13] + map[bool]string{true: "A", false: "B"}[text[13] != 'A'] + text[14:]
		})},
		{name: "with another MAC", bears: edited(func(text string) string { return text[:20] + "AAAA" + text[24:] })},
		{name: "with bits behind its end", bears: edited(func(text string) string { return text[:len(text)-1] + string(text[len(text)-1]+1) })},
	} {
		runScenes(t, scene{row.name, func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			mobile := row.mobile
			if mobile == "" {
				mobile = alice
			}
			in.wantPool(row.want, mobile, forCompany(row.company), bearing(row.bears(in, c)))
		}})
	}
}

// TestCredentialShowsNothing: it is printable, short, different each time, and none of what
// it stands for is in it.
func TestCredentialShowsNothing(t *testing.T) {
	runScenes(t, scene{"two logins", func(t *testing.T, in *instance) {
		first := in.logIn(alice).Credential
		in.clock.Advance(time.Second)
		second := in.logIn(alice).Credential
		if first == second || !strings.HasPrefix(string(first), "dc1_") || len(first) > 256 || strings.Trim(string(first), "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("credentials %q and %q", string(first), string(second))
		}
		if strings.Contains(in.dumpDatabase(), string(first)[4:]) {
			t.Error("a credential is in a row")
		}
	}})
}
