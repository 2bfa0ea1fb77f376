// Command menshen (门神) is a whole phone-login service: it sends a code to a
// mobile number, logs the owner in, keeps the login alive, and notifies each device
// when another one has taken its place. "menshen help" lists what it can be asked.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"
	"time"

	"menshen/app"
	"menshen/cli"
)

// defaults is the manual and the defaults in one.
//
//go:embed config.yaml
var defaults []byte

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	began := time.Now()
	code := cli.Run(ctx, os.Args[1:], app.Process{
		Environ: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Elapsed: func() time.Duration { return time.Since(began) }, Version: version, Defaults: defaults,
	})
	stop()
	os.Exit(code)
}
