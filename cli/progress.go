package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressLines is how many lines lie between two plain lines of progress.
const progressLines = 100_000

// progress shows how far a command has read a file: a bar on a terminal, plain lines
// elsewhere.
type progress struct {
	file  *os.File
	out   io.Writer
	bar   *progressbar.ProgressBar // nil: no terminal
	shown int
}

func newProgress(out io.Writer, file *os.File, size int64) *progress {
	p := &progress{file: file, out: out}
	if terminal, ok := out.(*os.File); ok && term.IsTerminal(int(terminal.Fd())) {
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	}
	return p
}

// show shows the progress behind the given number of lines.
func (p *progress) show(lines int) {
	if p.bar != nil {
		if at, err := p.file.Seek(0, io.SeekCurrent); err == nil {
			_ = p.bar.Set64(at)
		}
		return
	}
	if lines/progressLines > p.shown {
		p.shown = lines / progressLines
		_, _ = fmt.Fprintf(p.out, "%d lines\n", lines)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
