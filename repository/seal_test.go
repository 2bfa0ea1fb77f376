package repository_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// sealedUser registers an account with the given sealed number; nil means none.
func sealedUser(t *testing.T, db *repository.DB, id int64, sealed []byte) {
	t.Helper()
	user := aUser(id, byte(id))
	user.Mobile = sealed
	mustRegister(t, db, user)
}

func sealedBy(id string, rest ...byte) []byte { return append([]byte(id), rest...) }

func TestUsersSealedUnder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		long := bytes.Repeat([]byte{0xff}, 124)
		for id, sealed := range [][]byte{
			nil, sealedBy("abcd"), sealedBy("abcd", 0), sealedBy("abcd", long...), sealedBy("abce"), sealedBy("abcc", long...), sealedBy("abc"),
			sealedBy("ABCD", 1), sealedBy("\xff\xff\xff\xff", 1), sealedBy("\x00\x00\x00\x00", 2), sealedBy("abc", ' '),
		} {
			sealedUser(t, db, int64(id+1), sealed)
		}
		for secret, want := range map[string][]int64{
			"abcd": {2, 3, 4}, "\xff\xff\xff\xff": {9}, "\x00\x00\x00\x00": {10}, "none": nil, "abc ": {11},
		} {
			found, err := users.SealedUnder(t.Context(), []byte(secret), 0, 10)
			must(t, err)
			var ids []int64
			for _, user := range found {
				ids = append(ids, user.ID)
				if whole := userByID(t, db, user.ID); !bytes.Equal(whole.Mobile, user.Mobile) {
					t.Errorf("user %d is read with %x", user.ID, user.Mobile)
				}
			}
			slices.Sort(ids)
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("under %q:\n%s", secret, diff)
			}
			if n, err := users.CountSealed(t.Context(), []byte(secret)); err != nil || n != int64(len(want)) {
				t.Errorf("under %q: counted %d, error %v", secret, n, err)
			}
		}
		for _, page := range []struct{ skip, limit, want int }{{0, 2, 2}, {2, 2, 1}, {3, 2, 0}} {
			if found, err := users.SealedUnder(t.Context(), []byte("abcd"), page.skip, page.limit); err != nil || len(found) != page.want {
				t.Errorf("%+v: %d found, error %v", page, len(found), err)
			}
		}
		if n, err := users.CountSealed(t.Context(), nil); err != nil || n != 10 {
			t.Errorf("counted %d of all, error %v", n, err)
		}
	})
}

// TestUsersSealedUnderByIndex: the query reads no row of another secret.
func TestUsersSealedUnderByIndex(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		explain, index := "EXPLAIN QUERY PLAN ", " INDEXED BY users_seal"
		if db.Driver() == repository.MySQL {
			explain, index = "EXPLAIN FORMAT=JSON ", " FORCE INDEX (users_seal)"
		}
		rows, err := pool(db).QueryContext(t.Context(), explain+"SELECT id, mobile FROM users"+index+" WHERE mobile >= 'abcd' AND mobile <= 'abcdz' LIMIT 100 OFFSET 0")
		must(t, err)
		defer rows.Close()
		columns, err := rows.Columns()
		must(t, err)
		plan := ""
		for rows.Next() {
			row, into := make([][]byte, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			must(t, rows.Scan(into...))
			plan += fmt.Sprintf("%s\n", bytes.Join(row, []byte(" ")))
		}
		must(t, rows.Err())
		want := map[string]string{repository.SQLite: `SEARCH users USING COVERING INDEX users_seal \(mobile>\? AND mobile<\?\)`, repository.MySQL: `"(index_)?access_type": "(index_)?range(_scan)?"`}
		if !regexp.MustCompile(want[db.Driver()]).MatchString(plan) {
			t.Errorf("the plan is\n%s", plan)
		}
	})
}

func TestUsersReseal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		want := mustRegister(t, db, aUser(1, 'a'))
		other := mustRegister(t, db, aUser(2, 'b'))
		for what, old := range map[string][]byte{"another": sealedBy("other"), "a part": want.Mobile[:3], "more": append(bytes.Clone(want.Mobile), ' '), "none": {}} {
			if done, err := users.Reseal(t.Context(), 1, old, sealedBy("new")); err != nil || done {
				t.Errorf("over %s: done %v, error %v", what, done, err)
			}
		}
		won := make([]bool, 16)
		for _, err := range raceErrors(len(won), func(i int) (err error) {
			won[i], err = users.Reseal(t.Context(), 1, want.Mobile, sealedBy("new", byte(i)))
			return err
		}) {
			must(t, err)
		}
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("won: %v", won)
		}
		want.Mobile = sealedBy("new", byte(winner))
		if diff := cmp.Diff(want, userByID(t, db, 1)); diff != "" {
			t.Errorf("the account differs:\n%s", diff)
		}
		must(t, users.Erase(t.Context(), 1, true, t0))
		if done, err := users.Reseal(t.Context(), 1, want.Mobile, sealedBy("late")); err != nil || done {
			t.Errorf("of an erased account: done %v, error %v", done, err)
		}
		if user := userByID(t, db, 1); user.Mobile != nil {
			t.Errorf("an erased account has a number again: %x", user.Mobile)
		}
		if diff := cmp.Diff(other, userByID(t, db, 2)); diff != "" {
			t.Errorf("another account changed:\n%s", diff)
		}
	})
}
