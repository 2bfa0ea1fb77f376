package repository

import (
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// stmtJournalBytes makes SQLite keep statement journals in memory. A statement journal
// holds the original pages that ROLLBACK TO a savepoint restores. With SQLite's default
// of 64 KiB each login would write a temporary file. A larger threshold than 128 KiB
// fails when it is reached: SQLite writes the journal as one piece, of whose size its
// file system keeps 17 bits, and reports that the disk is full (os_unix.c, seekAndWriteFd).
const stmtJournalBytes = -1

// journalConfigured is the result of raiseStmtJournalLimit; Open fails unless it is
// SQLITE_OK.
//
// SIDE EFFECT: this variable is initialized when the package is imported, and it
// changes SQLite for the whole process. There is no later moment and no smaller
// scope: the setting has no pragma, and sqlite3_config accepts it only before the
// first database of the process is opened, by any package
// (sqlite.org/c3ref/config.html).
var journalConfigured = raiseStmtJournalLimit()

// raiseStmtJournalLimit sets SQLITE_CONFIG_STMTJRNL_SPILL to stmtJournalBytes and
// returns SQLite's result code.
func raiseStmtJournalLimit() int32 {
	tls := libc.NewTLS()
	defer tls.Close()
	arguments := libc.Xmalloc(tls, 8)
	if arguments == 0 {
		return sqlite3.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, arguments)
	return sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_STMTJRNL_SPILL, libc.VaList(arguments, int32(stmtJournalBytes)))
}
