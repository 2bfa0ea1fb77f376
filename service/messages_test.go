package service_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
)

// messages returns what matches the query, each as provider, state and reason, newest first.
func (in *instance) messages(q service.MessageQuery) (texts []string) {
	in.t.Helper()
	found, _, err := in.admin.Messages(in.t.Context(), root, q)
	if err != nil {
		in.t.Fatal(err)
	}
	for _, m := range found {
		texts = append(texts, strings.TrimSpace(m.Provider+" "+string(m.State)+" "+m.Reason))
	}
	return texts
}

func (in *instance) wantMessages(q service.MessageQuery, want ...string) {
	in.t.Helper()
	if diff := cmp.Diff(want, in.messages(q)); diff != "" {
		in.t.Errorf("messages of %+v:\n%s", q, diff)
	}
}

// report takes a receipt of the newest message.
func (in *instance) report(state model.MessageState, reason string) {
	in.t.Helper()
	all := in.phone.messages()
	receipt := model.Receipt{Provider: "phone", MessageID: all[len(all)-1].ID, State: state, Reason: reason}
	if err := in.receipts.Take(in.t.Context(), receipt); err != nil {
		in.t.Fatal(err)
	}
}

// TestMessagesOfAttempts: each attempt at a vendor is a row with the vendor's code.
func TestMessagesOfAttempts(t *testing.T) {
	coded := func(err error, code string) error { return fmt.Errorf("%w: %w", err, model.VendorCode(code)) }
	runScenes(t,
		scene{"refused, throttled, accepted", func(t *testing.T, in *instance) {
			in.logIn(alice)
			in.delivery.Routes = anyRegion(
				code.Provider{Name: "a", Gateway: &asked{answer: coded(errNo, "isv.X 13800138000")}}, code.Provider{Name: "b", Gateway: &asked{answer: coded(errDay, "isv.DAY")}},
				code.Provider{Name: "phone", Gateway: in.phone},
			)
			in.delivery.Prices = code.Prices{{Provider: "a", Region: "CN", Segment: 1}, {Provider: "phone", Region: "CN", Segment: 0.045}}
			in.receiveCode(alice)
			in.wantMessages(service.MessageQuery{Mobile: "+86 138-0013-8000"}, "phone accepted", "b throttled isv.DAY", "a refused isv.X ***", "phone accepted")
			in.wantMessages(service.MessageQuery{State: model.MessageThrottled}, "b throttled isv.DAY")
			in.wantMessages(service.MessageQuery{Provider: "a", Mobile: alice}, "a refused isv.X ***")
			in.wantMessages(service.MessageQuery{Mobile: bob})
			if n := in.count("SELECT SUM(cost) FROM messages"); n != 45000 {
				t.Errorf("the cost is %d", n)
			}
			if n := in.count("SELECT COUNT(*) FROM messages WHERE mobile = '138****8000' AND region = 'CN'"); n != 4 {
				t.Errorf("%d rows with the masked number", n)
			}
		}},
		scene{"no clear answer", func(_ *testing.T, in *instance) {
			in.phone.fail = coded(errors.New("phone"), "isp.SYSTEM_ERROR")
			_, _ = in.sendCode(alice)
			in.wantMessages(service.MessageQuery{Mobile: alice}, "phone unknown isp.SYSTEM_ERROR")
			in.report(model.MessageDelivered, "")
			in.wantMessages(service.MessageQuery{Mobile: alice}, "phone delivered")
		}},
		scene{"a test number", func(_ *testing.T, in *instance) {
			in.codes.TestNumbers = []code.TestNumber{{Mobile: model.NewMobile("+86" + alice), Code: "246813", Until: in.clock.Now().Add(time.Hour)}}
			_, err := in.sendCode(alice)
			wantFailure(in.t, err, nil)
			in.wantMessages(service.MessageQuery{Mobile: alice}, "test test")
		}},
		scene{"a vendor that repeats the number", func(_ *testing.T, in *instance) {
			in.delivery.Routes = anyRegion(code.Provider{Name: "phone", Gateway: echoing{}})
			_, err := in.sendCode(alice)
			wantFailure(in.t, err, nil)
			if id := in.texts("SELECT message_id FROM messages"); len(id) != 1 || id[0] != "" {
				in.t.Errorf("the id is %q", id)
			}
		}},
	)
}

// echoing is a provider whose id of a message holds the number.
type echoing struct{}

func (echoing) Send(_ context.Context, m model.Message) (model.Sent, error) {
	return model.Sent{MessageID: "id-" + m.Mobile.E164()}, nil
}

// TestReceipts: a receipt counts once, in any order, also before its message is recorded and
// at another instance.
func TestReceipts(t *testing.T) {
	receipts := func(in *instance) int64 { return in.count("SELECT COUNT(*) FROM events WHERE kind = 'receipt'") }
	runScenes(t,
		scene{"repeated and backwards", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.receiveCode(alice)
			in.report(model.MessageUndelivered, "UNDELIV 13800138000")
			in.wantMessages(service.MessageQuery{UserID: c.user}, "phone undelivered UNDELIV ***", "phone accepted")
			for range 2 {
				in.report(model.MessageDelivered, "")
				in.report(model.MessageUndelivered, "LATE")
			}
			in.wantMessages(service.MessageQuery{UserID: c.user}, "phone delivered", "phone accepted")
			if n := receipts(in); n != 2 {
				t.Errorf("%d events, want one for each news", n)
			}
		}},
		scene{"before the vendor's answer", func(t *testing.T, in *instance) {
			other := in.another()
			for _, at := range []*instance{in, other} {
				in.delivery.Routes = anyRegion(code.Provider{Name: "phone", Gateway: hasty{at}})
				in.clock.Advance(time.Minute)
				_, err := in.sendCode(alice)
				wantFailure(t, err, nil)
				if at == other {
					if err := other.receipts.Look(t.Context()); err != nil { // as Run does
						t.Fatal(err)
					}
				}
				in.wantMessages(service.MessageQuery{Mobile: alice, State: model.MessageAccepted})
			}
			if n := in.count("SELECT COUNT(*) FROM receipts"); n != 0 || receipts(in) != 2 {
				t.Errorf("%d receipts are left, %d events", n, receipts(in))
			}
		}},
		scene{"of an unknown message", func(t *testing.T, in *instance) {
			for _, id := range []string{"", "nobody's", strings.Repeat("x", 65)} {
				if err := in.receipts.Take(t.Context(), model.Receipt{Provider: "phone", MessageID: id, State: model.MessageDelivered}); err != nil {
					t.Fatal(err)
				}
			}
			if n := in.count("SELECT COUNT(*) FROM receipts"); n != 1 {
				t.Errorf("%d are kept", n)
			}
			in.clock.Advance(10*time.Minute + time.Second)
			in.sweep(in.janitor())
			if n := in.count("SELECT COUNT(*) FROM receipts"); n != 0 || receipts(in) != 0 {
				t.Errorf("%d are kept, %d events", n, receipts(in))
			}
		}},
		scene{"with a time", func(t *testing.T, in *instance) {
			in.receiveCode(alice)
			id, now := in.phone.messages()[0].ID, model.TimeOf(in.clock.Now())
			for given, want := range map[model.Time]model.Time{now - 1000: now - 1000, now + 1: now, 0: now, -5: now} {
				in.sql("UPDATE messages SET state = 'accepted'")
				if err := in.receipts.Take(t.Context(), model.Receipt{Provider: "phone", MessageID: id, State: model.MessageDelivered, At: given}); err != nil {
					t.Fatal(err)
				}
				if n := in.count("SELECT reported_at FROM messages"); n != int64(want) {
					t.Errorf("reported at %d, want %d", n, want)
				}
			}
		}},
	)
}

// hasty is a provider whose receipt comes to an instance before the provider's answer.
type hasty struct{ at *instance }

func (h hasty) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	err := h.at.receipts.Take(ctx, model.Receipt{Provider: "phone", MessageID: m.ID, State: model.MessageDelivered})
	return model.Sent{MessageID: m.ID}, err
}

// TestMessagesLookUp: by number, by user, by page.
func TestMessagesLookUp(t *testing.T) {
	runScenes(t, scene{"pages", func(t *testing.T, in *instance) {
		for i := range 60 {
			in.clock.Advance(time.Second)
			in.receiveCode(alice, forCompany(int32(i%2)))
		}
		in.receiveCode(bob)
		page, next, err := in.admin.Messages(t.Context(), root, service.MessageQuery{Mobile: alice})
		if err != nil || len(page) != 50 || next != strconv.FormatInt(page[49].ID, 10) || page[0].At <= page[49].At {
			t.Fatalf("%d rows, next %q, error %v", len(page), next, err)
		}
		rest, end, err := in.admin.Messages(t.Context(), root, service.MessageQuery{Mobile: alice, Cursor: next})
		if err != nil || len(rest) != 10 || end != "" || rest[0].ID >= page[49].ID {
			t.Errorf("%d rows, next %q, error %v", len(rest), end, err)
		}
		second := root
		second.Companies = model.Companies{1}
		if found, _, err := in.admin.Messages(t.Context(), second, service.MessageQuery{Mobile: alice}); err != nil || len(found) != 30 {
			t.Errorf("%d rows of a company, error %v", len(found), err)
		}
		for field, q := range map[string]service.MessageQuery{
			"state": {State: "lost"}, "cursor": {Cursor: "x"},
		} {
			_, _, err := in.admin.Messages(t.Context(), root, q)
			wantFailure(t, err, model.ErrMalformed)
			if data := fmt.Sprint(model.AsFailure(err).Data()); !strings.Contains(data, field) {
				t.Errorf("%s: the data is %s", field, data)
			}
		}
		for _, cursor := range []string{"0", "-1", "01", "9223372036854775807", strconv.FormatInt(page[0].ID+9, 10)} {
			_, _, err := in.admin.Messages(t.Context(), root, service.MessageQuery{Cursor: cursor})
			wantFailure(t, err, model.ErrMalformed)
		}
		_, _, err = in.admin.Messages(t.Context(), root, service.MessageQuery{Mobile: "12"})
		wantFailure(t, err, model.ErrMobile)
	}}, scene{"of a user", func(t *testing.T, in *instance) {
		in.clock.Advance(time.Hour)
		in.receiveCode(alice)
		in.clock.Advance(11 * time.Minute)
		c := in.logIn(alice) // of the second code, which registers the account
		in.logIn(bob)
		in.clock.Advance(time.Minute)
		in.receiveCode(alice)
		found, _, err := in.admin.Messages(t.Context(), root, service.MessageQuery{UserID: c.user})
		if err != nil || len(found) != 2 || found[0].UserID != c.user || found[1].UserID != c.user || found[1].RedeemedAt == 0 || found[0].RedeemedAt != 0 {
			t.Errorf("%+v, error %v", found, err)
		}
		in.wantMessages(service.MessageQuery{UserID: c.user, Mobile: alice}, "phone accepted", "phone accepted")
		in.wantMessages(service.MessageQuery{UserID: c.user, Mobile: bob})
		in.wantMessages(service.MessageQuery{UserID: 4711})
		second := root
		second.Companies = model.Companies{1}
		if found, _, err := in.admin.Messages(t.Context(), second, service.MessageQuery{UserID: c.user}); err != nil || len(found) > 0 {
			t.Errorf("%d rows of another company's user, error %v", len(found), err)
		}
	}}, scene{"of a deleted user", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.logIn(alice, inCompany(1))
		gone := in.receiveCode(alice, forPurpose(model.PurposeDelete))
		_, err := in.users.Delete(t.Context(), service.Deletion{Session: in.row(c), Code: gone})
		wantFailure(t, err, nil)
		in.wantMessages(service.MessageQuery{UserID: c.user})
		in.wantMessages(service.MessageQuery{Mobile: alice}, "phone accepted") // of the other company
		in.wantMessages(service.MessageQuery{}, "phone accepted", "phone accepted", "phone accepted")
		in.report(model.MessageDelivered, "")
		if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'receipt' AND user_id = 0"); n != 1 {
			t.Error("a late receipt names the user")
		}
	}})
}

// TestTimelineOfMessages: the timeline says by which vendor a code went and what became of it.
func TestTimelineOfMessages(t *testing.T) {
	runScenes(t, scene{"sent and delivered", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.receiveCode(alice)
		id := in.phone.messages()[1].ID
		for _, receipt := range []bool{false, true} {
			if receipt {
				in.report(model.MessageUndelivered, "UNDELIV")
			}
			events, _, err := in.audit().Timeline(t.Context(), root, c.user, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range events {
				if e.Kind == model.EventCodeSent || e.Kind == model.EventReceipt {
					got = append(got, string(e.Kind)+" "+e.Detail)
				}
			}
			want := []string{`code_sent {"messageId":"` + id + `","mobile":"138****8000","provider":"phone","purpose":"login","reason":"","state":"accepted"}`}
			if receipt {
				want = append([]string{`receipt {"messageId":"` + id + `","provider":"phone","reason":"UNDELIV","state":"undelivered"}`}, want...)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("timeline:\n%s", diff)
			}
		}
	}})
}

// TestConversion: a vendor whose messages are no longer redeemed raises one alarm over two
// instances; strangers move nothing.
func TestConversion(t *testing.T) {
	runScenes(t, scene{"a vendor fails", func(t *testing.T, in *instance) {
		var counts []model.Conversion
		var low []code.LowConversion
		judge := func() {
			t.Helper()
			for range 2 { // instances
				c := &code.Conversions{
					Alarms: in.alarms(), Store: repository.Messages{DB: in.db}, Now: in.clock.Now,
					OnCount: func(all []model.Conversion) { counts = all }, OnLow: func(l code.LowConversion) { low = append(low, l) },
				}
				c.SetRules(code.ConversionRules{Window: 15 * time.Minute, Margin: 30, Least: 10})
				if err := c.Judge(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 10 {
			in.logIn(numbered(i)) // known from now on
		}
		judge()
		if len(counts) != 0 {
			t.Errorf("codes of numbers that were not known count: %v", counts)
		}
		in.clock.Advance(time.Hour)
		for i := range 10 {
			in.logIn(numbered(i))
		}
		judge()
		if diff := cmp.Diff([]model.Conversion{{Provider: "phone", Region: "CN", Counted: 10, Redeemed: 10}}, counts); diff != "" || len(low) != 0 {
			t.Errorf("alarms %v, counts:\n%s", low, diff)
		}
		in.clock.Advance(time.Hour)
		for i := range 200 { // strangers, who redeem nothing
			in.receiveCode(numbered(10 + i%70))
		}
		for i := range 9 {
			in.receiveCode(numbered(i))
		}
		in.clock.Advance(5*time.Minute - time.Millisecond)
		if judge(); len(counts) != 0 {
			t.Errorf("codes that live count: %v", counts)
		}
		in.clock.Advance(time.Millisecond)
		if judge(); len(low) != 0 || len(counts) != 1 || counts[0].Counted != 9 || counts[0].Redeemed != 0 {
			t.Errorf("alarms %v of too few messages %v", low, counts)
		}
		in.logIn(numbered(9))
		want := code.LowConversion{Provider: "phone", Region: "CN", Ratio: 0.1, Before: 1}
		judge()
		if diff := cmp.Diff([]code.LowConversion{want}, low); diff != "" {
			t.Errorf("alarms:\n%s", diff)
		}
		if diff := cmp.Diff([]string{`{"before":1,"provider":"phone","ratio":0.1,"region":"CN"}`}, in.texts("SELECT detail FROM events WHERE kind = 'conversion_low'")); diff != "" {
			t.Errorf("events:\n%s", diff)
		}
		in.clock.Advance(15 * time.Minute)
		if judge(); len(counts) != 0 || len(low) != 1 {
			t.Errorf("after the window %v, alarms %v", counts, low)
		}
	}})
}

// TestConversionMargin: the margin counts, and a vendor without a day before has no alarm.
func TestConversionMargin(t *testing.T) {
	for _, tt := range []struct {
		before, now [2]int // counted, redeemed
		alarm       bool
	}{
		{[2]int{10, 8}, [2]int{20, 10}, true}, {[2]int{100, 79}, [2]int{20, 10}, false}, {[2]int{10, 10}, [2]int{20, 14}, true},
		{[2]int{10, 10}, [2]int{20, 15}, false}, {[2]int{0, 0}, [2]int{20, 0}, false}, {[2]int{10, 10}, [2]int{19, 0}, false},
	} {
		store, now := &counted{}, time.Unix(1_700_000_000, 0)
		store.counts = map[bool]model.Conversion{
			true:  {Provider: "p", Region: "CN", Counted: tt.now[0], Redeemed: tt.now[1]},
			false: {Provider: "p", Region: "CN", Counted: tt.before[0], Redeemed: tt.before[1]},
		}
		c := &code.Conversions{Alarms: &code.Alarms{Tx: store, Store: store, Events: store}, Store: store, Now: func() time.Time { return now }}
		c.SetRules(code.ConversionRules{Window: time.Minute, Margin: 30, Least: 20})
		if err := c.Judge(t.Context()); err != nil || store.raised != tt.alarm {
			t.Errorf("%v before, %v now: alarm %t, error %v", tt.before, tt.now, store.raised, err)
		}
	}
}

// counted answers with counts of the window and of the day before.
type counted struct {
	code.MessageStore
	code.PumpingStore
	counts map[bool]model.Conversion
	raised bool
}

func (c *counted) Conversion(_ context.Context, from, until model.Time) ([]model.Conversion, error) {
	count := c.counts[until.Sub(from) == time.Minute]
	if count.Counted == 0 {
		return nil, nil
	}
	return []model.Conversion{count}, nil
}

func (c *counted) Within(ctx context.Context, act func(context.Context) error) error { return act(ctx) }

func (c *counted) Raise(context.Context, string, model.Time, model.Time) (bool, error) {
	c.raised = true
	return true, nil
}

func (c *counted) Append(context.Context, ...model.Event) error { return nil }
