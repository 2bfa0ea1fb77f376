// Package conformance plays to a client what breaks clients, and judges it by what it
// sends: the command "menshen conformance". docs/conformance.md is its document.
//
//	traces_*.go  the table: each trace is a list of steps that reads like a story
//	steps.go     what the client is made to do
//	world.go     what happens to it: time, network, users, operators, thieves
//	expect.go    what is expected of the client, in words
//	driver.go    the client under test: a process that reads one command a line
//	gate.go      between client and service: records each request (exchange.go) and plays
//	             faults (faults.go)
//	service.go   the service: the real program, on a database and a clock of its own
//	run.go       plays traces, several at once
//	verdict.go   what a trace has shown, for people and for programs
//
// The service behind the gate is the program itself, so that no trace can differ from what
// the program answers: tokens expire because its clock moves, and a displaced session was
// displaced by a login. Only what a service does not do itself is made by the gate: lost
// connections, answers of proxies, refusals of a service in trouble, and what later versions
// may add.
package conformance
