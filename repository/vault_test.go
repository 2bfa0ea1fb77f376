package repository_test

import (
	"bytes"
	"errors"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

func TestVaultKeep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		vault := repository.Vault{DB: db}
		values := map[string][]byte{"lookup": {0, ' ', 0xff}, "LOOKUP": {1}, "lookup ": {2}, "full": bytes.Repeat([]byte{0xfe}, 255)}
		for name, value := range values {
			kept, err := vault.Keep(t.Context(), name, value)
			if err != nil || !bytes.Equal(kept, value) {
				t.Errorf("%q: kept %x, error %v", name, kept, err)
			}
		}
		for name, value := range values { // what is there stays
			kept, err := vault.Keep(t.Context(), name, []byte("later"))
			if err != nil || !bytes.Equal(kept, value) {
				t.Errorf("%q: %x is there, error %v; want %x", name, kept, err, value)
			}
		}
	})
}

func TestVaultKeepsOneValue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		kept := make([][]byte, 32)
		for _, err := range raceErrors(len(kept), func(i int) (err error) {
			kept[i], err = repository.Vault{DB: db}.Keep(t.Context(), "lookup", key(byte(i)))
			return err
		}) {
			must(t, err)
		}
		for _, value := range kept {
			if !bytes.Equal(value, kept[0]) {
				t.Fatalf("two starts keep different values: %x and %x", kept[0], value)
			}
		}
	})
}

func TestVaultReplace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		vault := repository.Vault{DB: db}
		_, err := vault.Keep(t.Context(), "lookup", key('a'))
		must(t, err)
		for what, old := range map[string][]byte{"another value": key('A'), "a longer one": append(key('a'), ' '), "none": {}} {
			if err := vault.Replace(t.Context(), "lookup", old, key('b')); !errors.Is(err, model.ErrNotFound) {
				t.Errorf("%s: error %v, want ErrNotFound", what, err)
			}
		}
		wantError(t, vault.Replace(t.Context(), "unknown", key('a'), key('b')), model.ErrNotFound)
		errs := raceErrors(32, func(i int) error { return vault.Replace(t.Context(), "lookup", key('a'), key(byte(i))) })
		wantOne(t, errs, model.ErrNotFound)
		kept, err := vault.Keep(t.Context(), "lookup", key('z'))
		must(t, err)
		for i, err := range errs {
			if err == nil && !bytes.Equal(kept, key(byte(i))) {
				t.Errorf("caller %d won, but %x is there", i, kept)
			}
		}
	})
}
