package repository

import (
	"context"
	"errors"
	"fmt"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// TestRetryRefused: only a server without a place for the connection is asked again.
func TestRetryRefused(t *testing.T) {
	numbered := func(number uint16) error { return fmt.Errorf("x: %w", &mysqldriver.MySQLError{Number: number}) }
	for number, again := range map[uint16]bool{
		1040: true, 1203: true, 1226: true, // the server, all accounts, this account
		1045: false, 1049: false, 1129: false, 1205: false, 1213: false, // password, database, blocked, lock wait, deadlock
	} {
		tries := 0
		err := retryRefused(t.Context(), func() error {
			if tries++; tries > 5 {
				return nil
			}
			return numbered(number)
		})
		if (err == nil) != again || (tries > 1) != again {
			t.Errorf("%d: %d tries, error %v", number, tries, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := retryRefused(ctx, func() error {
		if tries++; tries == 3 {
			cancel()
		}
		return numbered(1040)
	})
	if tries != 3 || !isRefused(err) {
		t.Errorf("with an ended context: %d tries, error %v", tries, err)
	}
	if other := errors.New("x"); retryRefused(t.Context(), func() error { return other }) != other {
		t.Error("another error is not returned as it is")
	}
}
