package repository

import (
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// subjournalRoom is how much of a savepoint's old pages SQLite keeps in memory
// before it puts them into a temporary file, in bytes. By default it is 64 KiB, and
// each login would write such a file.
const subjournalRoom = 4 << 20

// roomGiven is SQLite's answer. It takes the setting only before anybody has opened
// a database in the process, so nothing later than the package's own variables will do.
var roomGiven = giveRoom()

func giveRoom() int32 {
	tls := libc.NewTLS()
	defer tls.Close()
	arguments := libc.Xmalloc(tls, 8)
	if arguments == 0 {
		return sqlite3.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, arguments)
	return sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_STMTJRNL_SPILL, libc.VaList(arguments, int32(subjournalRoom)))
}
