package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// logReader is the other end of what a process writes to.
type logReader struct {
	write *os.File // of the process
	read  io.ReadCloser
}

// newPipe returns a pipe.
func newPipe(t *testing.T) logReader {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return logReader{write, read}
}

// newUnixSocket returns a connection of a Unix socket, such as the journal's.
func newUnixSocket(t *testing.T) logReader {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	read, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	write, err := conn.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return logReader{write, read}
}

// spawnObserved runs an instance whose standard output and error lead to the reader, and
// waits until it serves. Nothing is read after the line that says so.
func (d *deployment) spawnObserved(t *testing.T, reader logReader) *instance {
	t.Helper()
	cmd := d.command(t, data)
	i := &instance{d: d, name: data, log: newOutput(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = reader.write, reader.write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = reader.write.Close()
	i.process = cmd.Process
	go func() {
		defer close(i.exited)
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
		i.exit = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { i.stop(t) })
	lines := bufio.NewReader(reader.read)
	for len(i.log.serving) == 0 {
		line, err := lines.ReadBytes('\n')
		if _, _ = i.log.Write(line); err != nil {
			t.Fatalf("%v:\n%s", err, i.log.tail())
		}
	}
	i.awaitServing(t)
	return i
}

// dropped returns menshen_log_dropped_total.
func (i *instance) dropped(t *testing.T) int {
	t.Helper()
	metrics := i.callAdmin(request{path: "/metrics"})
	found := regexp.MustCompile(`(?m)^menshen_log_dropped_total (\d+)$`).FindSubmatch(metrics.raw)
	if found == nil {
		t.Fatalf("no count of dropped lines: %s", metrics)
	}
	count, _ := strconv.Atoi(string(found[1]))
	return count
}

// request makes n successful requests and as many that fail.
func (i *instance) request(t *testing.T, n int) {
	t.Helper()
	for range n {
		if a := i.call(request{path: "/healthz"}); a.status != http.StatusOK {
			t.Fatal(a)
		}
		if a := i.call(request{path: "/none"}); a.code != 40400 {
			t.Fatal(a)
		}
	}
}

// TestReaderGoesAway: the reader of standard output and error may go away while the
// instance is idle or busy: it goes on, counts what it could not write, and stops with 0.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	for kind, open := range map[string]func(*testing.T) logReader{"pipe": newPipe, "unix": newUnixSocket} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %t", kind, busy), func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, repository.SQLite)
				reader := open(t)
				i := d.spawnObserved(t, reader)
				done := make(chan struct{})
				if busy {
					go func() {
						defer close(done)
						for range 500 {
							i.call(request{path: "/none"})
						}
					}()
					for range 20 {
						i.request(t, 1)
					}
				} else {
					close(done)
				}
				_ = reader.read.Close()
				i.request(t, 50)
				<-done
				i.request(t, 50)
				i.login(t, "", "device")
				if i.dropped(t) == 0 {
					t.Error("no line was counted")
				}
				i.stop(t)
			})
		}
	}
}

// TestReaderStalls: a reader that reads nothing holds up no request and no stop, and the
// lines that it misses are counted.
func TestReaderStalls(t *testing.T) {
	t.Parallel()
	for kind, open := range map[string]func(*testing.T) logReader{"pipe": newPipe, "unix": newUnixSocket} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite)
			i := d.spawnObserved(t, open(t))
			for range 2 {
				i.request(t, 1000)
			}
			i.login(t, "", "device")
			if i.dropped(t) == 0 {
				t.Error("no line was counted")
			}
			i.stop(t)
		})
	}
}

// TestFailureWithoutReader: a start that fails ends with 1 though its standard error is not
// read or has no reader, so that a supervisor starts it again.
func TestFailureWithoutReader(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, logReader){
		"goes away": func(t *testing.T, r logReader) { _ = r.read.Close() },
		"stalls": func(t *testing.T, r logReader) {
			conn, err := r.write.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Control(func(fd uintptr) { fill(t, int(fd)) }); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite)
			reader := newPipe(t)
			prepare(t, reader)
			cmd := d.command(t, data, "CODE_LENGTH=4")
			cmd.Stdout, cmd.Stderr = reader.write, reader.write
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// fill fills a pipe, which it leaves blocking as the process expects it.
func fill(t *testing.T, fd int) {
	t.Helper()
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			if _, err := syscall.Write(fd, make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// TestCommandIntoClosedPipe: a command whose output is cut, as by head, ends at once and
// says nothing about it.
func TestCommandIntoClosedPipe(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	i.login(t, "", "device")
	for _, args := range [][]string{{"audit"}, {"help"}, {"version"}} {
		reader := newPipe(t)
		_ = reader.read.Close()
		cmd := d.command(t, data)
		cmd.Args = append(cmd.Args, args...)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = reader.write, &said
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || said.Len() > 0 {
			t.Errorf("%s: %v, %s", args, err, said.String())
		}
	}
}

// TestScraperStalls: scrapers that read nothing block neither others nor the stop.
func TestScraperStalls(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	get := "GET /metrics HTTP/1.1\r\nHost: menshen\r\nAuthorization: Bearer " + adminKey + "\r\n\r\n"
	for range 20 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(i.admin, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // the instance reads no more once it cannot write
		_, _ = io.WriteString(conn, strings.Repeat(get, 2000))
	}
	for _, path := range []string{"/metrics", "/healthz"} {
		if a := i.callAdmin(request{path: path}); a.status != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	i.login(t, "", "device")
	i.stop(t)
}
