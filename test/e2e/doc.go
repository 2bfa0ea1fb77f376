// Package e2e tests the whole binary as its operators run it: real processes on
// the loopback, configured by the environment, stopped by signals or killed,
// alone, in pairs on one MySQL, and, with the build tag "cluster", one on each
// node of a Galera cluster. Codes arrive by the webhook provider.
//
// `make test` runs all but the cluster, `make test-cluster` that alone, and
// `go test -short` only what a single process on SQLite can show.
package e2e
