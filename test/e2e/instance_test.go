package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// instance is a running process.
type instance struct {
	d       *deployment
	name    string
	process *os.Process
	log     *output
	exited  chan struct{} // closed once exit is set
	exit    int

	public, admin string // base URLs
}

// start runs an instance and waits until it serves. It is stopped at the end of
// the test, which fails unless the exit code is 0.
func (d *deployment) start(t *testing.T, name string, settings ...string) *instance {
	t.Helper()
	i := d.spawn(t, name, settings...)
	i.awaitServing(t)
	return i
}

// spawn runs an instance and does not wait.
func (d *deployment) spawn(t *testing.T, name string, settings ...string) *instance {
	t.Helper()
	return d.run(t, name, d.command(t, name, settings...))
}

// run runs the command as an instance and does not wait.
func (d *deployment) run(t *testing.T, name string, cmd *exec.Cmd) *instance {
	t.Helper()
	i := &instance{d: d, name: name, log: newOutput(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = i.log, i.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	i.process = cmd.Process
	go func() {
		defer close(i.exited)
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			i.exit = -1
			return
		}
		i.exit = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		i.stop(t)
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, i.log.tail())
		}
	})
	return i
}

// command returns the command that runs the program, to which arguments can be
// added.
func (d *deployment) command(t *testing.T, name string, settings ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Dir = d.folder // where no config.yaml is, unless the test writes one
	cmd.Env = d.environ(t, name, settings...)
	return cmd
}

// awaitServing waits for the line with the addresses.
func (i *instance) awaitServing(t *testing.T) {
	t.Helper()
	select {
	case line := <-i.log.serving:
		i.public, i.admin = "http://"+line.Addr, "http://"+line.AdminAddr
	case <-i.exited:
		t.Fatalf("%s ended with %d:\n%s", i.name, i.exit, i.log.tail())
	case <-time.After(startTime):
		t.Fatalf("%s did not serve:\n%s", i.name, i.log.tail())
	}
}

// awaitReady waits until the instance has its database.
func (i *instance) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, startTime, i.name+" is ready", func() bool { return i.call(request{path: "/readyz"}).status == http.StatusOK })
}

// stop ends the instance as an orchestrator does.
func (i *instance) stop(t *testing.T) {
	t.Helper()
	select {
	case <-i.exited:
		return
	default:
	}
	i.d.client.CloseIdleConnections()
	begin := time.Now()
	i.signal(t, syscall.SIGTERM)
	if exit := i.awaitExit(t); exit != 0 {
		t.Errorf("%s ended with %d after SIGTERM:\n%s", i.name, exit, i.log.tail())
	}
	if took := time.Since(begin); took > stopTime {
		t.Errorf("%s took %s to stop", i.name, took)
	}
}

// kill ends the instance as a power cut does. It returns once the database has
// closed its connections: a COMMIT that was sent may still have been executed.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	i.signal(t, syscall.SIGKILL)
	i.awaitKilled(t)
}

// awaitKilled is the end of kill.
func (i *instance) awaitKilled(t *testing.T) {
	t.Helper()
	i.awaitExit(t)
	if i.d.driver != repository.MySQL {
		return
	}
	db := i.d.sql(t)
	defer func() { _ = db.Close() }()
	eventually(t, stopTime, "the database has noticed that "+i.name+" is dead", func() bool {
		query := "SELECT id FROM information_schema.processlist WHERE user = ?"
		return len(processes(t, db, query, i.d.accounts[i.name])) == 0
	})
}

func (i *instance) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := i.process.Signal(signal); err != nil {
		t.Errorf("signal %s: %v", i.name, err)
	}
}

func (i *instance) awaitExit(t *testing.T) int {
	t.Helper()
	select {
	case <-i.exited:
	case <-time.After(2 * stopTime):
		t.Errorf("%s does not end:\n%s", i.name, i.log.tail())
		_ = i.process.Kill()
		<-i.exited
	}
	return i.exit
}

// wantFailedStart runs the program to its end, which must be a failure, and
// returns its output.
func (d *deployment) wantFailedStart(t *testing.T, name string, settings ...string) string {
	t.Helper()
	i := d.spawn(t, name, settings...)
	select {
	case <-i.exited:
	case line := <-i.log.serving:
		t.Errorf("%s serves on %s", name, line.Addr)
		i.kill(t)
	case <-time.After(startTime):
		t.Errorf("%s does not end", name)
		i.kill(t)
	}
	if i.exit != 1 {
		t.Errorf("%s ended with %d:\n%s", name, i.exit, i.log.tail())
	}
	return i.log.tail()
}

// servingLine is the log line that tells that the program serves.
type servingLine struct{ Msg, Addr, AdminAddr string }

// output is what a process wrote. It keeps the end of it.
type output struct {
	serving chan servingLine

	mu   sync.Mutex
	text []byte
	open int // where the last line that was not looked at begins
}

const outputKept = 1 << 20

func newOutput() *output { return &output{serving: make(chan servingLine, 1)} }

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, text...)
	for {
		end := bytes.IndexByte(o.text[o.open:], '\n')
		if end < 0 {
			break
		}
		var line servingLine
		if err := json.Unmarshal(o.text[o.open:o.open+end], &line); err == nil && line.Msg == "serving" {
			o.serving <- line
		}
		o.open += end + 1
	}
	if cut := o.open - outputKept; cut > outputKept {
		o.text, o.open = append([]byte{}, o.text[cut:]...), outputKept
	}
	return len(text), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text[max(0, len(o.text)-8<<10):])
}

// count returns how often text occurs in the log that is kept.
func (o *output) count(text string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Count(o.text, []byte(text))
}
