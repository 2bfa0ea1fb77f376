// Package bench measures speed and size: ten thousand open streams and the time to
// a kick, the cost of the hot paths, the first start. It runs with -bench alone and
// asserts only that responses are right, because figures depend on the machine.
// docs/performance.md keeps ours.
//
// Package bench/load measures the whole binary over the network.
//
// The figures of processes are those of the binary as it ships; the clients are
// in the benchmark's own process, on the same cores.
package bench
