package repository_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// aMessage returns an accepted message of a code to a number, with the vendor's id "m" and the
// code's.
func aMessage(codeID int64, number byte, user int64) model.TracedMessage {
	return model.TracedMessage{
		At: t0, CodeID: codeID, NumberKey: key(number), MobileKey: key(number), Mobile: "138****8000", UserID: user, CompanyType: 1, ProductType: 2,
		Purpose: model.PurposeLogin, Region: "CN", Provider: "webhook", MessageID: "m" + string('0'+rune(codeID)), State: model.MessageAccepted,
	}
}

func aReceipt(id string, at model.Time) model.Receipt {
	return model.Receipt{Provider: "webhook", MessageID: id, State: model.MessageDelivered, At: at}
}

// withoutIDs removes what the database assigns.
func withoutIDs(messages []model.TracedMessage) []model.TracedMessage {
	for i := range messages {
		messages[i].ID = 0
	}
	return messages
}

func TestMessages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		first, second, refused := aMessage(1, 'a', 7), aMessage(2, 'b', 0), aMessage(2, 'b', 0)
		refused.Provider, refused.State, refused.MessageID, refused.Reason, refused.Cost = "aliyun", model.MessageRefused, "", "isv.原因", 45000
		must(t, m.Insert(t.Context(), 0))
		must(t, m.Insert(t.Context(), 0, first))
		must(t, m.Insert(t.Context(), 0, refused, second))
		for _, tt := range []struct {
			name   string
			filter model.MessageFilter
			want   []model.TracedMessage
		}{
			{"all", model.MessageFilter{}, []model.TracedMessage{second, refused, first}},
			{"of a number", model.MessageFilter{NumberKey: key('b')}, []model.TracedMessage{second, refused}},
			{"of a user", model.MessageFilter{UserID: 7}, []model.TracedMessage{first}},
			{"of no user", model.MessageFilter{NumberKey: key('b'), Ownerless: t0}, []model.TracedMessage{second, refused}},
			{"of no user, later", model.MessageFilter{NumberKey: key('b'), Ownerless: t0 + 1}, nil},
			{"by a provider", model.MessageFilter{Provider: "aliyun"}, []model.TracedMessage{refused}},
			{"in a state", model.MessageFilter{State: model.MessageAccepted}, []model.TracedMessage{second, first}},
			{"of a company", model.MessageFilter{Companies: []int32{0, 1}, UserID: 7}, []model.TracedMessage{first}},
			{"of another company", model.MessageFilter{Companies: []int32{0}}, nil},
		} {
			got, err := m.List(t.Context(), tt.filter, 10)
			must(t, err)
			if diff := cmp.Diff(tt.want, withoutIDs(got)); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
		}
		page, err := m.List(t.Context(), model.MessageFilter{}, 2)
		must(t, err)
		rest, err := m.List(t.Context(), model.MessageFilter{Before: page[1].ID}, 2)
		must(t, err)
		if diff := cmp.Diff([]model.TracedMessage{first}, withoutIDs(rest)); diff != "" {
			t.Errorf("the next page:\n%s", diff)
		}
		last, err := m.OfCodes(t.Context(), 1, 2, 3)
		must(t, err)
		if len(last) != 2 || last[2].Provider != "webhook" {
			t.Errorf("the last attempts are %v", last)
		}
	})
}

// TestMessagesReport: a receipt is recorded once, and never takes back a delivery.
func TestMessagesReport(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		undelivered := func(at model.Time) model.Receipt {
			return model.Receipt{Provider: "webhook", MessageID: "m1", State: model.MessageUndelivered, Reason: "UNDELIV", At: at}
		}
		for name, receipts := range map[string]struct {
			from  model.MessageState
			given []model.Receipt
			news  []bool
			want  model.MessageState
		}{
			"twice":                     {model.MessageAccepted, []model.Receipt{aReceipt("m1", 5), aReceipt("m1", 6)}, []bool{true, false}, model.MessageDelivered},
			"delivered after all":       {model.MessageAccepted, []model.Receipt{undelivered(5), aReceipt("m1", 6)}, []bool{true, true}, model.MessageDelivered},
			"never backwards":           {model.MessageAccepted, []model.Receipt{aReceipt("m1", 6), undelivered(5)}, []bool{true, false}, model.MessageDelivered},
			"after no clear answer":     {model.MessageUnknown, []model.Receipt{undelivered(5), undelivered(6)}, []bool{true, false}, model.MessageUndelivered},
			"of what was not sent":      {model.MessageRefused, []model.Receipt{aReceipt("m1", 5)}, []bool{false}, model.MessageRefused},
			"of a test that never left": {model.MessageTest, []model.Receipt{undelivered(5)}, []bool{false}, model.MessageTest},
		} {
			execSQL(t, db, "DELETE FROM messages")
			message := aMessage(1, 'a', 7)
			message.State = receipts.from
			must(t, m.Insert(t.Context(), 0, message))
			for i, receipt := range receipts.given {
				kept, err := m.ByVendor(t.Context(), receipt.Provider, receipt.MessageID)
				must(t, err)
				news, err := m.Report(t.Context(), kept.ID, receipt)
				if must(t, err); news != receipts.news[i] {
					t.Errorf("%s: receipt %d is news: %t", name, i, news)
				}
			}
			if kept, err := m.ByVendor(t.Context(), "webhook", "m1"); err != nil || kept.State != receipts.want {
				t.Errorf("%s: state %s, error %v", name, kept.State, err)
			}
		}
		_, err := m.ByVendor(t.Context(), "aliyun", "m1")
		wantError(t, err, model.ErrNotFound)
	})
}

// TestMessagesEarly: a receipt waits for its message, and is kept once.
func TestMessagesEarly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		for _, id := range []string{"m1", "m1", "m2"} {
			must(t, m.KeepEarly(t.Context(), aReceipt(id, 5), t0))
		}
		want := func(want ...model.Receipt) {
			t.Helper()
			got, err := m.Early(t.Context(), 10)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("early receipts:\n%s", diff)
			}
		}
		want()
		must(t, m.Insert(t.Context(), 0, aMessage(1, 'a', 7)))
		want(aReceipt("m1", 5))
		must(t, m.ForgetEarly(t.Context(), aReceipt("m1", 5)))
		want()
		if n, err := (repository.Janitor{DB: db}).Receipts(t.Context(), t0+1, 10); n != 1 || err != nil {
			t.Errorf("the janitor removes %d receipts, error %v", n, err)
		}
	})
}

// TestMessagesKnown: a message counts if its number redeemed a code before, as codes and
// messages remember it.
func TestMessagesKnown(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m, codes := repository.Messages{DB: db}, repository.Codes{DB: db}
		for id, number := range []byte("ab") {
			must(t, codes.Insert(t.Context(), aCode(int64(id), number, 1, t0)))
		}
		execSQL(t, db, "UPDATE codes SET used_at = ? WHERE id = 0", t0)
		execSQL(t, db, `INSERT INTO messages (at, code_id, number_key, mobile, user_id, company_type, product_type, purpose, region, provider, message_id, state, reason, redeemed_at)
VALUES (?, 9, ?, '', 0, 0, 0, 'login', 'CN', 'webhook', '', 'accepted', '', ?)`, t0, key('c'), t0)
		for number, known := range map[byte]int64{'a': 1, 'b': 0, 'c': 1, 'd': 0} {
			must(t, m.Insert(t.Context(), t0-1, aMessage(1, number, 0)))
			if n := queryCount(t, db, "SELECT MAX(known) FROM messages WHERE number_key = ? AND mobile <> ''", key(number)); n != known {
				t.Errorf("%c is known: %d, want %d", number, n, known)
			}
		}
		must(t, m.Insert(t.Context(), t0, aMessage(3, 'c', 0)))
		if n := queryCount(t, db, "SELECT known FROM messages WHERE code_id = 3"); n != 0 {
			t.Error("a redemption of long ago counts")
		}
	})
}

// TestMessagesRedeemed: a message says when its code was redeemed, also once the code is gone.
func TestMessagesRedeemed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m, codes := repository.Messages{DB: db}, repository.Codes{DB: db}
		for id := int64(1); id <= 2; id++ {
			must(t, codes.Insert(t.Context(), aCode(id, 'a', id, t0)))
		}
		refused := aMessage(1, 'a', 7)
		refused.State = model.MessageRefused
		must(t, m.Insert(t.Context(), 0, refused, aMessage(1, 'a', 7), aMessage(2, 'a', 7)))
		execSQL(t, db, "UPDATE codes SET used_at = ? WHERE id = 1", t0+9)
		want := func(when string) {
			t.Helper()
			got, err := m.List(t.Context(), model.MessageFilter{}, 10)
			must(t, err)
			var redeemed []model.Time
			for _, message := range got {
				redeemed = append(redeemed, message.RedeemedAt)
			}
			if diff := cmp.Diff([]model.Time{0, t0 + 9, 0}, redeemed); diff != "" {
				t.Errorf("%s:\n%s", when, diff)
			}
		}
		want("with the codes")
		if n, err := (repository.Janitor{DB: db}).Codes(t.Context(), t0+1, 10); n != 2 || err != nil {
			t.Fatalf("%d codes removed, error %v", n, err)
		}
		want("without the codes")
		if n, err := (repository.Janitor{DB: db}).Messages(t.Context(), t0+1, 2); n != 2 || err != nil {
			t.Errorf("%d messages removed, error %v", n, err)
		}
	})
}

// TestMessagesUser: a message to a number without an account is the user's whom its code
// registered, and that of no other user.
func TestMessagesUser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		for i, at := range []model.Time{t0, t0.Add(-10 * time.Minute), t0.Add(-10*time.Minute) - 1, t0 + 1} {
			message := aMessage(int64(i), 'a', 0)
			message.At = at
			must(t, m.Insert(t.Context(), 0, message))
		}
		user := aUser(77, 'a')
		_, _, err := repository.Users{DB: db}.Register(t.Context(), user)
		must(t, err)
		got, err := m.List(t.Context(), model.MessageFilter{NumberKey: key('a')}, 10)
		must(t, err)
		var users []int64
		for _, message := range got {
			users = append(users, message.UserID)
		}
		if diff := cmp.Diff([]int64{0, 0, 77, 77}, users); diff != "" {
			t.Errorf("users:\n%s", diff)
		}
		other := aMessage(5, 'a', 0)
		other.CompanyType = 2
		must(t, m.Insert(t.Context(), 0, other, aMessage(6, 'b', 77), aMessage(7, 'b', 78)))
		must(t, m.EraseNumber(t.Context(), user.CompanyType, key('a')))
		must(t, m.Erase(t.Context(), user, ""))
		for query, want := range map[string]int64{
			"SELECT COUNT(*) FROM messages WHERE number_key IS NULL AND mobile_key IS NULL AND mobile = '' AND user_id = 0": 5,
			"SELECT COUNT(*) FROM messages WHERE number_key IS NOT NULL AND mobile <> ''":                                   2,
		} {
			if n := queryCount(t, db, query); n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
}

// TestMessagesConversion counts accepted messages to known numbers whose codes were redeemed
// or have ended in the span.
func TestMessagesConversion(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m, codes := repository.Messages{DB: db}, repository.Codes{DB: db}
		insert := func(id int64, used model.Time, change func(*model.TracedMessage)) {
			t.Helper()
			message := aMessage(id, 'a', 7)
			change(&message)
			must(t, codes.Insert(t.Context(), aCode(id, 'a', id, t0)))
			must(t, m.Insert(t.Context(), 0, message))
			execSQL(t, db, "UPDATE codes SET used_at = ? WHERE id = ?", used, id)
			execSQL(t, db, "UPDATE messages SET known = 1 WHERE code_id = ?", id)
		}
		as := func(state model.MessageState) func(*model.TracedMessage) {
			return func(message *model.TracedMessage) { message.State = state }
		}
		insert(1, t0+1, as(model.MessageAccepted))
		insert(2, t0+2, as(model.MessageDelivered))
		insert(3, 0, as(model.MessageUndelivered)) // ends with its code
		insert(4, t0+3, as(model.MessageUnknown))
		insert(5, 0, as(model.MessageRefused))
		insert(6, t0+4, func(message *model.TracedMessage) { message.Region = "HK" })
		insert(7, t0+5, as(model.MessageAccepted))
		execSQL(t, db, "UPDATE messages SET known = 0 WHERE code_id = 7")
		end := t0.Add(5 * time.Minute)
		for _, tt := range []struct {
			name        string
			from, until model.Time
			want        []model.Conversion
		}{
			{"all", t0, end, []model.Conversion{{Provider: "webhook", Region: "CN", Counted: 3, Redeemed: 2}, {Provider: "webhook", Region: "HK", Counted: 1, Redeemed: 1}}},
			{"before a code ends", t0 + 1, end - 1, []model.Conversion{{Provider: "webhook", Region: "CN", Counted: 1, Redeemed: 1}, {Provider: "webhook", Region: "HK", Counted: 1, Redeemed: 1}}},
			{"when a code ends", end - 1, end, []model.Conversion{{Provider: "webhook", Region: "CN", Counted: 1, Redeemed: 0}}},
			{"later", end, end + 9, nil},
		} {
			got, err := m.Conversion(t.Context(), tt.from, tt.until)
			must(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
		}
	})
}

// TestMessagesVendors: messages are counted in their period, by vendor, region and what became
// of them, and those of a company alone.
func TestMessagesVendors(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		insert := func(change func(*model.TracedMessage)) {
			message := aMessage(1, 'a', 7)
			message.At, message.Cost = t0-t0%1000, 10
			change(&message)
			must(t, m.Insert(t.Context(), 0, message))
		}
		for _, state := range []model.MessageState{
			model.MessageAccepted, model.MessageDelivered, model.MessageUndelivered, model.MessageUnknown, model.MessageRefused, model.MessageThrottled, model.MessageTest,
		} {
			insert(func(message *model.TracedMessage) { message.State = state })
		}
		insert(func(message *model.TracedMessage) { message.At += 999; message.Region = "HK" })
		insert(func(message *model.TracedMessage) { message.At += 1000; message.Provider = "aliyun" })
		insert(func(message *model.TracedMessage) { message.At += 2000 }) // after the span
		insert(func(message *model.TracedMessage) { message.CompanyType = 2 })
		used := aCode(1, 'a', 1, t0)
		must(t, repository.Codes{DB: db}.Insert(t.Context(), used))
		execSQL(t, db, "UPDATE codes SET used_at = ? WHERE id = 1", t0+1)

		began := t0 - t0%1000
		span := model.EventSpan{From: began, To: began + 2000, Bucket: time.Second}
		first := model.VendorCount{Bucket: began, Provider: "webhook", Region: "CN", Sent: 4, Delivered: 1, Failed: 3, Redeemed: 4, Cost: 70}
		others := []model.VendorCount{
			{Bucket: began, Provider: "webhook", Region: "HK", Sent: 1, Redeemed: 1, Cost: 10}, {Bucket: began + 1000, Provider: "aliyun", Region: "CN", Sent: 1, Redeemed: 1, Cost: 10},
		}
		both := first
		both.Sent, both.Redeemed, both.Cost = 5, 5, 80
		for _, tt := range []struct {
			companies model.Companies
			want      []model.VendorCount
		}{{nil, append([]model.VendorCount{both}, others...)}, {model.Companies{1, 3}, append([]model.VendorCount{first}, others...)}, {model.Companies{3}, nil}} {
			span.Companies = tt.companies
			got, err := m.Vendors(t.Context(), span)
			must(t, err)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("of companies %v:\n%s", tt.companies, diff)
			}
		}
	})
}

// TestMessagePlans: what support looks up is found by an index that also has the order, so
// that it takes as long with ten million rows as with few: the rows read are those shown.
func TestMessagePlans(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		m := repository.Messages{DB: db}
		var messages []model.TracedMessage
		for i := range 2000 {
			message := aMessage(int64(i), byte(i%200), int64(i%50))
			message.MessageID = "m" + strings.Repeat("x", i%7) + string('0'+rune(i%10))
			if i%100 == 0 {
				message.State = model.MessageThrottled
			}
			messages = append(messages, message)
		}
		for len(messages) > 0 {
			must(t, m.Insert(t.Context(), 0, messages[:200]...))
			messages = messages[200:]
		}
		execSQL(t, db, map[string]string{repository.SQLite: "ANALYZE", repository.MySQL: "ANALYZE TABLE messages"}[db.Driver()])
		for index, filter := range map[string]model.MessageFilter{
			"messages_number": {NumberKey: key('7'), Before: 1 << 40},
			"messages_user":   {UserID: 7, Before: 1 << 40},
			"messages_state":  {State: model.MessageThrottled, Before: 1 << 40},
		} {
			query, args := repository.MessageQuery(filter, 51)
			plan := explain(t, db, query, args...)
			if !strings.Contains(plan, index) || strings.Contains(plan, "filesort") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN") {
				t.Errorf("%s: the plan is %s", index, plan)
			}
		}
		for index, query := range map[string]string{
			"messages_vendor": "SELECT id FROM messages WHERE message_id = 'm1' AND provider = 'webhook' ORDER BY id LIMIT 1",
			"messages_code":   "SELECT id FROM messages WHERE code_id IN (1, 2)",
			"messages_at":     "SELECT id FROM messages WHERE at < 5 LIMIT 200",
		} {
			if plan := explain(t, db, query); !strings.Contains(plan, index) {
				t.Errorf("%s: the plan is %s", index, plan)
			}
		}
	})
}
