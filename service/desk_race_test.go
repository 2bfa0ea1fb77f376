package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// deskRace is two acts of operators at once, on two instances, about the accounts a and b.
type deskRace struct {
	name string
	acts func(r *deskRound) [2]func(in *instance) error
	want func(t *testing.T, r *deskRound, errs []error)
}

// deskRound is one round of a race.
type deskRound struct {
	*instance
	a, b     client
	from, to string       // number of a; a free one
	code     model.Secret // sent to the free number
	ticket   model.Secret // of the code
}

// id returns the user of a client.
func (c client) id() int64 { return c.User.User.ID }

// renumber moves the user to the number by the code.
func (r *deskRound) renumber(user client, to string, code, ticket model.Secret) func(in *instance) error {
	return func(in *instance) error {
		return errOf(in.admin.Renumber(in.t.Context(), root, user.id(), service.LostNumber{Mobile: to, Code: code, Ticket: ticket, Reason: "lost"}))
	}
}

// codeFor sends a code to a new number of the user.
func (r *deskRound) codeFor(user client, to string) (code, ticket model.Secret) {
	r.t.Helper()
	sent, err := r.admin.SendCode(r.t.Context(), root, user.id(), to, model.LanguageZhCN)
	wantFailure(r.t, err, nil)
	return r.phone.last(), sent.Ticket
}

func (r *deskRound) erase(in *instance) error {
	return errOf(in.admin.Delete(in.t.Context(), root, r.a.id(), "asked"))
}

// wantLines checks how many lines of each kind a user has.
func (r *deskRound) wantLines(user client, want map[model.Kind]int) {
	r.t.Helper()
	for kind, n := range want {
		if lines := r.lines(r.t, user.id(), kind); len(lines) != n {
			r.t.Errorf("%d lines %s, want %d: %+v", len(lines), kind, n, lines)
		}
	}
}

// done is 1 for an act that was done.
func done(err error) int {
	if err == nil {
		return 1
	}
	return 0
}

// TestDeskRaces: two operators at once get the answers of the contract, nothing that was
// answered with success is lost, and each act that was done has one line.
func TestDeskRaces(t *testing.T) {
	const rounds = 4
	eachDB(t, func(t *testing.T, db *repository.DB) {
		d := newDeployment(t, db, standard)
		here, there := d.start(0), d.start(0)
		for _, race2 := range deskRaces {
			t.Run(race2.name, func(t *testing.T) {
				for range rounds {
					r := &deskRound{instance: here, from: d.number(), to: d.number()}
					r.a, r.b = here.logIn(r.from), here.logIn(d.number())
					r.code, r.ticket = r.codeFor(r.a, r.to)
					acts := race2.acts(r)
					errs := race(2, func(i int) error { return acts[i]([]*instance{here, there}[i]) })
					race2.want(t, r, errs)
					for _, mobile := range []string{r.from, r.to} {
						if ids := here.holders(mobile); len(ids) > 1 {
							t.Errorf("%s has the accounts %v", mobile, ids)
						}
					}
				}
			})
		}
	})
}

var deskRaces = []deskRace{
	{
		"one number for two users, by one code",
		func(r *deskRound) [2]func(in *instance) error {
			return [2]func(in *instance) error{r.renumber(r.a, r.to, r.code, r.ticket), r.renumber(r.b, r.to, r.code, r.ticket)}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantWinners(t, errs, 1, model.ErrCode)
			r.wantLines(r.a, map[model.Kind]int{model.EventNumberChanged: done(errs[0]), model.EventKick: done(errs[0])})
			r.wantLines(r.b, map[model.Kind]int{model.EventNumberChanged: done(errs[1]), model.EventKick: done(errs[1])})
		},
	},
	{
		"one number for two users, each by a code of its own",
		func(r *deskRound) [2]func(in *instance) error {
			code, ticket := r.codeFor(r.b, r.to)
			return [2]func(in *instance) error{r.renumber(r.a, r.to, r.code, r.ticket), r.renumber(r.b, r.to, code, ticket)}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantWinners(t, errs, 1, model.ErrNumberTaken)
			r.wantLines(r.a, map[model.Kind]int{model.EventNumberChanged: done(errs[0]), model.EventKick: done(errs[0])})
			r.wantLines(r.b, map[model.Kind]int{model.EventNumberChanged: done(errs[1]), model.EventKick: done(errs[1])})
		},
	},
	{
		"one user to two numbers",
		func(r *deskRound) [2]func(in *instance) error {
			other := r.number()
			code, ticket := r.codeFor(r.a, other)
			return [2]func(in *instance) error{r.renumber(r.a, r.to, r.code, r.ticket), r.renumber(r.a, other, code, ticket)}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantWinners(t, errs, 2, nil)
			lines := r.lines(t, r.a.id(), model.EventNumberChanged)
			if len(lines) != 2 {
				t.Fatalf("lines %+v", lines)
			}
			first, last := detailOf(t, lines[0].Detail), detailOf(t, lines[1].Detail)
			person, err := r.admin.Show(t.Context(), root, r.a.id())
			wantFailure(t, err, nil)
			if first["to"] != last["from"] || person.Profile.Mobile != last["to"] {
				t.Errorf("the number is %s after %v and %v", person.Profile.Mobile, first, last)
			}
			r.wantLines(r.a, map[model.Kind]int{model.EventKick: 1}) // of the one session
		},
	},
	{
		"two deletions",
		func(r *deskRound) [2]func(in *instance) error { return [2]func(in *instance) error{r.erase, r.erase} },
		func(t *testing.T, r *deskRound, errs []error) {
			wantWinners(t, errs, 1, model.ErrNotFound)
			r.wantLines(r.a, map[model.Kind]int{model.EventUserDeleted: 1, model.EventLogout: 1})
		},
	},
	{
		"a deletion and a patch",
		func(r *deskRound) [2]func(in *instance) error {
			return [2]func(in *instance) error{r.erase, func(in *instance) error {
				return errOf(in.admin.Edit(in.t.Context(), root, r.a.id(), service.AccountEdit{Metadata: []byte(`{"a":1}`), ExternalID: &r.from}))
			}}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantFailure(t, errs[0], nil)
			if errs[1] != nil {
				wantFailure(t, errs[1], model.ErrNotFound)
			}
			r.wantLines(r.a, map[model.Kind]int{model.EventUserDeleted: 1, model.EventUserChanged: done(errs[1])})
			if n := r.count("SELECT COUNT(*) FROM users WHERE id = ? AND metadata IS NULL AND external_id IS NULL", r.a.id()); n != 1 {
				t.Error("the patch outlives the deletion")
			}
		},
	},
	{
		"a deletion and a ban",
		func(r *deskRound) [2]func(in *instance) error {
			return [2]func(in *instance) error{r.erase, func(in *instance) error {
				return errOf(in.admin.Ban(in.t.Context(), root, r.a.id(), "fraud", 0))
			}}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantWinners(t, errs, 2, nil)
			r.wantLines(r.a, map[model.Kind]int{model.EventUserDeleted: 1})
			var acts []string // a ban has a line for each session too
			for _, l := range r.lines(t, r.a.id(), model.EventUserDeleted, model.EventBan) {
				if l.Session == "" {
					acts = append(acts, l.Kind)
				}
			}
			if len(acts) != 2 || (len(r.holders(r.from)) == 1) != (acts[0] == string(model.EventBan)) {
				t.Errorf("after %v the number has the accounts %v", acts, r.holders(r.from))
			}
			if r.active(t, r.a.id()) != 0 {
				t.Error("a session is left")
			}
		},
	},
	{
		"a deletion and a change of number",
		func(r *deskRound) [2]func(in *instance) error {
			return [2]func(in *instance) error{r.erase, r.renumber(r.a, r.to, r.code, r.ticket)}
		},
		func(t *testing.T, r *deskRound, errs []error) {
			wantFailure(t, errs[0], nil)
			if errs[1] != nil {
				wantFailure(t, errs[1], model.ErrNotFound)
				wantFailure(t, r.renumber(r.b, r.to, r.code, r.ticket)(r.instance), nil) // the code is unused
			}
			r.wantLines(r.a, map[model.Kind]int{model.EventUserDeleted: 1, model.EventNumberChanged: done(errs[1])})
			if n := len(r.holders(r.from)); n != 0 {
				t.Errorf("the old number has %d accounts", n)
			}
		},
	},
}

// detailOf returns the members of an event's detail.
func detailOf(t *testing.T, detail string) map[string]string {
	t.Helper()
	members := map[string]string{}
	if err := json.NewDecoder(strings.NewReader(detail)).Decode(&members); err != nil {
		t.Fatalf("%s: %v", detail, err)
	}
	return members
}
