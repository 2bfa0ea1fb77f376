// Package cli holds the commands: one file for each command word. A command
// judges its arguments before it reads the configuration or opens anything.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/telemetry"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
)

// Run runs the program with its arguments, without its name, until ctx ends, and
// returns the exit code: ExitUsage if the arguments ask for something that does not
// exist.
func Run(ctx context.Context, args []string, p app.Process) int {
	root := newRoot(p)
	err := checkWords(root, args)
	if err == nil {
		err = root.Run(ctx, append([]string{"menshen"}, protectKeyIDs(args)...))
	}
	last := telemetry.NewLogWriter(p.Err) // a reader that stalls must not keep the process from ending
	defer last.Flush()
	var wrong usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(last, "menshen: %s\n%s\n\"%s\" explains it.\n", wrong.problem, usageLine(wrong.command), helpLine(wrong.command))
		return ExitUsage
	default:
		_, _ = fmt.Fprintln(last, "menshen:", err)
		return ExitFailure
	}
}

func newRoot(p app.Process) *urfave.Command {
	root := group("menshen", "log in the owners of phone numbers by codes sent to them",
		serveCommand(p), initCommand(p), doctorCommand(p), conformanceCommand(p), checkConfigCommand(p), migrateCommand(p), keysCommand(p), secretsCommand(p),
		userCommand(p), unlockCommand(p), messagesCommand(p), smsCommand(p), auditCommand(p), importCommand(p), exportCommand(p),
		healthcheckCommand(p), versionCommand(p), helpCommand(p),
	)
	root.Description = "Without a command it serves."
	root.CustomRootCommandHelpTemplate = helpTemplate
	root.Flags = []urfave.Flag{
		&urfave.StringFlag{Name: "config", Usage: "the configuration file; without it ./config.yaml, if there"},
		&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "explain the command"},
		&urfave.BoolFlag{Name: "version", Usage: "print the version", Local: true},
	}
	root.Action = func(ctx context.Context, cmd *urfave.Command) error {
		if cmd.Bool("version") {
			return printVersion(p)
		}
		return serve(ctx, cmd, p)
	}
	walk(root, func(cmd *urfave.Command) {
		cmd.Writer, cmd.ErrWriter = p.Out, p.Err
		cmd.HideHelp, cmd.HideVersion = true, true // the library prints help differently for each kind of command
		act := cmd.Action
		cmd.Action = func(ctx context.Context, cmd *urfave.Command) error {
			if cmd.Bool("help") {
				return printHelp(p, cmd)
			}
			return act(ctx, cmd)
		}
		cmd.ExitErrHandler = func(context.Context, *urfave.Command, error) {} // Run decides the exit code
		cmd.OnUsageError = func(_ context.Context, cmd *urfave.Command, err error, _ bool) error {
			return badUsage(cmd, err.Error())
		}
	})
	return root
}

func walk(cmd *urfave.Command, visit func(*urfave.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands {
		walk(sub, visit)
	}
}

// action is what a command does once its configuration is read.
type action func(ctx context.Context, a *app.App) error

func run(ctx context.Context, cmd *urfave.Command, p app.Process, act action) error {
	a, err := app.New(p, cmd.String("config"))
	if err != nil {
		return err
	}
	return act(ctx, a)
}

// plain is a command without arguments.
func plain(p app.Process, name, usage string, act action) *urfave.Command {
	return &urfave.Command{Name: name, Usage: usage, Action: func(ctx context.Context, cmd *urfave.Command) error {
		if _, err := arguments(cmd, 0); err != nil {
			return err
		}
		return run(ctx, cmd, p, act)
	}}
}

// group returns a command that only contains other commands.
func group(name, usage string, commands ...*urfave.Command) *urfave.Command {
	return &urfave.Command{Name: name, Usage: usage, Commands: commands, Action: func(_ context.Context, cmd *urfave.Command) error {
		return badUsage(cmd, "a command is missing") // Run has judged the words
	}}
}

// usageError is what is wrong with the arguments of a command.
type usageError struct {
	command *urfave.Command
	problem string
}

// Error is the problem.
func (e usageError) Error() string { return e.problem }

func badUsage(cmd *urfave.Command, problem string) error {
	if name := commandName(cmd); name != "" {
		problem = name + ": " + problem
	}
	return usageError{cmd, problem}
}

// checkWords names the first word that is no command. The library would name a flag behind
// it, which the group does not know.
func checkWords(cmd *urfave.Command, args []string) error {
	for i := 0; i < len(args) && len(cmd.Commands) > 0; i++ {
		switch word := args[i]; {
		case word == "-config" || word == "--config":
			i++ // its value
		case strings.HasPrefix(word, "-"):
		case cmd.Command(word) == nil:
			return unknown(cmd, word)
		default:
			cmd = cmd.Command(word)
		}
	}
	return nil
}

// unknown names the unknown command and the nearest one that exists.
func unknown(cmd *urfave.Command, word string) error {
	problem := fmt.Sprintf("unknown command %q", word)
	if nearest := urfave.SuggestCommand(cmd.Commands, word); cmd.Command(nearest) != nil {
		problem += fmt.Sprintf(", did you mean %q?", nearest)
	}
	return usageError{cmd, problem}
}

// arguments returns at most limit arguments that are not flags.
func arguments(cmd *urfave.Command, limit int) ([]string, error) {
	args := cmd.Args().Slice()
	if len(args) > limit {
		return nil, badUsage(cmd, "too many arguments")
	}
	return args, nil
}

func commandName(cmd *urfave.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.FullName(), "menshen"), " ")
}

func usageLine(cmd *urfave.Command) string {
	line := "usage: menshen [-config file]"
	if name := commandName(cmd); name != "" {
		line += " " + name
	}
	switch {
	case cmd.ArgsUsage != "":
		line += " " + cmd.ArgsUsage
	case len(cmd.Commands) > 0:
		var names []string
		for _, sub := range cmd.Commands {
			names = append(names, sub.Name)
		}
		line += " " + strings.Join(names, "|")
	}
	return line
}

func helpLine(cmd *urfave.Command) string {
	return strings.TrimSpace("menshen help " + commandName(cmd))
}
