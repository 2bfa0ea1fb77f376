package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"menshen/repository/dbtest"
)

// TestStrangers: strangers who know the numbers of owners, and an expired token of each, do
// all that a client can, as fast as they are answered, from one address and from fifty. With
// the limits of config.yaml no request of an owner fails whose device has logged in before
// and keeps ticket and credential: codes, logins, changes of number, deletions,
// refreshes, checks. Half of the numbers were locked by strangers before.
func TestStrangers(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) { // one after the other: each takes all of the machine
			d := newDeployment(t, driver, "SERVER_TRUSTED_PROXIES=127.0.0.1")
			d.shipLimits()
			first := d.start(t, data, freely...)
			owners := first.newOwners(t, soak(12, 240))
			for n, o := range owners {
				if n%2 == 0 {
					first.lockNumber(t, o.mobile)
				}
			}
			thief := first.newOwners(t, 1)[0]
			first.stop(t)
			d.forgetMinutes(t)
			i := d.start(t, data)
			half := len(owners) / 2
			t.Run("one address", func(t *testing.T) {
				i.besideStrangers(t, newCrowd(thief, 200, "203.0.113.1"), owners[:half])
			})
			t.Run("fifty addresses", func(t *testing.T) {
				var addresses []string
				for n := range 10 {
					addresses = append(addresses, fmt.Sprintf("203.0.113.%d", 100+n), fmt.Sprintf("2001:db8:1:%x::1", n), fmt.Sprintf("2001:db8:2:%x::1", n),
						fmt.Sprintf("10.%d.0.1", n), fmt.Sprintf("10.%d.1.1", n))
				}
				i.besideStrangers(t, newCrowd(thief, soak(600, 1500), addresses...), owners[half:])
			})
			i.stop(t)
			d.wantInvariants(t)
		})
	}
}

// besideStrangers lets owners act beside a crowd.
func (i *instance) besideStrangers(t *testing.T, c *crowd, owners []*owner) {
	t.Helper()
	c.aimAt(owners)
	c.start(t, i)
	defer c.stop()
	workers := soak(2, 4)
	took := make([]delays, workers)
	runAtOnce(workers, func(w int) {
		for n := w; n < len(owners); n += workers {
			o := owners[n]
			o.on = i
			o.actAsUsual(t)
			switch n / workers % 3 {
			case 0:
				o.logInAgain(t)
				o.actAsUsual(t)
			case 1:
				o.changeNumber(t)
				o.actAsUsual(t)
			case 2:
				o.delete(t)
			}
			took[w] = append(took[w], o.took...)
		}
	})
	eventually(t, callTime, "strangers meet each limit", func() bool { return c.met(40002, 42900, 42901, 42902, 42903) })
	c.stop()
	all := slices.Concat(took...)
	slices.Sort(all)
	t.Logf("%d requests of owners took %s; strangers: %s", len(all), all, c)
}

// freely are the settings of an instance on which accounts and their past are made: no
// limits of times and addresses, and tokens that expire at once.
var freely = []string{
	"LIMITS_ENABLED=false", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0",
	"CODE_PER_BLOCK_DAY=0", "TOKEN_ACCESS_TTL=1s",
}

// forgetMinutes makes all codes two hours older: what they used up of a minute or an hour
// is over, what they used up of a day is not.
func (d *deployment) forgetMinutes(t *testing.T) {
	t.Helper()
	d.exec(t, "UPDATE codes SET sent_at = sent_at - 7200000, expires_at = expires_at - 7200000")
}

// lockNumber does to a number what strangers can: ten messages and twenty failures a day.
func (i *instance) lockNumber(t *testing.T, mobile string) {
	t.Helper()
	for n := range 9 { // the owner has had one
		i.call(codeRequest(mobile)).wantSuccess(t)
		for range 5 {
			if a := i.call(loginRequest(mobile, "none", "")); a.code != 40002 && a.code != 42903 || n < 4 && a.code == 42903 {
				t.Fatalf("a wrong code: %s", a)
			}
		}
	}
	if a := i.call(codeRequest(mobile)); a.code != 42902 {
		t.Fatalf("an eleventh code: %s", a)
	}
	if a := i.call(loginRequest(mobile, "none", "")); a.code != 42903 {
		t.Fatalf("a 21st failure: %s", a)
	}
}

// owner is a person whose device has logged in before, and keeps what it was given.
type owner struct {
	*session
	on                  *instance
	address, credential string
	took                delays
}

// ownersProduct is the product of owners. Strangers ask for codes of another one, so that
// the messages of a number tell which code is whose.
const ownersProduct = 2

// newOwners logs in as new users.
func (i *instance) newOwners(t *testing.T, n int) []*owner {
	t.Helper()
	owners := make([]*owner, n)
	runAtOnce(min(n, 12), func(w int) {
		for k := w; k < n; k += 12 {
			o := &owner{on: i, session: &session{mobile: i.d.number(), device: "device"}, address: fmt.Sprintf("198.51.%d.%d", k/250, 1+k%250)}
			o.logInAgain(t)
			o.took = nil
			owners[k] = o
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return owners
}

// do sends a request from the owner's address. It must succeed.
func (o *owner) do(t *testing.T, r request, headers ...string) answer {
	t.Helper()
	r.header = headerOf(append(headers, "X-Forwarded-For", o.address)...)
	a := o.on.call(r)
	o.took = append(o.took, a.took)
	if a.err != nil || a.code != 0 {
		t.Fatalf("%s of an owner: %s", r.path, a)
	}
	return a
}

// headerOf returns a header from alternating names and values.
func headerOf(pairs ...string) http.Header {
	header := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}

// requestCode requests a code and returns it with its ticket.
func (o *owner) requestCode(t *testing.T, mobile, purpose string) (code, ticket string) {
	t.Helper()
	r := codeRequest(mobile)
	r.body.(object)["productType"], r.body.(object)["purpose"] = ownersProduct, purpose
	a := o.do(t, r, "X-Device-Credential", o.credential)
	return o.on.d.messages.newestOf(mobile, ownersProduct), a.header.Get("X-Code-Ticket")
}

func (o *owner) logInAgain(t *testing.T) {
	t.Helper()
	code, ticket := o.requestCode(t, o.mobile, "login")
	o.logIn(t, code, ticket)
}

func (o *owner) logIn(t *testing.T, code, ticket string) {
	t.Helper()
	r := loginRequest(o.mobile, code, o.device)
	r.body.(object)["productType"] = ownersProduct
	a := o.do(t, r, "X-Code-Ticket", ticket)
	o.session, o.credential = a.session(t, o.mobile, o.device), a.header.Get("X-Device-Credential")
}

func (o *owner) changeNumber(t *testing.T) {
	t.Helper()
	to := o.on.d.number()
	oldCode, oldTicket := o.requestCode(t, o.mobile, "change")
	newCode, newTicket := o.requestCode(t, to, "change")
	body := object{"mobile": to, "validateNo": newCode, "oldValidateNo": oldCode}
	a := o.do(t, request{path: "/app/auth/user/mobile", token: o.access, body: body}, "X-Code-Ticket", oldTicket+","+newTicket)
	o.mobile, o.credential = to, a.header.Get("X-Device-Credential")
}

func (o *owner) delete(t *testing.T) {
	t.Helper()
	code, ticket := o.requestCode(t, o.mobile, "delete")
	o.do(t, request{method: http.MethodDelete, path: "/app/auth/user", token: o.access, body: object{"validateNo": code}}, "X-Code-Ticket", ticket)
}

// actAsUsual does what a client does all day. Its token may have expired.
func (o *owner) actAsUsual(t *testing.T) {
	t.Helper()
	for range 2 {
		o.access = o.do(t, o.refreshRequest()).token(t)
		if a := o.do(t, o.checkRequest("")); a.state() != "active" {
			t.Errorf("a check of an owner: %s", a)
		}
		o.do(t, request{path: "/app/auth/user", token: o.access})
		o.do(t, request{path: "/app/auth/sessions", token: o.access})
	}
}
