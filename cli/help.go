package cli

import (
	"context"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

// helpTemplate is the help of every command, by -help and by "help".
const helpTemplate = `{{.FullName}}: {{.Usage}}.{{if .Description}} {{.Description}}{{end}}

usage: {{.FullName}}{{if .ArgsUsage}} {{.ArgsUsage}}{{else if .VisibleCommands}} [command]{{end}}
{{if .VisibleCommands}}
commands:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}
flags:{{range .VisibleFlags}}
  -{{index .Names 0}}{{"\t"}}{{.GetUsage}}{{end}}{{range .VisiblePersistentFlags}}
  -{{index .Names 0}}{{"\t"}}{{.GetUsage}}{{end}}
`

func helpCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "help", Usage: "explain a command", ArgsUsage: "[command]",
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			topic := cmd.Root()
			for _, word := range cmd.Args().Slice() {
				next := topic.Command(word)
				if next == nil {
					return unknown(topic, word)
				}
				topic = next
			}
			return printHelp(p, topic)
		},
	}
}

func printHelp(p app.Process, cmd *urfave.Command) error {
	urfave.HelpPrinter(p.Out, helpTemplate, cmd)
	return nil
}
