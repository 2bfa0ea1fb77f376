package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"menshen/repository"
)

// The kinds of values that must not turn up where they do not belong.
const (
	kindCode   = "code"          // nowhere but at the provider
	kindToken  = "token"         // in answers only
	kindNumber = "number"        // in answers to its owner only
	kindDevice = "device number" // in no log
	kindQuery  = "query value"   // in no log
)

// mark is how much of a canary's end is looked for: enough to be its alone.
const mark = 10

// maxLine bounds a line of the log, in bytes.
const maxLine = 4 << 10

// canaries are the secret values of a deployment, to be searched for everywhere.
type canaries struct {
	mu    sync.Mutex
	kinds map[[mark]byte]string
}

func newCanaries() *canaries { return &canaries{kinds: map[[mark]byte]string{}} }

func (c *canaries) add(kind, text string) {
	if len(text) < mark {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds[[mark]byte([]byte(text[len(text)-mark:]))] = kind
}

// find is the first canary in text that is of one of the kinds, with its surroundings.
func (c *canaries) find(text []byte, kinds ...string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i+mark <= len(text); i++ {
		kind, found := c.kinds[[mark]byte(text[i:i+mark])]
		if !found {
			continue
		}
		for _, wanted := range kinds {
			if kind == wanted {
				return fmt.Sprintf("%s in %q", kind, text[max(0, i-80):min(len(text), i+mark+40)])
			}
		}
	}
	return ""
}

// output is where the program writes, and lets a test wait for a line.
type output struct {
	mu      sync.Mutex
	written []byte
	more    chan struct{} // closed and replaced with every write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written = append(o.written, text...)
	close(o.more)
	o.more = make(chan struct{})
	return len(text), nil
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.written)
}

// await waits until the program has written text since the given length.
func (o *output) await(t *testing.T, since int, text string) {
	t.Helper()
	for {
		o.mu.Lock()
		found, more := strings.Contains(string(o.written[since:]), text), o.more
		o.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatalf("the program never wrote %q", text)
		}
	}
}

// search looks for secrets and for what could forge a line: everything that the
// program ever wrote is one JSON object a line, or of the console's form.
func (o *output) search(t *testing.T, secrets *canaries) {
	t.Helper()
	text := o.text()
	if found := secrets.find([]byte(text), kindCode, kindToken, kindNumber, kindDevice, kindQuery); found != "" {
		t.Errorf("the log shows a %s", found)
	}
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") || strings.ContainsFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == 0x9b }) {
			t.Errorf("control character or broken line in the log: %q", line)
		}
		if len(line) > maxLine {
			t.Errorf("a line of the log has %d bytes: %.200s", len(line), line)
		}
		if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
			t.Errorf("the line is not JSON: %s", line)
		}
	}
}

// searchStorage looks for secrets in every row and in every file but the key files.
func searchStorage(t *testing.T, d *deployment) {
	secret := []string{kindCode, kindToken, kindNumber}
	rows := 0
	for _, table := range []string{"vault", "users", "slots", "sessions", "codes", "gates", "events", "folds", "feed"} {
		cells := d.cells(t, "SELECT * FROM "+table)
		rows += len(cells)
		for _, cell := range cells {
			if found := d.secrets.find(cell, secret...); found != "" {
				t.Errorf("table %s holds a %s", table, found)
			}
		}
	}
	if rows < 100 {
		t.Errorf("only %d values were searched", rows)
	}
	files := []string{}
	if d.driver == repository.SQLite {
		files, _ = filepath.Glob(d.dsn + "*")
		if len(files) == 0 {
			t.Error("there is no database file")
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		if found := d.secrets.find(text, secret...); found != "" {
			t.Errorf("%s holds a %s", filepath.Base(file), found)
		}
	}
	for _, pattern := range []string{"secret.key", "keys/*"} {
		files, _ := filepath.Glob(filepath.Join(d.folder, pattern))
		if len(files) == 0 {
			t.Errorf("there is no %s", pattern)
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, error %v", file, info.Mode(), err)
			}
		}
	}
}

// cells are all values of all rows.
func (d *deployment) cells(t *testing.T, query string) [][]byte {
	t.Helper()
	rows, err := d.sql(t).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for rows.Next() {
		row, into := make([][]byte, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, row...)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCanariesAreFound(t *testing.T) {
	c := newCanaries()
	c.add(kindCode, "0123456789")
	c.add(kindToken, "header.payload.signature-abc")
	for text, want := range map[string]bool{
		"": false, "012345678": false, "x0123456789x": true, "0123456789": true, "...signature-abc": true, "header.payload": false,
	} {
		if got := c.find([]byte(text), kindCode, kindToken) != ""; got != want {
			t.Errorf("%q: found %v", text, got)
		}
	}
	if c.find([]byte("0123456789"), kindToken) != "" {
		t.Error("a code was found among the tokens")
	}
}
