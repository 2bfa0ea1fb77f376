package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/mattn/go-isatty"
	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/config"
	"menshen/internal/atomicfile"
)

// initText is the file that init writes.
//
//go:embed init.yaml
var initText string

var initTemplate = template.Must(template.New("config.yaml").Parse(initText))

// What init can choose from; the first is the default. The provider "log" is for
// development.
var (
	initDrivers   = []string{config.DriverSQLite, config.DriverMySQL}
	initProviders = []string{config.ProviderWebhook, config.ProviderAliyun, config.ProviderTencent, config.ProviderTwilio}
)

// initChoices are the values of the file.
type initChoices struct {
	Driver, Provider                       string
	WebhookSecret, SecretKey, AdminKeyHash string
}

func initCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "init", Usage: "write a configuration file for production, with fresh secrets; asks on a terminal", ArgsUsage: "[-o FILE] [-provider P] [-driver D] [-yes]",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "o", Usage: "the file, which must not be there", Value: "config.yaml"},
			&urfave.StringFlag{Name: "provider", Usage: "the provider of messages: " + strings.Join(initProviders, ", ")},
			&urfave.StringFlag{Name: "driver", Usage: "the database: " + strings.Join(initDrivers, ", ")},
			&urfave.BoolFlag{Name: "yes", Usage: "do not ask: defaults for what is not given"},
		},
		Action: func(_ context.Context, cmd *urfave.Command) error {
			if _, err := arguments(cmd, 0); err != nil {
				return err
			}
			choices := initChoices{Driver: cmd.String("driver"), Provider: cmd.String("provider")}
			ask := questions{out: p.Out}
			if file, is := p.In.(*os.File); is && !cmd.Bool("yes") && isatty.IsTerminal(file.Fd()) {
				ask.answers = bufio.NewScanner(file)
			}
			for _, choice := range []struct {
				flag, question string
				value          *string
				allowed        []string
			}{
				{"driver", "Database", &choices.Driver, initDrivers},
				{"provider", "Provider of messages", &choices.Provider, initProviders},
			} {
				if *choice.value == "" {
					*choice.value = ask.choose(choice.question, choice.allowed)
				}
				if !slices.Contains(choice.allowed, *choice.value) {
					return badUsage(cmd, fmt.Sprintf("-%s must be one of %s", choice.flag, strings.Join(choice.allowed, ", ")))
				}
			}
			return writeConfig(p, cmd.String("o"), choices)
		},
	}
}

// questions are asked on a terminal.
type questions struct {
	out     io.Writer
	answers *bufio.Scanner // nil: nothing is asked
}

// choose returns the answer, without one the first of the allowed values. It asks again
// after a wrong answer.
func (q questions) choose(question string, allowed []string) string {
	for q.answers != nil {
		_, _ = fmt.Fprintf(q.out, "%s (%s) [%s]: ", question, strings.Join(allowed, ", "), allowed[0])
		if !q.answers.Scan() {
			break
		}
		switch answer := strings.TrimSpace(q.answers.Text()); {
		case answer == "":
			return allowed[0]
		case slices.Contains(allowed, answer):
			return answer
		}
	}
	return allowed[0]
}

// writeConfig makes the file, and prints the admin key and what is left to fill in.
func writeConfig(p app.Process, path string, choices initChoices) error {
	adminKey := hex.EncodeToString(randomBytes(32))
	hash := sha256.Sum256([]byte(adminKey))
	choices.AdminKeyHash = hex.EncodeToString(hash[:])
	choices.SecretKey = base64.StdEncoding.EncodeToString(randomBytes(32))
	choices.WebhookSecret = "whsec_" + base64.StdEncoding.EncodeToString(randomBytes(32))
	var text strings.Builder
	if err := initTemplate.Execute(&text, choices); err != nil {
		return err
	}
	if err := atomicfile.Create(path, []byte(text.String())); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and stays as it is", path)
	} else if err != nil {
		return err
	}
	_, _, err := config.Load(config.Options{Defaults: p.Defaults, File: path, FileText: []byte(text.String()), Now: p.Now()})
	var left config.Problems
	if err != nil && !errors.As(err, &left) {
		return err
	}
	var report strings.Builder
	_, _ = fmt.Fprintf(&report, "%s is written. It holds secrets: keep it closed, and secret.key with the backups of the database.\n", path)
	_, _ = fmt.Fprintf(&report, "The key of the admin API, which is shown only here: %s\n", adminKey)
	if len(left) > 0 {
		_, _ = fmt.Fprintf(&report, "Left to fill in:\n%s\n", left)
	}
	_, _ = fmt.Fprintf(&report, "Next:\n  menshen -config %[1]s check-config\n  menshen -config %[1]s keys rotate   # makes the first signing key\n  menshen -config %[1]s doctor\n  menshen -config %[1]s\n", path)
	_, err = io.WriteString(p.Out, report.String())
	return err
}

func randomBytes(n int) []byte {
	random := make([]byte, n)
	_, _ = rand.Read(random) // never fails
	return random
}
