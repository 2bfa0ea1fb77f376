package repository_test

import (
	"slices"
	"strings"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// manyUsers are the accounts of TestUsersList: many of one moment, and some deleted or banned.
func manyUsers(t *testing.T, db *repository.DB) (all []model.User) {
	t.Helper()
	users := repository.Users{DB: db}
	for i := range int64(40) {
		user := aUser(100-i, byte(i+1)) // the ids do not follow the times
		user.CompanyType, user.FirstSource = int32(i%3), []string{"web", "app"}[i%2]
		user.CreatedAt = t0 + model.Time(i/8)
		user = mustRegister(t, db, user)
		switch i % 10 {
		case 3:
			user.BannedUntil = t0 + 1000
		case 4:
			user.BannedUntil = t0 - 1 // has ended
		case 5:
			must(t, users.Erase(t.Context(), user.ID, true, t0))
			continue
		}
		must(t, users.SetBan(t.Context(), user.ID, user.BannedUntil, ""))
		all = append(all, user)
	}
	slices.SortFunc(all, model.CompareUsers)
	return all
}

// TestUsersList: each filter alone and with others, in pages of every size, against the
// rule of the filter.
func TestUsersList(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		all, users := manyUsers(t, db), repository.Users{DB: db}
		for _, companies := range []model.Companies{nil, {1}, {2, 0}, {9}} {
			for _, source := range []string{"", "app", "none"} {
				for _, banned := range []*bool{nil, new(true), new(false)} {
					for _, span := range [][2]model.Time{{}, {t0 + 1, t0 + 4}, {t0 + 2, 0}, {0, t0 + 1}} {
						filter := model.UserFilter{Companies: companies, Source: source, Banned: banned, Now: t0, From: span[0], To: span[1]}
						var want []int64
						for _, user := range all {
							if filter.Matches(user) {
								want = append(want, user.ID)
							}
						}
						for _, limit := range []int{1, 3, 100} {
							if got := pages(t, users, filter, limit); !slices.Equal(got, want) {
								t.Errorf("%+v in pages of %d: %v, want %v", filter, limit, got, want)
							}
						}
					}
				}
			}
		}
	})
}

func pages(t *testing.T, users repository.Users, filter model.UserFilter, limit int) (ids []int64) {
	t.Helper()
	for {
		page, err := users.List(t.Context(), filter, limit)
		must(t, err)
		for _, user := range page {
			ids = append(ids, user.ID)
		}
		if len(page) < limit {
			return ids
		}
		filter.After = page[limit-1]
	}
}

// TestUsersListByIndex: whatever the filter and the place, each statement of a page reads
// one stretch of the index that has its order. So a page costs the same in a table of any
// size.
func TestUsersListByIndex(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		manyUsers(t, db)
		after := model.User{ID: 70, CreatedAt: t0 + 3}
		for _, tt := range []struct {
			index  string
			filter model.UserFilter
		}{
			{"users_created", model.UserFilter{}}, {"users_company", model.UserFilter{Companies: model.Companies{1}}}, {"users_source", model.UserFilter{Source: "app"}},
			{"users_company_source", model.UserFilter{Companies: model.Companies{1}, Source: "app"}}, {"users_banned", model.UserFilter{Banned: new(true)}},
			{"users_banned", model.UserFilter{Banned: new(true), Companies: model.Companies{1}, Source: "app"}},
		} {
			index, filter := tt.index, tt.filter
			for _, place := range []model.UserFilter{{}, {After: after}, {From: t0 + 1, To: t0 + 3}, {From: t0 + 1, After: after}} {
				f := filter
				f.After, f.From, f.To = place.After, place.From, place.To
				for _, statement := range users(db).Statements(f) {
					plan := explain(t, db, statement.SQL, statement.Args...)
					sorts := strings.Contains(plan, "filesort") && !strings.Contains(plan, `"using_filesort": false`) || strings.Contains(plan, "TEMP B-TREE")
					if scans := strings.Contains(plan, "SCAN users") && index != "users_created"; !strings.Contains(plan, index) || sorts || scans {
						t.Errorf("%+v: %s: %s", f, statement.SQL, plan)
					}
				}
			}
		}
	})
}

func users(db *repository.DB) repository.Users { return repository.Users{DB: db} }
