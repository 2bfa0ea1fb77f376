package repository

import (
	"context"
	"database/sql/driver"
	"io"
	"slices"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// fakeServer has variables; its connections remember the statements that set others.
type fakeServer struct {
	driver.Conn
	variables [][2]string
	next      int
	set       []string
}

func (f *fakeServer) Driver() driver.Driver                        { return nil }
func (f *fakeServer) Connect(context.Context) (driver.Conn, error) { f.set = nil; return f, nil }

func (f *fakeServer) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	f.set = append(f.set, query)
	return driver.RowsAffected(0), nil
}

func (f *fakeServer) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	f.next = 0
	return f, nil
}

func (f *fakeServer) Columns() []string { return []string{"Variable_name", "Value"} }
func (f *fakeServer) Close() error      { return nil }

func (f *fakeServer) Next(row []driver.Value) error {
	if f.next == len(f.variables) {
		return io.EOF
	}
	row[0], row[1] = []byte(f.variables[f.next][0]), []byte(f.variables[f.next][1])
	f.next++
	return nil
}

// TestJoinedLater: reads of a new connection wait for the cluster that its server is in by
// then, unless the operator has said how.
func TestJoinedLater(t *testing.T) {
	server := &fakeServer{}
	connector, err := newConnector(mysqldriver.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	connector.Connector = server
	const galera, group = "SET SESSION wsrep_sync_wait = 1", "SET SESSION group_replication_consistency = 'BEFORE'"
	for _, row := range []struct {
		variables [][2]string
		given     map[string]string
		want      string
		isGalera  bool
	}{
		{nil, nil, "", false},
		{[][2]string{{"group_replication_group_name", ""}, {"wsrep_on", "OFF"}}, nil, "", false},
		{[][2]string{{"group_replication_group_name", "a group"}}, nil, group, false},
		{[][2]string{{"group_replication_group_name", "a group"}}, map[string]string{"group_replication_consistency": "'EVENTUAL'"}, "", false},
		{[][2]string{{"wsrep_on", "ON"}}, nil, galera, true},
		{[][2]string{{"wsrep_on", "ON"}}, map[string]string{"wsrep_sync_wait": "0"}, "", true},
	} {
		server.variables, connector.given = row.variables, row.given
		if _, err := connector.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		set := slices.DeleteFunc(server.set, func(s string) bool {
			return !strings.Contains(s, "wsrep") && !strings.Contains(s, "group_replication")
		})
		if got := strings.Join(set, "; "); got != row.want || connector.isGalera.Load() != row.isGalera {
			t.Errorf("%v, given %v: %q, Galera %t", row.variables, row.given, got, connector.isGalera.Load())
		}
	}
}
