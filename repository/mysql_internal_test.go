package repository

import (
	"testing"
	"time"
)

// TestMySQLConfig: the parameters that failover and conditional updates need are
// set, whatever the operator's DSN says.
func TestMySQLConfig(t *testing.T) {
	for _, params := range []string{"", "?rejectReadOnly=false&clientFoundRows=false&parseTime=false&multiStatements=true&loc=Asia%2FShanghai"} {
		config, err := mysqlConfig("menshen:x@tcp(127.0.0.1:3306)/menshen" + params)
		if err != nil {
			t.Fatal(err)
		}
		if !config.RejectReadOnly || !config.ClientFoundRows || !config.ParseTime || config.MultiStatements || config.Loc != time.UTC {
			t.Errorf("%q leads to %s", params, config.FormatDSN())
		}
		if config.Timeout <= 0 || config.ReadTimeout <= 0 || config.WriteTimeout <= 0 {
			t.Errorf("%q leaves a time-out off: %s", params, config.FormatDSN())
		}
	}
}
