package service_test

import (
	"errors"
	"strings"
	"testing"

	"menshen/model"
)

// TestCodesInTheDatabase: no row shows a code or a number.
func TestCodesInTheDatabase(t *testing.T) {
	play(t, scene{"dump", func(t *testing.T, w *world) {
		w.phone.made = 483926
		code := w.code(alice)
		w.fail(alice, 1)
		c := w.logIn(alice, on(tv), withDevice("device-1", "Phone"))
		_, err := w.try(alice, code)
		wantFailure(t, err, model.ErrCode)
		dump := w.dump()
		secret := strings.SplitN(string(c.Refresh.Value), "_", 3)[2] // it may hold more of them
		for what, canary := range map[string]string{
			"code": string(code), "second code": "483928", "wrong code": string(wrong), "number": alice, "middle of the number": "0013",
			"refresh token": secret, "access token": string(c.access), "signature": strings.Split(string(c.access), ".")[2],
		} {
			if strings.Contains(dump, canary) {
				t.Errorf("the database shows the %s", what)
			}
		}
		if !strings.Contains(dump, "138****8000") {
			t.Error("the dump is not what it should be: the log has the masked number")
		}
	}})
}

// dump is everything in the database as text.
func (w *world) dump() string {
	w.t.Helper()
	var b strings.Builder
	for _, table := range append(tables, "vault") {
		rows, err := w.db.Pools()["write"].QueryContext(w.t.Context(), "SELECT * FROM "+table)
		if err != nil {
			w.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			w.t.Fatal(err)
		}
		for rows.Next() {
			values, places := make([][]byte, len(columns)), make([]any, len(columns))
			for i := range values {
				places[i] = &values[i]
			}
			if err := rows.Scan(places...); err != nil {
				w.t.Fatal(err)
			}
			for i, value := range values {
				if !numeric(columns[i]) {
					b.Write(value)
					b.WriteByte('\n')
				}
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			w.t.Fatal(err)
		}
	}
	return b.String()
}

// numeric are columns of random or running numbers, in which any digits occur.
func numeric(column string) bool {
	return column == "id" || strings.HasSuffix(column, "_id") || strings.HasSuffix(column, "_at") || strings.HasSuffix(column, "_until") ||
		column == "at" || column == "seq" || strings.HasPrefix(column, "cur_") || column == "max_exp"
}
