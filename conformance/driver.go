package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// command is one line that the client under test reads.
type command struct {
	ID     int    `json:"id"`
	Do     string `json:"do"`
	Client string `json:"client"`
	// Of open.
	Storage     string `json:"storage,omitempty"`
	Base        string `json:"base,omitempty"`
	CompanyType int32  `json:"companyType"`
	ProductType int32  `json:"productType"`
	// Of code and login.
	Mobile     string `json:"mobile,omitempty"`
	Challenge  string `json:"challenge,omitempty"`
	ValidateNo string `json:"validateNo,omitempty"`
}

// reply is one line of the client under test: the answer to a command, or an event.
type reply struct {
	ID          int    `json:"id"`
	OK          bool   `json:"ok"`
	Code        int32  `json:"code"`
	LoggedIn    bool   `json:"loggedIn"`
	Reason      string `json:"reason"`
	Unsupported bool   `json:"unsupported"`
	// Of an event.
	Event  string `json:"event"`
	Client string `json:"client"`
}

// Bounds of the client under test.
const (
	patience  = 60 * time.Second // for an answer: a client may try several times, with pauses
	leaveTime = 3 * time.Second  // for the process, to end after its input has
	longLine  = 1 << 20
	keptWords = 2000 // bytes of what it writes to its standard error
)

// errUnsupported is what a command returns that the client does not have.
var errUnsupported = errors.New("the client does not have this command")

// driver is the process that holds the client under test.
type driver struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Closer
	words  *tail

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	events  []reply
	changed chan struct{} // closed and replaced with each event
	over    chan struct{} // closed when the process writes no more
	problem error         // why, set before over is closed
}

// startDriver starts the process of a client under test. Its environment is environ.
func startDriver(ctx context.Context, args, environ []string) (*driver, error) {
	d := &driver{
		cmd: exec.CommandContext(ctx, args[0], args[1:]...), words: &tail{limit: keptWords}, //nolint:gosec // the program that the caller names
		waiting: map[int]chan reply{}, changed: make(chan struct{}), over: make(chan struct{}),
	}
	d.cmd.Env, d.cmd.Stderr, d.cmd.WaitDelay = environ, d.words, leaveTime
	stdin, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.stdin, d.stdout = stdin, stdout
	groupOfItsOwn(d.cmd)
	d.cmd.Cancel = func() error { return killGroup(d.cmd) }
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the client: %w", err)
	}
	go d.listen(stdout)
	return d, nil
}

// listen takes the lines of the process until it ends or writes something else.
func (d *driver) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, longLine)
	d.problem = errors.New("the client ended")
	for lines.Scan() {
		var r reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			d.problem = fmt.Errorf("the client wrote %.200q, which is no answer", lines.Text())
			break
		}
		d.take(r)
	}
	close(d.over)
	_, _ = io.Copy(io.Discard, stdout) // a full pipe would keep the process from ending
}

func (d *driver) take(r reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Event != "" {
		d.events = append(d.events, r)
		close(d.changed)
		d.changed = make(chan struct{})
		return
	}
	if waiting := d.waiting[r.ID]; waiting != nil {
		delete(d.waiting, r.ID)
		waiting <- r
	}
}

// do has the client act and returns its answer.
func (d *driver) do(ctx context.Context, c command) (reply, error) {
	answer := make(chan reply, 1)
	if err := d.send(c, answer); err != nil {
		return reply{}, d.failed(c, fmt.Errorf("the client ended, or reads no more: %w", err))
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r := <-answer:
		if r.Unsupported {
			return r, fmt.Errorf("%q: %w", c.Do, errUnsupported)
		}
		return r, nil
	case <-d.over:
		return reply{}, d.failed(c, d.problem)
	case <-late.C:
		return reply{}, d.failed(c, fmt.Errorf("no answer within %s", patience))
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

func (d *driver) send(c command, answer chan reply) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	c.ID = d.next
	d.waiting[c.ID] = answer
	line, err := json.Marshal(c)
	if err == nil {
		_, err = d.stdin.Write(append(line, '\n'))
	}
	return err
}

func (d *driver) failed(c command, err error) error {
	if words := d.words.String(); words != "" {
		return fmt.Errorf("%s %s: %w; it said: %s", c.Do, c.Client, err, words)
	}
	return fmt.Errorf("%s %s: %w", c.Do, c.Client, err)
}

// ended waits until a client has reported the end of its session.
func (d *driver) ended(ctx context.Context, client string) (reply, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for seen := 0; ; {
		d.mu.Lock()
		events, changed := d.events, d.changed
		d.mu.Unlock()
		for ; seen < len(events); seen++ {
			if events[seen].Client == client && events[seen].Event == "ended" {
				return events[seen], nil
			}
		}
		select {
		case <-changed:
		case <-d.over:
			return reply{}, d.problem
		case <-late.C:
			return reply{}, unmet{"the event \"ended\" of " + client, fmt.Sprintf("no such event within %s", patience)}
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
	}
}

// stop ends the process: its input ends, and it is killed, with all that it started, unless
// it ends with that.
func (d *driver) stop() {
	_ = d.stdin.Close()
	kill := time.AfterFunc(leaveTime, func() {
		_ = killGroup(d.cmd)
		_ = d.stdout.Close() // one that has left the group may hold it
	})
	defer kill.Stop()
	<-d.over
	_ = d.cmd.Wait() // how a client ends is none of our business
}

// tail keeps the last bytes that were written to it.
type tail struct {
	limit int
	mu    sync.Mutex
	text  []byte
}

// Write keeps the end of what was written.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-t.limit):]
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
