// Command menshen (门神) is a whole phone-login service: it sends a code to a
// mobile number, logs the owner in, keeps the login alive, and tells each device
// when another one has taken its place.
//
//	menshen [-config F]                 serve
//	menshen [-config F] check-config    apply every rule of a start, touch no database
//	menshen [-config F] migrate         bring the schema to the newest version
//	menshen [-config F] keys rotate     add a signing key
//	menshen [-config F] keys revoke KID remove one at once
//	menshen [-config F] secrets rotate  make a new secret.key
//	menshen [-config F] secrets status  tell whether the older ones can go
//	menshen [-config F] user find|ban|unban|kick …, audit …
//	                                    what the admin API does, from a shell
//	menshen [-config F] healthcheck     ask the running instance whether it is ready
//	menshen version
//
// The exit code is 0 after a clean stop, 1 on a failure, 2 on bad usage.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"menshen/config"
)

// defaults is the manual and the defaults in one.
//
//go:embed config.yaml
var defaults []byte

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, program{args: os.Args[1:], environ: os.Environ(), out: os.Stdout, err: os.Stderr, now: time.Now})
	stop()
	os.Exit(code)
}

// program is everything of the process that run may touch.
type program struct {
	args    []string
	environ []string
	out     io.Writer        // logs and answers of commands
	err     io.Writer        // what went wrong
	now     func() time.Time // this machine's clock, which may be wrong
	// started, when not nil, is told the addresses of both listeners.
	started func(public, admin string)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// errUsage asks for the usage text, after what was wrong if it is wrapped.
var errUsage = errors.New("usage")

// run is the program, from its arguments to its exit code. It ends when ctx does.
func run(ctx context.Context, p program) int {
	flags := flag.NewFlagSet("menshen", flag.ContinueOnError)
	flags.SetOutput(p.err)
	file := flags.String("config", "", "configuration `file`; without it ./config.yaml, if there")
	flags.Usage = func() { _, _ = fmt.Fprint(p.err, usage()) }
	if err := flags.Parse(p.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	err := p.dispatch(ctx, *file, flags.Args())
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		flags.Usage()
		return exitOK
	case errors.Is(err, errUsage):
		if detail := strings.TrimPrefix(err.Error(), errUsage.Error()); detail != "" {
			_, _ = fmt.Fprintln(p.err, "menshen"+detail)
		}
		flags.Usage()
		return exitUsage
	default:
		_, _ = fmt.Fprintln(p.err, "menshen:", err)
		return exitFailure
	}
}

func (p program) dispatch(ctx context.Context, file string, args []string) error {
	if len(args) == 1 && args[0] == "version" {
		_, err := fmt.Fprintln(p.out, "menshen", version)
		return err
	}
	act, err := parseCommand(args)
	if err != nil {
		return err
	}
	source := configSource{options: config.Options{Defaults: defaults, File: file, FileRequired: file != "", Environ: p.environ}}
	if file == "" {
		source.options.File = "config.yaml"
	}
	if _, err := os.Stat(source.options.File); err == nil {
		source.options.FileRequired = true // once there, its absence is a fault, not the defaults
	}
	source.watcher = config.NewWatcher(source.options.File)
	cfg, warnings, err := config.Load(source.options)
	if err != nil {
		return err
	}
	return act(ctx, job{program: p, source: source, cfg: cfg, warnings: warnings})
}

// job is a command with its configuration.
type job struct {
	program
	source   configSource
	cfg      *config.Config
	warnings []string
}

// configSource is where the configuration came from, to read it again.
type configSource struct {
	options config.Options
	watcher *config.Watcher
}
