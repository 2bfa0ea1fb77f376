package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// TestStop: after SIGTERM accepted requests are answered as usual, held ones are
// released at once, and the process ends with 0.
func TestStop(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		s := i.login(t, "", "device-stream")
		stream := i.events(t, s)

		// The first check binds the device: once that is seen, it is being held.
		held := i.login(t, "", "")
		held.device = "device-held"
		heldAnswer := make(chan answer, 1)
		go func() { heldAnswer <- i.call(held.checkRequest("&wait=25")) }()
		eventually(t, stopTime, "the held check binds the device", func() bool {
			var sessions []struct{ DeviceNumber string }
			i.call(request{path: "/app/auth/sessions", token: held.access}).wantSuccess(t).decode(t, &sessions)
			return len(sessions) == 1 && sessions[0].DeviceNumber != ""
		})

		mobile := d.number()
		hold := d.messages.hold(mobile)
		codeAnswer := make(chan answer, 1)
		go func() { codeAnswer <- i.call(codeRequest(mobile)) }()
		<-hold.arrived

		begin := time.Now()
		i.signal(t, syscall.SIGTERM)
		if a := <-heldAnswer; a.state() != "bound" && a.state() != "active" {
			t.Errorf("the held check: %s", a)
		}
		if event := stream.next(time.After(stopTime)); event != "" {
			t.Errorf("the stream told %q", event)
		}
		<-stream.over
		t.Logf("%s: the held check and the stream ended %s after SIGTERM", driver, time.Since(begin).Round(time.Millisecond))
		select {
		case <-i.exited:
			t.Error("ended with a request unanswered")
		default:
		}
		if _, err := http.Get(i.public + "/healthz"); err == nil {
			t.Error("a stopping instance accepts connections")
		}
		close(hold.release)
		if a := <-codeAnswer; a.code != 0 {
			t.Errorf("the code request: %s", a)
		}
		if exit := i.awaitExit(t); exit != 0 {
			t.Errorf("exit %d:\n%s", exit, i.log.tail())
		}
		if took := time.Since(begin); took > stopTime {
			t.Errorf("stopped after %s", took)
		}

		again := d.start(t, data) // and nothing was lost
		again.wantState(t, s, "active")
		again.wantState(t, held, "active")
		again.call(loginRequest(mobile, d.messages.newest(mobile), "device-code")).wantSuccess(t)
	})
}

// TestStopWithStreams: open streams, whose connections the server does not track,
// end at once after SIGTERM: with the retry hint and without an event. Nothing is
// cut off, and nothing delays the end.
func TestStopWithStreams(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	var readers []net.Conn
	for range 20 {
		s := i.login(t, "", "device")
		for range 5 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(i.public, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := fmt.Fprintf(conn, "GET /app/auth/events HTTP/1.1\r\nHost: menshen\r\nAuthorization: Bearer %s\r\n\r\n", s.access); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1) // the stream is open; the rest is read after the stop
			if _, err := conn.Read(first); err != nil {
				t.Fatal(err)
			}
			readers = append(readers, conn)
		}
	}
	begin := time.Now()
	i.signal(t, syscall.SIGTERM)
	for _, conn := range readers {
		_ = conn.SetReadDeadline(begin.Add(stopTime))
		text, err := io.ReadAll(conn)
		_, body, _ := strings.Cut(string(text), "\r\n\r\n")
		if err != nil || strings.ReplaceAll(body, ": heartbeat\n\n", "") != "retry: 3000\n\n" {
			t.Fatalf("a stream told %q and ended with %v", text, err)
		}
	}
	t.Logf("%d streams ended %s after SIGTERM", len(readers), time.Since(begin).Round(time.Millisecond))
	if exit := i.awaitExit(t); exit != 0 || strings.Contains(i.log.tail(), "cut off") {
		t.Errorf("exit %d:\n%s", exit, i.log.tail())
	}
	t.Logf("ended %s after SIGTERM", time.Since(begin).Round(time.Millisecond))
}

// TestStopWithSlowProvider: a provider that never answers delays a stop by its
// time-out and no more; its request is answered.
func TestStopWithSlowProvider(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	mobile := d.number()
	hold := d.messages.hold(mobile)
	t.Cleanup(func() { close(hold.release) })
	codeAnswer := make(chan answer, 1)
	go func() { codeAnswer <- i.call(codeRequest(mobile)) }()
	<-hold.arrived
	i.stop(t) // within ten seconds, with 0
	if a := <-codeAnswer; a.code != 50301 {
		t.Errorf("the code request: %s", a)
	}
	again := d.start(t, data)
	again.call(loginRequest(mobile, d.messages.newest(mobile), "device")).wantSuccess(t) // a time-out leaves the code valid
}

// TestStopWithStalledClients: clients that do not complete a request delay a stop
// by its bound and no more, and do not make it fail.
func TestStopWithStalledClients(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	i := d.start(t, data)
	for _, begun := range []string{
		"",
		"GET /heal",
		"POST /auth/mobile/login HTTP/1.1\r\nHost: menshen\r\n",
		"POST /auth/mobile/login HTTP/1.1\r\nHost: menshen\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		for _, base := range []string{i.public, i.admin} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := conn.Write([]byte(begun)); err != nil {
				t.Fatal(err)
			}
		}
	}
	i.login(t, "", "device") // by now they have been taken
	begin := time.Now()
	i.stop(t)
	t.Logf("stopped after %s", time.Since(begin).Round(time.Millisecond))
}

// TestFirstStart: the first start creates all files that it needs, with modes that
// keep other users out.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SECRET_KEY=", "TOKEN_KEY_DIR=", "ADMIN_KEYS=")
	if _, err := program(); err != nil { // build it before the clock runs
		t.Fatal(err)
	}
	begin := time.Now()
	i := d.start(t, data)
	t.Logf("an empty folder to serving in %s", time.Since(begin).Round(time.Millisecond))
	s := i.login(t, "", "device")
	i.wantState(t, s, "active")
	for _, name := range []string{"secret.key", "admin.key", "menshen.db", "menshen.db-wal", "menshen.db-shm", "keys"} {
		if _, err := os.Stat(filepath.Join(d.folder, data, name)); err != nil {
			t.Error(err)
		}
	}
	wantPrivate(t, filepath.Join(d.folder, data))
	i.stop(t)
	again := d.start(t, data)
	again.wantState(t, s, "active")
	again.refreshSession(t, s)
}

// TestManyStops: a process that gets a signal right after its start, or two
// signals, ends well too.
func TestManyStops(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t, data).stop(t)
	for n := range 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			i := d.start(t, data)
			i.signal(t, syscall.SIGTERM)
			for range n {
				_ = i.process.Signal(syscall.SIGTERM)
			}
			if exit := i.awaitExit(t); exit != 0 {
				t.Errorf("exit %d", exit)
			}
		})
	}
}
