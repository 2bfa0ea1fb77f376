package repository_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestCodesSurvey: a survey finds what the single questions find, each with its own
// arguments.
func TestCodesSurvey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		codes, users := repository.Codes{DB: db}, repository.Users{DB: db}
		_, _, err := users.Register(t.Context(), aUser(77, 'a'))
		must(t, err)
		_, _, err = users.Register(t.Context(), aUser(78, 'b'))
		must(t, err)
		for i := range 12 {
			code := aCode(int64(i), 'a', int64(i), t0)
			code.IPKey, code.BlockKey, code.PrefixKey = fmt.Sprintf("192.0.2.%d", i%2), "192.0.2.0/24", fmt.Sprintf("prefix %d", i%3)
			code.SentAt, code.ExpiresAt = t0+model.Time(i), t0+model.Time(i)+100
			must(t, codes.Insert(t.Context(), code))
		}
		for _, name := range []string{"alarm|prefix|x", "alarm|block|y"} {
			must(t, codes.Gate(t.Context(), []byte(name), t0+5))
		}
		block, address := model.SendScope{BlockKey: "192.0.2.0/24"}, model.SendScope{IPKey: "192.0.2.1"}
		all := model.YieldSpan{Since: t0 - 1, Until: t0 + 1000, Ended: t0 + 1000, Most: 100}
		some, few := all, all
		some.Since, some.Until, some.Ended = t0+1, t0+9, t0+106
		all.Most, some.Most, few.Most = 4, 6, 3
		for _, tt := range []struct {
			name string
			ask  model.SendSurvey
			want model.SendFindings
		}{
			{"nothing", model.SendSurvey{}, model.SendFindings{}},
			{"an account", model.SendSurvey{CompanyType: 1, MobileKey: key('b')}, model.SendFindings{AccountID: 78}},
			{"no account", model.SendSurvey{CompanyType: 1, MobileKey: key('c')}, model.SendFindings{}},
			{"of another company", model.SendSurvey{CompanyType: 2, MobileKey: key('b')}, model.SendFindings{}},
			{"alarms", model.SendSurvey{Alarms: []string{"alarm|prefix|x", "alarm|block|y", "none"}, AlarmsSince: t0 + 4}, model.SendFindings{Alarms: 2}},
			{"old alarms", model.SendSurvey{Alarms: []string{"alarm|prefix|x"}, AlarmsSince: t0 + 5}, model.SendFindings{}},
			{"all at once", model.SendSurvey{
				CompanyType: 1, MobileKey: key('a'), Alarms: []string{"alarm|block|y"}, AlarmsSince: t0,
				Groups: []model.GroupSpan{
					{By: model.GroupPrefix, Key: "prefix 1", YieldSpan: all}, {By: model.GroupBlock, Key: "192.0.2.0/24", YieldSpan: some},
					{By: model.GroupBlock, Key: "192.0.2.0/24", YieldSpan: few}, {By: model.GroupPrefix, Key: "192.0.2.0/24", YieldSpan: all},
				},
				Spans: []model.SendSpan{{Of: block, Since: t0 - 1}, {Of: block, Since: t0 + 3}, {Of: address, Since: t0 - 1}, {Of: address, Since: t0 + 11}},
			}, model.SendFindings{
				AccountID: 77, Alarms: 1, Groups: []bool{true, false, true, false},
				Sent: map[model.SendSpan]int{
					{Of: block, Since: t0 - 1}: 12, {Of: block, Since: t0 + 3}: 8, {Of: address, Since: t0 - 1}: 6, {Of: address, Since: t0 + 11}: 0,
				},
			}},
		} {
			found, err := codes.Survey(t.Context(), tt.ask)
			must(t, err)
			if len(found.Groups) == 0 {
				found.Groups = nil
			}
			if len(found.Sent) == 0 {
				found.Sent = nil
			}
			if diff := cmp.Diff(tt.want, found); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
		}
	})
}
