// Package sqlite stands in for github.com/glebarez/go-sqlite, the driver that
// GORM's pure-Go SQLite dialect (github.com/glebarez/sqlite) imports. That fork
// compiles every statement anew each time it runs, prepared or not: a third of
// what a request costs on SQLite. The driver it was forked from,
// modernc.org/sqlite, keeps what is prepared. Both register the name "sqlite",
// so that a program has room for one; go.mod puts this package in the fork's place.
package sqlite

import "modernc.org/sqlite" // registers the driver "sqlite"

// Error is the driver's error; the dialect translates it by its code.
type Error = sqlite.Error
