package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
)

// desk is a vendor that is asked about messages. It notes what it is asked and told.
type desk struct {
	mu     sync.Mutex
	noted  []string
	fail   error                    // of every question and report
	refuse map[string]bool          // notes that errAnswered answers
	states map[string]model.Receipt // by the message's id; none yet for the others
	queue  [][]model.Receipt        // that Pull hands out, each once
	errors []string                 // that were reported to operators
	turns  map[bool]int             // by whether they failed
}

func (d *desk) note(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted = append(d.noted, text)
	if d.refuse[text] {
		return errAnswered
	}
	return d.fail
}

// wantNoted checks what came since the last call.
func (d *desk) wantNoted(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(d.noted)
	slices.Sort(want)
	if diff := cmp.Diff(want, d.noted); diff != "" {
		t.Errorf("the vendor noted:\n%s", diff)
	}
	d.noted = nil
}

func (d *desk) ask(_ context.Context, m model.TracedMessage, number model.Mobile) (*model.Receipt, error) {
	if err := d.note("asked for " + m.MessageID + " to " + number.E164()); err != nil {
		return nil, err
	}
	if receipt, known := d.states[m.MessageID]; known {
		return &receipt, nil
	}
	return nil, nil
}

func (d *desk) redeemed(_ context.Context, m model.TracedMessage) error {
	return d.note("told of " + m.MessageID)
}

func (d *desk) pull(context.Context) ([]model.Receipt, bool, error) {
	if err := d.note("pulled"); err != nil || len(d.queue) == 0 {
		return nil, false, err
	}
	first := d.queue[0]
	d.queue = d.queue[1:]
	return first, len(d.queue) > 0, nil
}

// followUps are the work of two instances at the desk, whose messages have the provider
// "phone". Each call of the function lets both look.
func (in *instance) followUps(d *desk, tasks code.VendorTasks) (look func()) {
	in.t.Helper()
	tasks.Provider, d.turns = "phone", map[bool]int{}
	var instances []*code.FollowUps
	for _, at := range []*instance{in, in.another()} {
		f := &code.FollowUps{
			Store: repository.FollowUps{DB: in.db}, Users: repository.Users{DB: in.db}, Vault: at.vault, Receipts: at.receipts, Now: in.clock.Now,
			OnTurn:  func(_, _ string, err error) { d.turns[err != nil]++ },
			OnError: func(err error) { d.errors = append(d.errors, err.Error()) },
		}
		f.SetVendors([]code.VendorTasks{tasks})
		instances = append(instances, f)
	}
	return func() {
		in.t.Helper()
		for _, f := range instances {
			if err := f.Look(in.t.Context()); err != nil {
				in.t.Error(err)
			}
		}
	}
}

// newest is the vendor's id of the newest message.
func (in *instance) newest() string {
	all := in.phone.messages()
	return all[len(all)-1].ID
}

// pass lets time pass and then the instances look.
func (in *instance) pass(d time.Duration, look func()) {
	in.clock.Advance(d)
	look()
}

// TestAskingForReceipts: a message without a receipt is asked for at each age once, over two
// instances, if its number is that of an account.
func TestAskingForReceipts(t *testing.T) {
	runScenes(t, scene{"at each age", func(t *testing.T, in *instance) {
		vendor := &desk{states: map[string]model.Receipt{}}
		look := in.followUps(vendor, code.VendorTasks{Ask: vendor.ask})
		c := in.logIn(alice)
		registered := in.newest()
		vendor.states[registered] = model.Receipt{Provider: "phone", MessageID: registered, State: model.MessageDelivered}
		in.clock.Advance(time.Second)
		in.receiveCode(alice)
		late := in.newest()
		in.receiveCode(bob) // who has no account: the number is nowhere in clear
		look()
		vendor.wantNoted(t)
		in.pass(time.Minute, look)
		vendor.wantNoted(t, "asked for "+registered+" to +86"+alice, "asked for "+late+" to +86"+alice)
		in.wantMessages(service.MessageQuery{UserID: c.user}, "phone accepted", "phone delivered")
		for _, age := range []time.Duration{10 * time.Minute, 2 * time.Hour} {
			in.pass(age, look)
			vendor.wantNoted(t, "asked for "+late+" to +86"+alice)
			in.pass(time.Minute, look)
			vendor.wantNoted(t)
		}
		vendor.states[late] = model.Receipt{Provider: "phone", MessageID: late, State: model.MessageUndelivered, Reason: "MK:1008"}
		in.pass(24*time.Hour, look)
		vendor.wantNoted(t, "asked for "+late+" to +86"+alice)
		in.wantMessages(service.MessageQuery{UserID: c.user}, "phone undelivered MK:1008", "phone delivered")
		in.pass(24*time.Hour, look)
		vendor.wantNoted(t)
		if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'receipt'"); n != 2 || vendor.turns[true] != 0 || len(vendor.errors) != 0 {
			t.Errorf("%d events, turns %v, errors %q", n, vendor.turns, vendor.errors)
		}
	}}, scene{"of numbers that are gone", func(t *testing.T, in *instance) {
		vendor := &desk{}
		look := in.followUps(vendor, code.VendorTasks{Ask: vendor.ask})
		in.renumberTo(in.logIn(alice), alice, bob)
		in.deleteAccount(in.logIn("13700137000"), "13700137000")
		in.pass(time.Minute, look)
		for _, noted := range vendor.noted {
			if !strings.HasSuffix(noted, " to +86"+bob) {
				t.Errorf("the vendor was %s", noted)
			}
		}
		if len(vendor.noted) != 1 { // the code for the new number
			t.Errorf("noted %q", vendor.noted)
		}
	}}, scene{"of days before", func(t *testing.T, in *instance) {
		vendor := &desk{}
		in.logIn(alice)
		in.clock.Advance(25*time.Hour + time.Minute)
		in.receiveCode(alice)
		id := in.newest()
		in.pass(23*time.Hour, in.followUps(vendor, code.VendorTasks{Ask: vendor.ask})) // turned on by now alone
		asked := "asked for " + id + " to +86" + alice
		vendor.wantNoted(t, asked, asked, asked) // at once for each age that it has; the older one is left alone
	}})
}

// TestReportingRedemptions: each redeemed code is reported once over two instances, after its
// life, and no other.
func TestReportingRedemptions(t *testing.T) {
	runScenes(t, scene{"once", func(t *testing.T, in *instance) {
		vendor := &desk{}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})
		var want []string
		for i := range 20 { // more than at once
			in.logIn(numbered(i))
			want = append(want, "told of "+in.newest())
			in.receiveCode(numbered(50 + i))
		}
		in.delivery.Routes = anyRegion(code.Provider{Name: "other", Gateway: in.phone}, code.Provider{Name: "phone", Gateway: in.phone})
		in.logIn(numbered(99))
		in.pass(11*time.Minute-time.Millisecond, look)
		vendor.wantNoted(t)
		in.pass(10*time.Second, look)
		vendor.wantNoted(t, want...)
		for range 3 {
			in.pass(time.Hour, look)
		}
		vendor.wantNoted(t)
	}}, scene{"together", func(t *testing.T, in *instance) {
		vendor := &desk{}
		looks := []func(){in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed}), in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})}
		in.logIn(alice)
		in.clock.Advance(11 * time.Minute)
		together(len(looks), func(i int) { looks[i]() })
		vendor.wantNoted(t, "told of "+in.newest())
	}})
}

var errAnswered, errHangs = errors.Join(errors.New("phone"), model.VendorCode("isp.SYSTEM_ERROR")), context.DeadlineExceeded

// TestFollowUpFailures: a vendor that fails is left alone for longer each time, by all
// instances, and operators learn it once. A message is tried again, but one alone does not hold
// up the others for ever.
func TestFollowUpFailures(t *testing.T) {
	runScenes(t, scene{"a vendor that hangs", func(t *testing.T, in *instance) {
		vendor := &desk{fail: errHangs}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})
		in.logIn(alice)
		told := "told of " + in.newest()
		in.pass(11*time.Minute, look)
		vendor.wantNoted(t, told)
		for _, pause := range []time.Duration{20, 40, 80, 160, 320, 600, 600} {
			in.pass(pause*time.Second-time.Millisecond, look)
			vendor.wantNoted(t)
			in.pass(time.Millisecond, look)
			vendor.wantNoted(t, told)
		}
		vendor.fail = nil
		in.pass(10*time.Minute, look)
		vendor.wantNoted(t, told)
		in.logIn(alice)
		in.pass(11*time.Minute, look) // soon again
		vendor.wantNoted(t, "told of "+in.newest())
		vendor.fail = errHangs // after all was well
		in.logIn(alice)
		for _, pause := range []time.Duration{11 * time.Minute, 20 * time.Second} {
			in.pass(pause, look)
			vendor.wantNoted(t, "told of "+in.newest())
		}
		const failed = "phone redemptions: context deadline exceeded"
		if want := []string{failed, failed}; !slices.Equal(vendor.errors, want) || vendor.turns[true] != 10 {
			t.Errorf("errors %q, turns %v", vendor.errors, vendor.turns)
		}
	}}, scene{"a message that the vendor refuses", func(t *testing.T, in *instance) {
		vendor := &desk{fail: errAnswered}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})
		in.logIn(alice)
		first := "told of " + in.newest()
		in.clock.Advance(time.Second)
		in.logIn(bob)
		second := "told of " + in.newest()
		in.pass(11*time.Minute, look)
		vendor.wantNoted(t, first, second)
		in.pass(time.Minute, look)
		vendor.wantNoted(t, first, second)
		vendor.fail = nil
		in.pass(time.Hour, look)
		vendor.wantNoted(t, second) // the first was left out
	}}, scene{"messages that the vendor refuses for ever", func(t *testing.T, in *instance) {
		vendor := &desk{refuse: map[string]bool{}}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})
		var others []string
		for n := range 20 {
			in.clock.Advance(time.Second)
			in.logIn(in.number())
			if told := "told of " + in.newest(); n%2 == 0 {
				vendor.refuse[told] = true
			} else {
				others = append(others, told)
			}
		}
		in.pass(11*time.Minute, look)
		for range 19 { // two turns for each that is refused
			in.pass(20*time.Second, look)
		}
		told := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(vendor.noted))), func(text string) bool { return vendor.refuse[text] })
		if slices.Sort(others); !slices.Equal(told, others) {
			t.Errorf("the vendor was told of %q, want %q", told, others)
		}
	}}, scene{"an instance that stops", func(t *testing.T, in *instance) {
		vendor := &desk{}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: vendor.redeemed})
		in.logIn(alice)
		in.clock.Advance(11 * time.Minute)
		in.sql("INSERT INTO followups (name, due_at) VALUES ('phone redemptions', ?)", int64(model.TimeOf(in.clock.Now().Add(time.Minute)))) // its turn
		look()
		vendor.wantNoted(t)
		in.pass(time.Minute, look)
		vendor.wantNoted(t, "told of "+in.newest())

		ctx, stop := context.WithCancel(t.Context())
		f := &code.FollowUps{Store: repository.FollowUps{DB: in.db}, Users: repository.Users{DB: in.db}, Vault: in.vault, Receipts: in.receipts, Now: in.clock.Now}
		f.SetVendors([]code.VendorTasks{{Provider: "phone", Redeemed: func(context.Context, model.TracedMessage) error {
			stop()
			return ctx.Err()
		}}})
		in.logIn(alice)
		in.clock.Advance(11 * time.Minute)
		if err := f.Look(ctx); err != nil {
			t.Error(err)
		}
		look() // at once, by another instance
		vendor.wantNoted(t, "told of "+in.newest())
		if len(vendor.errors) != 0 {
			t.Errorf("errors %q", vendor.errors)
		}
	}}, scene{"a vendor that is slow", func(t *testing.T, in *instance) {
		vendor := &desk{}
		look := in.followUps(vendor, code.VendorTasks{Redeemed: func(ctx context.Context, m model.TracedMessage) error {
			in.clock.Advance(3 * time.Second)
			return vendor.redeemed(ctx, m)
		}})
		for range 17 {
			in.logIn(in.number())
		}
		for _, want := range []int{16, 17} { // eight at once in a turn, and each instance has one
			in.pass(11*time.Minute, look)
			if got := len(vendor.noted); got != want {
				t.Errorf("the vendor was told of %d codes, want %d", got, want)
			}
		}
	}}, scene{"an instance that stops while receipts come", func(t *testing.T, in *instance) {
		c, pulls := in.logIn(alice), 0
		ctx, stop := context.WithCancel(t.Context())
		f := &code.FollowUps{Store: repository.FollowUps{DB: in.db}, Users: repository.Users{DB: in.db}, Vault: in.vault, Receipts: in.receipts, Now: in.clock.Now}
		f.SetVendors([]code.VendorTasks{{Provider: "phone", Pull: func(ctx context.Context) ([]model.Receipt, bool, error) {
			pulls++
			stop()
			return []model.Receipt{{Provider: "phone", MessageID: in.newest(), State: model.MessageDelivered}}, true, ctx.Err()
		}}})
		if err := f.Look(ctx); err != nil || pulls != 1 {
			t.Errorf("%d pulls, error %v", pulls, err)
		}
		in.wantMessages(service.MessageQuery{UserID: c.user}, "phone delivered")
	}})
}

// TestPullingReceipts: receipts that a vendor keeps are recorded, however often they come, and
// are not lost while the storage is away.
func TestPullingReceipts(t *testing.T) {
	delivered := func(id string) model.Receipt {
		return model.Receipt{Provider: "phone", MessageID: id, State: model.MessageDelivered}
	}
	events := func(in *instance) int64 { return in.count("SELECT COUNT(*) FROM events WHERE kind = 'receipt'") }
	runScenes(t, scene{"until there are none", func(t *testing.T, in *instance) {
		in.receiveCode(alice)
		first := in.newest()
		in.receiveCode(bob)
		second := in.newest()
		vendor := &desk{queue: [][]model.Receipt{{delivered(first), delivered("of another system")}, {delivered(second), delivered(first)}, nil}}
		look := in.followUps(vendor, code.VendorTasks{Pull: vendor.pull})
		look()
		vendor.wantNoted(t, "pulled", "pulled", "pulled")
		in.wantMessages(service.MessageQuery{}, "phone delivered", "phone delivered")
		vendor.queue = [][]model.Receipt{{delivered(first)}}
		in.pass(10*time.Second, look)
		vendor.wantNoted(t, "pulled")
		if n := events(in); n != 2 {
			t.Errorf("%d events", n)
		}
		for range 120 {
			vendor.queue = append(vendor.queue, nil)
		}
		in.pass(10*time.Second, look) // two instances, 50 each at once
		if len(vendor.queue) != 20 {
			t.Errorf("%d are left", len(vendor.queue))
		}
	}}, scene{"while the storage is away", func(t *testing.T, in *instance) {
		in.receiveCode(alice)
		vendor := &desk{queue: [][]model.Receipt{{delivered(in.newest())}}}
		f := &code.FollowUps{Store: repository.FollowUps{DB: in.db}, Users: repository.Users{DB: in.db}, Vault: in.vault, Receipts: in.receipts, Now: in.clock.Now}
		f.SetVendors([]code.VendorTasks{{Provider: "phone", Pull: vendor.pull}})
		in.sql("ALTER TABLE messages RENAME TO messages_away")
		if err := f.Look(t.Context()); err != nil {
			t.Error(err)
		}
		vendor.wantNoted(t, "pulled")
		in.clock.Advance(time.Minute)
		if err := f.Look(t.Context()); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		vendor.wantNoted(t) // what would be lost too
		in.sql("ALTER TABLE messages_away RENAME TO messages")
		if err := f.Look(t.Context()); err != nil {
			t.Error(err)
		}
		in.wantMessages(service.MessageQuery{}, "phone delivered")
	}})
}
