// Package bench measures what menshen promises of speed and size: ten thousand
// open streams and the time to a kick, the cost of the hot paths, the first
// start. It runs with -bench alone and asserts nothing but that the answers are
// right: figures belong to a machine. docs/performance.md keeps ours.
//
// What the whole binary does over the wire is measured by bench/load.
//
// The figures of processes are those of the binary as it ships; the clients are
// in the benchmark's own process, on the same cores.
package bench
