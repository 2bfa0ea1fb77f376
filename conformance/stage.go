package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"menshen/app"
)

// stage is what one trace is played on.
type stage struct {
	trace    int // its number
	program  *program
	gate     *gate
	driver   *driver
	base     string // URL of the gate, which the client takes for the service
	other    *otherSite
	folder   string
	mark     int // number of the first request that expectations are about
	doors    map[string]*doorway
	mu       sync.Mutex
	storages map[string]string // by client
	cleanups []func() error    // last one first
}

// newStage starts gate and client for one trace, and its service unless shared, which may be
// nil, will do.
func newStage(ctx context.Context, o Options, t Trace, shared *program) (s *stage, err error) {
	s = &stage{
		program: shared,
		doors:   map[string]*doorway{}, storages: map[string]string{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.folder, err = os.MkdirTemp("", "menshen-conformance-"); err != nil {
		return s, err
	}
	s.cleanups = append(s.cleanups, func() error { return os.RemoveAll(s.folder) })
	s.other = &otherSite{}
	if s.other.url, err = s.serve(ctx, s.other); err != nil {
		return s, err
	}
	if !t.sharesService() {
		p := o.Process
		p.Environ = nil
		for _, setting := range t.settings {
			p.Environ = append(p.Environ, strings.ReplaceAll(setting, "{other}", s.other.url))
		}
		if s.program, err = startProgram(ctx, p, t.ahead); err != nil {
			return s, err
		}
		s.cleanups = append(s.cleanups, s.program.stop)
	}
	began := elapsed(o.Process)
	s.gate = newGate(s.program, func() time.Duration { return elapsed(o.Process) - began })
	if s.base, err = s.serve(ctx, s.gate); err != nil {
		return s, err
	}
	if s.driver, err = startDriver(ctx, o.Client, o.Process.Environ); err != nil {
		return s, err
	}
	s.cleanups = append(s.cleanups, func() error { s.driver.stop(); return nil })
	return s, nil
}

// elapsed is how long the process has run, by a clock that is never set if there is one.
func elapsed(p app.Process) time.Duration {
	if p.Elapsed != nil {
		return p.Elapsed()
	}
	return time.Duration(p.Now().UnixNano())
}

// headerTime bounds how long the client takes to send the header of a request.
const headerTime = 10 * time.Second

// serve makes a handler a site of this machine and returns its URL.
func (s *stage) serve(ctx context.Context, handler http.Handler) (string, error) {
	var listeners net.ListenConfig
	listener, err := listeners.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.cleanups = append(s.cleanups, func() error {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + listener.Addr().String(), nil
}

// close ends what newStage started, in the other order.
func (s *stage) close() error {
	var all []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		all = append(all, s.cleanups[i]())
	}
	return errors.Join(all...)
}

// door is the doorway of a name.
func (s *stage) door(name string) *doorway {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doors[name] == nil {
		s.doors[name] = newDoorway()
	}
	return s.doors[name]
}

// tell has a client act. The gate knows meanwhile what it was asked to do: see houseRules.
func (s *stage) tell(ctx context.Context, c command) (reply, error) {
	defer s.gate.asks(map[string]route{"code": onCode, "login": onLogin, "logout": onLogout}[c.Do])()
	return s.driver.do(ctx, c)
}

// storage is the folder of a storage.
func (s *stage) storage(name string) (string, error) {
	folder := filepath.Join(s.folder, "storage", name)
	return folder, os.MkdirAll(folder, 0o700)
}

// otherSite is what is none of the service's: the page of a captive portal, to which the
// client may be led, and the vendor of challenges. It remembers what it should never get.
type otherSite struct {
	url string

	mu    sync.Mutex
	leaks []string
}

// solution is the answer to a challenge that the vendor takes.
const solution = "solved-by-conformance"

// ServeHTTP is both.
func (o *otherSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, longLine))
	if r.URL.Path == "/siteverify" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"success":%t,"error-codes":[%s]}`, strings.Contains(string(body), solution), map[bool]string{false: `"invalid-input-response"`}[strings.Contains(string(body), solution)])
		return
	}
	if r.Header.Get("Authorization") != "" || strings.Contains(string(body), "efreshToken") {
		o.mu.Lock()
		o.leaks = append(o.leaks, r.Method+" "+r.URL.Path)
		o.mu.Unlock()
	}
	_, _ = io.WriteString(w, "<html><body>Please log in to this network.</body></html>")
}

// leaked returns the requests that bore a token.
func (o *otherSite) leaked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leaks
}
