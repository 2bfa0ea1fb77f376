package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
	"menshen/service"
)

func importCommand(p app.Process) *urfave.Command {
	return &urfave.Command{
		Name: "import", Usage: "create accounts from a file, and give known ones the values that they lack", ArgsUsage: "FILE [-dry-run] [-report FILE]",
		Description: "The file is CSV with a header, or JSON lines. It may be imported again.",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "dry-run", Usage: "judge every line and write no account"},
			&urfave.StringFlag{Name: "report", Usage: "write the bad lines to this file, as CSV"},
		},
		Action: func(ctx context.Context, cmd *urfave.Command) error {
			args, err := arguments(cmd, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return badUsage(cmd, "the file is missing")
			}
			return withAdmin(ctx, cmd, p, func(ctx context.Context, a adminCLI) error {
				return importFile(ctx, a, importJob{path: args[0], report: cmd.String("report"), dryRun: cmd.Bool("dry-run"), notes: p.Err})
			})
		},
	}
}

// importJob is what the import command was asked for.
type importJob struct {
	path   string
	report string // "": no report
	dryRun bool
	notes  io.Writer // progress, and bad lines without a report
}

func importFile(ctx context.Context, a adminCLI, job importJob) (err error) {
	file, err := os.Open(job.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	accounts, err := newAccountFile(file)
	if err != nil {
		return err
	}
	report, err := openReport(job, info)
	if err != nil {
		return err
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(importMemory))
	progress := newProgress(job.notes, file, info.Size())
	run := a.admin.NewImport(a.by, job.dryRun)
	err = errors.Join(importRows(ctx, run, accounts, func(bad []service.BadLine) error {
		progress.show(run.Total().Lines)
		return report.add(bad)
	}), report.close())
	progress.end()
	for _, name := range accounts.unknown {
		_, _ = fmt.Fprintf(job.notes, "the column %q is unknown and was left out\n", name)
	}
	total := run.Total()
	err = errors.Join(err, a.out.Encode(total))
	if err == nil && total.Bad > 0 {
		err = fmt.Errorf("%d of %d lines are bad", total.Bad, total.Lines)
	}
	return err
}

// importMemory is what the import of a million lines needs, twice. Beyond it the collector
// works harder.
const importMemory = 64 << 20

// importRows imports the rows of a file, batch by batch. done receives the bad lines of
// each batch.
func importRows(ctx context.Context, run *service.Import, accounts *accountFile, done func([]service.BadLine) error) error {
	rows := make([]service.ImportRow, 0, service.ImportBatch)
	for ended := false; !ended; rows = rows[:0] {
		var broken error
		for len(rows) < service.ImportBatch && !ended {
			row, err := accounts.next()
			if ended = err != nil; ended {
				if !errors.Is(err, io.EOF) {
					broken = fmt.Errorf("behind line %d: %w", run.Total().Lines, err)
				}
				break
			}
			rows = append(rows, row)
		}
		if len(rows) > 0 {
			bad, err := run.Batch(ctx, rows)
			if err == nil {
				err = done(bad)
			}
			if err != nil {
				return err
			}
		}
		if broken != nil {
			return broken
		}
	}
	return nil
}

// badLinesShown bounds the bad lines that an import without a report prints.
const badLinesShown = 20

// report is the file of bad lines, or prints the first of them.
type report struct {
	file  *os.File // nil: none
	lines *csv.Writer
	notes io.Writer
	shown int
}

// openReport makes the report empty but for its header, closed to other users.
func openReport(job importJob, source os.FileInfo) (*report, error) {
	r := &report{notes: job.notes}
	if job.report == "" {
		return r, nil
	}
	if there, err := os.Stat(job.report); err == nil && os.SameFile(there, source) {
		return nil, errors.New("the report must not be the file that is imported")
	}
	var err error
	if r.file, err = createPrivate(job.report); err != nil {
		return nil, err
	}
	r.lines = csv.NewWriter(r.file)
	return r, r.lines.Write([]string{"line", "reason"})
}

// createPrivate makes an empty file, or empties the one that is there, with mode 0600.
func createPrivate(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // a path that the operator names
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(0o600); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (r *report) add(bad []service.BadLine) error {
	for _, line := range bad {
		if r.file != nil {
			if err := r.lines.Write([]string{strconv.Itoa(line.Line), line.Reason}); err != nil {
				return err
			}
			continue
		}
		if r.shown++; r.shown <= badLinesShown {
			_, _ = fmt.Fprintf(r.notes, "line %d: %s\n", line.Line, line.Reason)
		}
	}
	return nil
}

func (r *report) close() error {
	if r.file == nil {
		if more := r.shown - badLinesShown; more > 0 {
			_, _ = fmt.Fprintf(r.notes, "and %d more bad lines; -report FILE takes them all\n", more)
		}
		return nil
	}
	r.lines.Flush()
	return errors.Join(r.lines.Error(), r.file.Close())
}
