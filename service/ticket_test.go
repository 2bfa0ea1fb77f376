package service_test

import (
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

// receiveTicket requests a code, which must be sent, and returns it with its ticket.
func (in *instance) receiveTicket(mobile string, change ...func(r *code.SendRequest)) (code, ticket model.Secret) {
	in.t.Helper()
	sent := in.wantSent(mobile, change...)
	if !strings.HasPrefix(string(sent.Ticket), "ct1_") || len(sent.Ticket) < 26 || len(sent.Ticket) > 64 {
		in.t.Fatalf("the ticket is %q", string(sent.Ticket))
	}
	return in.phone.last(), sent.Ticket
}

func withTicket(ticket model.Secret) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.Ticket = ticket }
}

func byIP(ip string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.Caller.IP = ip }
}

// wantAttempts compares how many attempts were counted in each pool, over all codes.
func (in *instance) wantAttempts(open, ticket int64) {
	in.t.Helper()
	gotOpen, gotTicket := in.attempts(), in.count("SELECT COALESCE(SUM(ticket_attempts), 0) FROM codes")
	if gotOpen != open || gotTicket != ticket {
		in.t.Errorf("%d attempts are open, %d with a ticket; want %d and %d", gotOpen, gotTicket, open, ticket)
	}
}

// TestTicketIsGood: which tickets let an attempt count in their own pool. Another code of
// the number lives in each row, with which any other attempt is compared.
func TestTicketIsGood(t *testing.T) {
	for _, row := range []struct {
		name   string
		ticket func(in *instance) model.Secret
		good   bool
	}{
		{"of the newest code", func(in *instance) model.Secret { _, ticket := in.receiveTicket(alice); return ticket }, true},
		{"of an earlier code", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			in.receiveCode(alice)
			return ticket
		}, true},
		{"a moment before the end", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			in.clock.Advance(5*time.Minute - ms)
			return ticket
		}, true},
		{"none", func(*instance) model.Secret { return "" }, false},
		{"invented", func(*instance) model.Secret { return "ct1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }, false},
		{"cut", func(in *instance) model.Secret { _, ticket := in.receiveTicket(alice); return ticket[:len(ticket)-1] }, false},
		{"with a blank", func(in *instance) model.Secret { _, ticket := in.receiveTicket(alice); return ticket + " " }, false},
		{"without its prefix", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			return ticket[len("ct1_"):]
		}, false},
		{"in capitals", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			return model.Secret(strings.ToUpper(string(ticket)))
		}, false},
		{"of another number", func(in *instance) model.Secret { _, ticket := in.receiveTicket(bob); return ticket }, false},
		{"of another company", func(in *instance) model.Secret { _, ticket := in.receiveTicket(alice, forCompany(1)); return ticket }, false},
		{"of another purpose", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice, forPurpose(model.PurposeDelete))
			return ticket
		}, false},
		{"of a used code", func(in *instance) model.Secret {
			code, ticket := in.receiveTicket(alice)
			_, err := in.tryLogIn(alice, code)
			wantFailure(in.t, err, nil)
			in.sql("UPDATE codes SET attempts = 0")
			return ticket
		}, false},
		{"at its end", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			in.clock.Advance(5 * time.Minute)
			return ticket
		}, false},
		{"of a code that the provider refused after all", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			in.sql("UPDATE codes SET dead_at = 1")
			return ticket
		}, false},
		{"of a code from an older program", func(in *instance) model.Secret {
			_, ticket := in.receiveTicket(alice)
			in.sql("UPDATE codes SET ticket_hash = NULL")
			return ticket
		}, false},
	} {
		runScenes(t, scene{row.name, func(t *testing.T, in *instance) {
			ticket := row.ticket(in)
			in.receiveCode(alice)
			in.failLogins(alice, 1, withTicket(ticket))
			if row.good {
				in.wantAttempts(0, 1)
			} else {
				in.wantAttempts(1, 0)
			}
		}})
	}
}

func TestTicketAttempts(t *testing.T) {
	runScenes(t,
		scene{"the ticket's code alone is compared", func(t *testing.T, in *instance) {
			first, ticket := in.receiveTicket(alice)
			second := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, second, withTicket(ticket))
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, first, withTicket(ticket))
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, second)
			wantFailure(t, err, nil)
		}},
		scene{"strangers close the open pool alone", func(t *testing.T, in *instance) {
			code, ticket := in.receiveTicket(alice)
			in.failLogins(alice, 9)
			in.failLogins(alice, 4, withTicket(ticket))
			in.wantAttempts(5, 4)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, code, withTicket(ticket))
			wantFailure(t, err, nil)
		}},
		scene{"the ticket's pool closes, and no other is opened for it", func(t *testing.T, in *instance) {
			code, ticket := in.receiveTicket(alice)
			in.failLogins(alice, 7, withTicket(ticket))
			_, err := in.tryLogIn(alice, code, withTicket(ticket))
			wantFailure(t, err, model.ErrCode)
			in.wantAttempts(0, 5)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"a closed pool of a ticket stays closed behind 50 at once", func(t *testing.T, in *instance) {
			_, ticket := in.receiveTicket(alice)
			errs := race(50, func(int) error { return errOf(in.tryLogIn(alice, wrong, withTicket(ticket))) })
			wantWinners(t, errs, 0, model.ErrCode)
			in.wantAttempts(0, 5)
		}},
		scene{"too many failures neither refuse nor count it", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 3
			code, ticket := in.receiveTicket(alice)
			in.failLogins(alice, 4, withTicket(ticket))
			in.failLogins(alice, 3)
			in.wantLocked(alice, 24*3600+300)
			_, err := in.tryLogIn(alice, code, withTicket(ticket))
			wantFailure(t, err, nil)
			_, err = in.tryLogIn(alice, wrong) // the success took back the failures of its code
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a time-out bears one, a refusal none", func(t *testing.T, in *instance) {
			in.phone.fail = model.ErrSendRefused
			sent, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
			if sent.Ticket != "" {
				t.Error("a dead code has a ticket")
			}
			in.phone.fail = errLost
			sent, err = in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
			code := in.phone.last()
			in.phone.fail = nil
			in.receiveCode(alice)
			_, err = in.tryLogIn(alice, code, withTicket(sent.Ticket))
			wantFailure(t, err, nil)
		}},
		scene{"no refusal bears one", func(t *testing.T, in *instance) {
			in.defaults()
			in.wantSent(alice)
			if sent, err := in.sendCode(alice); err == nil || sent.Ticket != "" {
				t.Errorf("the ticket is %q, error %v", string(sent.Ticket), err)
			}
		}},
		scene{"the database keeps no ticket", func(t *testing.T, in *instance) {
			_, ticket := in.receiveTicket(alice)
			if strings.Contains(in.dumpDatabase(), string(ticket)[4:]) {
				t.Error("it is in a row")
			}
		}},
		scene{"required", func(t *testing.T, in *instance) {
			in.verifier.TicketRequired = true
			in.quotas.Limits.FailsPerMobileDay = 1
			code, ticket := in.receiveTicket(alice)
			compared := in.comparisons()
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
			in.sql("UPDATE codes SET attempts = 3")
			_, err = in.tryLogIn(alice, code) // 42903 would show that strangers locked it
			wantFailure(t, err, model.ErrCode)
			if n := in.attempts(); n != 3 || len(*compared) != 2 || (*compared)[0] || (*compared)[1] {
				t.Errorf("%d attempts are counted, %v reported", n, *compared)
			}
			_, err = in.tryLogIn(alice, code, withTicket(ticket))
			wantFailure(t, err, nil)
		}},
	)
}

// TestTicketsOfAccount: a change takes two tickets, a deletion one. Neither is stopped by
// what strangers did.
func TestTicketsOfAccount(t *testing.T) {
	lock := func(in *instance, mobiles ...string) {
		in.quotas.Limits.FailsPerMobileDay = 1
		in.sql("UPDATE codes SET attempts = 5 WHERE used_at = 0")
		for _, mobile := range mobiles {
			in.wantLocked(mobile, 24*3600+300)
		}
	}
	change := func(in *instance, c client, newCode, oldCode model.Secret, tickets ...model.Secret) (model.Secret, error) {
		_, credential, err := in.users.ChangeNumber(in.t.Context(), service.NumberChange{
			Mobile: bob, NewCode: newCode, OldCode: oldCode, Tickets: tickets, Session: in.row(c), Caller: model.Caller{},
		})
		return credential, err
	}
	forChange := forPurpose(model.PurposeChange)
	runScenes(t,
		scene{"change", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, oldTicket := in.receiveTicket(alice, forChange)
			newCode, newTicket := in.receiveTicket(bob, forChange)
			lock(in, alice, bob)
			for _, tickets := range [][]model.Secret{nil, {newTicket}, {"", newTicket}, {oldTicket + newTicket}} {
				_, err := change(in, c, newCode, oldCode, tickets...)
				wantFailure(t, err, model.ErrTooManyFailures)
			}
			_, err := change(in, c, newCode, oldCode, oldTicket) // of the old number alone
			wantFailure(t, err, model.ErrTooManyFailures)
			_, err = change(in, c, newCode, oldCode, newTicket, oldTicket)
			wantFailure(t, err, nil)
		}},
		scene{"change, in the other order", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, oldTicket := in.receiveTicket(alice, forChange)
			newCode, newTicket := in.receiveTicket(bob, forChange)
			lock(in, alice, bob)
			_, err := change(in, c, newCode, oldCode, oldTicket, newTicket)
			wantFailure(t, err, nil)
		}},
		scene{"deletion", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			code, ticket := in.receiveTicket(alice, forPurpose(model.PurposeDelete))
			lock(in, alice)
			_, err := in.users.Delete(t.Context(), service.Deletion{Session: in.row(c), Code: code})
			wantFailure(t, err, model.ErrTooManyFailures)
			_, err = in.users.Delete(t.Context(), service.Deletion{Session: in.row(c), Code: code, Ticket: ticket})
			wantFailure(t, err, nil)
		}},
	)
}

// TestRightAttemptIsNoFailure: a right code that is refused for another reason counts as
// an attempt, but not as a failure of the number.
func TestRightAttemptIsNoFailure(t *testing.T) {
	runScenes(t,
		scene{"the device limit", func(t *testing.T, in *instance) {
			in.logIn(alice, on(pos))
			in.logIn(alice, on(pos))
			in.quotas.Limits.FailsPerMobileDay = 3
			code := in.receiveCode(alice)
			for range 3 {
				_, err := in.tryLogIn(alice, code, on(pos))
				wantFailure(t, err, model.ErrDeviceLimit)
			}
			if n := in.count("SELECT attempts FROM codes WHERE used_at = 0"); n != 3 {
				t.Errorf("%d attempts are counted, want 3", n)
			}
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"closed registration", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 3
			code := in.receiveCode(alice, forCompany(7))
			for range 6 {
				_, err := in.tryLogIn(alice, code, inCompany(7))
				wantFailure(t, err, model.ErrCode)
			}
			in.wantAttempts(5, 0)
		}},
		scene{"the other code of a change", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			in.quotas.Limits.FailsPerMobileDay = 3
			for range 2 {
				_, err := in.renumber(c, bob, wrong, oldCode)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.renumber(c, bob, newCode, wrong)
			wantFailure(t, err, model.ErrCode)
			_, err = in.renumber(c, bob, newCode, oldCode) // one failure of alice, two of bob
			wantFailure(t, err, nil)
		}},
		scene{"the wrong one of a change is", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			oldCode, newCode := in.changeCodes(alice, bob, 0)
			in.quotas.Limits.FailsPerMobileDay = 2
			for range 2 {
				_, err := in.renumber(c, bob, wrong, oldCode)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.renumber(c, bob, newCode, oldCode)
			wantFailure(t, err, model.ErrTooManyFailures)
		}},
	)
}
