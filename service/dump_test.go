package service_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"menshen/model"
)

// TestCodesInTheDatabase: no row shows a code or a number.
func TestCodesInTheDatabase(t *testing.T) {
	runScenes(t, scene{"dump", func(t *testing.T, in *instance) {
		in.phone.made = 483926
		code := in.receiveCode(alice)
		in.failLogins(alice, 1)
		c := in.logIn(alice, on(tv), withDevice("device-1", "Phone"))
		_, err := in.tryLogIn(alice, code)
		wantFailure(t, err, model.ErrCode)
		dump := in.dumpDatabase()
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

// TestOfflineSearch is R-16: with a copy of the database and without the secret,
// a search over all codes finds nothing, whatever of the copy is taken for the key.
// With the pepper the same search finds the code at once, which is the check of
// the search.
func TestOfflineSearch(t *testing.T) {
	runScenes(t, scene{"all of six digits", func(t *testing.T, in *instance) {
		in.phone.made = 483926
		code := in.receiveCode(alice)
		stored := in.queryBytes("SELECT code_mac FROM codes")
		lookup := in.queryBytes("SELECT value FROM vault")
		number := in.queryBytes("SELECT number_key FROM codes")
		pepper, err := hkdf.Key(sha256.New, secretOf('k'), nil, "menshen code pepper v1", sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		codes := make([]string, 1_000_000)
		for i := range codes {
			codes[i] = fmt.Sprintf("%06d", i)
		}
		context := "login|0|+86" + alice + "|"
		search := func(guess func(code string) []byte) string {
			for _, code := range codes {
				if bytes.Equal(guess(code), stored) {
					return code
				}
			}
			return ""
		}
		keyed := func(key []byte) func(code string) []byte {
			mac := hmac.New(sha256.New, key)
			return func(code string) []byte {
				mac.Reset()
				mac.Write([]byte(context + code))
				return mac.Sum(nil)
			}
		}
		if found := search(keyed(pepper)); found != string(code) {
			t.Errorf("with the pepper the search finds %q", found)
		}
		for what, guess := range map[string]func(code string) []byte{
			"a plain hash":            hashed,
			"a hash with all of it":   func(code string) []byte { return hashed(context + code) },
			"the look-up key, sealed": keyed(lookup),
			"the number's key":        keyed(number),
			"no key":                  keyed(nil),
		} {
			if found := search(guess); found != "" {
				t.Errorf("%s: the search finds %s", what, found)
			}
		}
	}})
}

// queryBytes returns the single value of a query.
func (in *instance) queryBytes(query string) (value []byte) {
	in.t.Helper()
	if err := in.db.Pools()["write"].QueryRowContext(in.t.Context(), query).Scan(&value); err != nil {
		in.t.Fatalf("%s: %v", query, err)
	}
	return value
}

// dumpDatabase returns the whole content of the database as text.
func (in *instance) dumpDatabase() string {
	in.t.Helper()
	var b strings.Builder
	for _, table := range append(tables, "vault") {
		rows, err := in.db.Pools()["write"].QueryContext(in.t.Context(), "SELECT * FROM "+table)
		if err != nil {
			in.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			in.t.Fatal(err)
		}
		for rows.Next() {
			values, places := make([][]byte, len(columns)), make([]any, len(columns))
			for i := range values {
				places[i] = &values[i]
			}
			if err := rows.Scan(places...); err != nil {
				in.t.Fatal(err)
			}
			for i, value := range values {
				if !numeric(columns[i]) {
					b.Write(value)
					b.WriteByte('\n')
				}
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			in.t.Fatal(err)
		}
	}
	return b.String()
}

// numeric are columns of random or running numbers, in which any digits occur.
func numeric(column string) bool {
	return column == "id" || strings.HasSuffix(column, "_id") || strings.HasSuffix(column, "_at") || strings.HasSuffix(column, "_until") ||
		column == "at" || column == "seq" || strings.HasPrefix(column, "cur_") || column == "max_exp"
}
