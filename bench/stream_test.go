package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// The size of the crowd, and of what is done to it.
const (
	crowd      = 2_000 // users, each with one session
	perUser    = 5     // streams, as many as one user may have
	kicks      = 200
	kickPause  = 20 * time.Millisecond
	openers    = 32               // streams that are opened at a time
	settleTime = 20 * time.Second // longer than a round of heartbeats
	eventTime  = 10 * time.Second
	spareFiles = 1_000
)

// user is a user with a session and its streams.
type user struct {
	mobile string
	token  string
	ended  chan time.Time // when each stream received the end
}

// BenchmarkStreams opens ten thousand streams on one process and kicks users by
// new logins, one after another. It reports
//
//	kB/stream        growth of the server's resident memory, a round of heartbeats
//	                 after the last stream was opened, without a collection asked for
//	peak-kB/stream   growth to the highest resident memory up to then
//	ms-*             from the response of the login to the event, at each stream of
//	                 the user; below zero when the event was first
//	start-ms-*       from the beginning of the login's request to the event
//	stop-ms          from SIGTERM, with the other streams open, to the end
//
// The server is restarted between the logins and the streams, so that the growth
// is not hidden by memory that the logins have left behind. It runs once,
// for any -benchtime up to its own length.
func BenchmarkStreams(b *testing.B) {
	if testing.Short() {
		b.Skip("-short")
	}
	needFiles(b, crowd*perUser+spareFiles)
	d := newDeployment(b)
	first := d.start(b)
	users := make([]*user, crowd)
	each(b, crowd, 16, func(i int) (err error) {
		u := &user{mobile: fmt.Sprintf("139%08d", i), ended: make(chan time.Time, perUser)}
		users[i] = u
		code, err := first.send(u.mobile)
		if err == nil {
			u.token, err = first.login(u.mobile, code)
		}
		return err
	})
	first.stop(b)

	p := d.start(b)
	time.Sleep(5 * time.Second)
	before := p.memory(b, "VmRSS")
	b.Cleanup(openStreams(b, p, users))
	time.Sleep(settleTime)
	reportMemory(b, p, before)

	logLoad(b, "before the kicks")
	answered, started := make(figures, 0, kicks*perUser), make(figures, 0, kicks*perUser)
	for _, u := range users[:kicks] {
		time.Sleep(kickPause)
		began, answer, ends := kick(b, p, u)
		for _, at := range ends {
			answered, started = append(answered, at.Sub(answer)), append(started, at.Sub(began))
		}
	}
	b.ReportMetric(0, "ns/op")
	answered.report(b, "")
	started.report(b, "start-")
	b.ReportMetric(ms(p.stop(b)), "stop-ms")
}

// needFiles skips the benchmark where a process may not have n files.
func needFiles(b *testing.B, n uint64) {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if limit.Cur < n { // the runtime has raised it as far as it may
		b.Skipf("a process may have %d files here, and %d are needed: ulimit -n", limit.Cur, n)
	}
}

// openStreams opens all streams of all users and returns what closes them.
func openStreams(b *testing.B, p *process, users []*user) (closeAll func()) {
	b.Helper()
	conns := make([]net.Conn, len(users)*perUser)
	closeAll = func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
	began := time.Now()
	each(b, len(conns), openers, func(i int) error {
		u := users[i/perUser]
		conn, err := openStream(p.public, u.token)
		if err != nil {
			return err
		}
		conns[i] = conn
		go follow(conn, u.ended)
		return nil
	})
	b.Logf("%d streams were opened in %s", len(conns), time.Since(began).Round(time.Millisecond))
	return closeAll
}

// openStream opens a stream and reads until its first line.
func openStream(addr, token string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(eventTime))
	_, err = fmt.Fprintf(conn, "GET /app/auth/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", addr, token)
	var head []byte
	for part := make([]byte, 1024); err == nil && !bytes.Contains(head, []byte("retry:")); {
		var n int
		n, err = conn.Read(part)
		head = append(head, part[:n]...)
	}
	if err == nil && !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		err = errors.New("no stream")
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open a stream: %w: %s", err, head)
	}
	return conn, conn.SetDeadline(time.Time{})
}

// follow reads a stream to its end and reports when the event came.
func follow(conn net.Conn, ended chan<- time.Time) {
	var kept [512]byte
	for have := 0; ; {
		n, err := conn.Read(kept[have:])
		at := time.Now()
		if err != nil {
			return
		}
		if have += n; bytes.Contains(kept[:have], []byte("event: session.ended")) {
			ended <- at
			return
		}
		have = copy(kept[:], kept[max(0, have-32):have]) // the beginning of an event may be there
	}
}

// reportMemory compares the server's memory with what it was before the streams.
func reportMemory(b *testing.B, p *process, before float64) {
	b.Helper()
	const streams = crowd * perUser
	settled, peak, m := p.memory(b, "VmRSS"), p.memory(b, "VmHWM"), p.metrics(b)
	if open := m["menshen_streams"]; open != streams {
		b.Fatalf("%.0f streams are open, want %d", open, streams)
	}
	b.ReportMetric((settled-before)/streams, "kB/stream")
	b.ReportMetric((peak-before)/streams, "peak-kB/stream")
	b.Logf("resident: %.1f MB before, %.1f MB with %d streams, %.1f MB at most", before/1e3, settled/1e3, streams, peak/1e3)
	b.Logf("runtime: %.0f goroutines, %.1f MB of stacks, %.1f MB of heap alive or garbage, %.1f MB of heap in use, next collection at %.1f MB",
		m["go_goroutines"], m["go_memstats_stack_inuse_bytes"]/1e6, m["go_memstats_heap_alloc_bytes"]/1e6,
		m["go_memstats_heap_inuse_bytes"]/1e6, m["go_memstats_next_gc_bytes"]/1e6)
	if p.collect(b) {
		m = p.metrics(b)
		b.Logf("after a collection: %.1f MB resident, %.1f MB of stacks, %.1f MB of heap alive",
			p.memory(b, "VmRSS")/1e3, m["go_memstats_stack_inuse_bytes"]/1e6, m["go_memstats_heap_alloc_bytes"]/1e6)
	}
}

// kick logs the user in on another device and waits until all streams of the
// old session have received its end.
func kick(b *testing.B, p *process, u *user) (began, answer time.Time, ends []time.Time) {
	b.Helper()
	code, err := p.send(u.mobile)
	if err != nil {
		b.Fatal(err)
	}
	began = time.Now()
	_, err = p.login(u.mobile, code)
	answer = time.Now()
	if err != nil {
		b.Fatal(err)
	}
	timeout := time.After(eventTime)
	for range perUser {
		select {
		case at := <-u.ended:
			ends = append(ends, at)
		case <-timeout:
			b.Fatalf("%d of %d streams received the kick within %s", len(ends), perUser, eventTime)
		}
	}
	return began, answer, ends
}
