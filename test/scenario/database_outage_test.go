package scenario

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// testStorageOutage removes tables, a fault that both kinds of database have:
// everything that needs them is 50300 within two seconds, no answer is a false
// "not logged in", and everything works again as soon as they are back.
func testStorageOutage(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-fault"})
	gone := d.login(t, form{Mobile: a.UserInfo.Mobile, ProductType: 1})
	d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: gone.AccessToken.Value})
	access, f := a.AccessToken.Value, form{Mobile: d.number()}
	f.ValidateNo = d.sendCode(t, f.Mobile, 0)
	rows := func(code int32) []call {
		return []call{
			{name: "login", path: "/auth/mobile/login", body: jsonOf(t, f), code: code},
			{name: "refresh", path: refreshPath, body: pairBody(access, a.RefreshToken.Value), code: code},
			{name: "check", path: checkPath("device-of-fault"), as: access, code: code},
			{name: "check of an expired token", path: checkPath("device-of-fault"), as: d.expire(t, access), code: code},
			{name: "check of an ended session", path: checkPath("device-of-fault"), as: gone.AccessToken.Value, code: code},
			{name: "sessions", path: "/app/auth/sessions", as: access, code: code},
			{name: "ended sessions", path: "/app/auth/sessions?ended=true", as: access, code: code},
			{name: "delete", method: http.MethodDelete, path: "/app/auth/sessions/" + gone.claims.text("sid"), as: access, code: code},
			{name: "user", path: "/app/auth/user", as: access, code: code},
			{name: "change", method: http.MethodPatch, path: "/app/auth/user", body: `{"nickName":"x"}`, as: access, code: code},
			{name: "logout", method: http.MethodPost, path: "/app/auth/logout", as: access, code: code},
			{name: "logout of all", path: "/app/auth/logout", body: `{"scope":"all"}`, as: access, code: code},
		}
	}
	away := func(t *testing.T, table string, during func()) {
		t.Helper()
		d.exec(t, "ALTER TABLE "+table+" RENAME TO away")
		defer d.exec(t, "ALTER TABLE away RENAME TO "+table)
		during()
	}
	t.Run("sessions", func(t *testing.T) {
		away(t, "sessions", func() {
			for _, row := range rows(50300) {
				begin := time.Now()
				row.want, row.not = "null", []string{"isLogin", "away", "sessions", "table"}
				row.header = map[string]string{"X-Login-State": "", "WWW-Authenticate": ""}
				d.do(t, row)
				if took := time.Since(begin); took > patience {
					t.Errorf("%s took %s", row.name, took)
				}
			}
			// What needs no storage is judged as ever.
			d.do(t, call{path: checkPath("undefined"), as: access, code: 40000})
			d.do(t, call{path: checkPath("device-of-fault"), as: "garbage", code: 40100})
			d.do(t, call{path: "/.well-known/jwks.json"})
			d.do(t, call{path: "/healthz"})
		})
	})
	t.Run("slots", func(t *testing.T) {
		away(t, "slots", func() { // lastLoginTime is read fresh or not told
			d.do(t, call{path: checkPath("device-of-another"), as: access, code: 50300})
			d.do(t, call{path: checkPath("device-of-fault"), as: gone.AccessToken.Value, code: 50300})
			d.do(t, call{path: "/app/auth/user", as: gone.AccessToken.Value, code: 50300})
			d.do(t, call{path: checkPath("device-of-fault"), as: access, want: `{"isLogin":true}`})
		})
	})
	t.Run("events", func(t *testing.T) {
		away(t, "events", func() { // no change without its trace
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: access, code: 50300})
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 50300})
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50300})
			d.messages.wantNoMessage(t, "+86"+f.Mobile)
		})
	})
	t.Run("codes", func(t *testing.T) {
		away(t, "codes", func() {
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50300})
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 50300})
			d.messages.wantNoMessage(t, "+86"+f.Mobile)
		})
	})
	t.Run("back", func(t *testing.T) {
		d.wantState(t, access, "device-of-fault", "active")
		d.login(t, f) // 50300 left the code unused
		d.refresh(t, access, a.RefreshToken.Value)
	})
	t.Run("causes are in the log alone", func(t *testing.T) {
		log := d.log.text()
		if !strings.Contains(log, `"code":50300`) || !strings.Contains(log, `"cause":`) || !strings.Contains(log, "sessions") {
			t.Error("no cause is in the log")
		}
	})
}

// TestDatabaseOutage makes the database itself unreachable: MySQL behind a
// connection that is cut or silent, SQLite behind the lock of another process.
func TestDatabaseOutage(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_COOLDOWN=0s", operatorKeys(), "CLIENTS="+jsonOf(t, []map[string]string{{"id": clientID, "secret": clientSecret}}))
			faults := map[string]func() (back func()){"locked": func() func() { return d.lock(t) }}
			if driver == repository.MySQL {
				l := newProxy(t, d.dsn)
				d.settings = append(d.settings, "DATABASE_DSN="+l.dsn)
				faults = map[string]func() func(){"cut": func() func() { return l.setFault(linkCut) }, "silent": func() func() { return l.setFault(linkSilent) }}
			}
			d.start(t)
			for name, fault := range faults {
				t.Run(name, func(t *testing.T) { d.testOutage(t, fault) })
			}
		})
	}
}

func (d *deployment) testOutage(t *testing.T, fault func() (back func())) {
	a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-fault"})
	d.wantState(t, a.AccessToken.Value, "device-of-fault", "active")
	f := form{Mobile: d.number()}
	f.ValidateNo = d.sendCode(t, f.Mobile, 0)
	timed := func(c call, codes ...int32) (got int32) {
		t.Helper()
		begin := time.Now()
		answer := d.send(t, c.request(t, d.public))
		if took := time.Since(begin); took > patience {
			t.Errorf("%s took %s", c.path, took)
		}
		for _, code := range codes {
			if raw := string(answer.raw); answer.code == code && !strings.Contains(raw, `"isLogin":false`) && !strings.Contains(raw, `"active":false`) {
				return code
			}
		}
		t.Errorf("%s answers %s, want one of %v", c.path, answer.raw, codes)
		return 0
	}
	check, asked := call{path: checkPath("device-of-fault"), as: a.AccessToken.Value}, introspect(a.AccessToken.Value)
	d.do(t, asked)
	back := fault()
	restore := sync.OnceFunc(back)
	defer restore()
	timed(check, 0, 50300) // may be known, and must not be guessed
	timed(asked, 0, 50300)
	timed(call{path: "/auth/mobile/login", body: jsonOf(t, f)}, 50300)
	timed(check, 0, 50300)
	if d.driver == repository.MySQL {
		timed(call{path: "/auth/mobile/code", body: codeBody(f.Mobile)}, 50300)
		timed(call{path: refreshPath, body: pairBody(a.AccessToken.Value, a.RefreshToken.Value)}, 50300)
		eventually(t, 3*time.Second, "what was known is old", func() bool { return timed(check, 0, 50300) == 50300 })
		timed(asked, 50300)
		if inactive := d.do(t, introspect("garbage")); string(inactive.raw) != `{"active":false}` { // needs no database
			t.Errorf("garbage is %s", inactive.raw)
		}
		begin := time.Now()
		d.callAdmin(t, call{path: "/admin/health", want: `{"database":{"ok":false,"version":""},"instances":[],"vendors":[],"checks":[{"name":"database","ok":false}]}`})
		if took := time.Since(begin); took > patience {
			t.Errorf("/admin/health took %s", took)
		}
		if ready := d.do(t, call{path: "/readyz"}); ready.status != http.StatusServiceUnavailable {
			t.Errorf("/readyz answers %d", ready.status)
		}
	}
	d.do(t, call{path: "/healthz"})
	d.do(t, call{path: checkPath("device-of-fault"), as: "garbage", code: 40100})
	restore()
	eventually(t, 5*time.Second, "all is well again", func() bool {
		row := call{path: "/auth/mobile/login", body: jsonOf(t, f)}
		answer := d.send(t, row.request(t, d.public))
		return answer.code == 0 && d.accountOf(t, answer).UserInfo.Mobile == f.Mobile
	})
	d.wantState(t, a.AccessToken.Value, "device-of-fault", "active")
	timed(asked, 0)
	d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
	if ready := d.do(t, call{path: "/readyz"}); ready.status != http.StatusOK {
		t.Errorf("/readyz answers %d", ready.status)
	}
}

// lock prevents the program from writing, as a backup of the file may.
func (d *deployment) lock(t *testing.T) (release func()) {
	t.Helper()
	conn, err := d.sql(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// proxy is the wire to a database server.
type proxy struct {
	dsn      string // leads through the wire
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex
	state network
	ends  map[net.Conn]bool
}

type network int

const (
	linkUp     network = iota
	linkCut            // connections break, new ones too
	linkSilent         // bytes vanish
)

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	address := regexp.MustCompile(`tcp\(([^)]*)\)`).FindStringSubmatch(dsn)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &proxy{target: address[1], listener: listener, ends: map[net.Conn]bool{}, dsn: strings.Replace(dsn, address[1], listener.Addr().String(), 1)}
	l.done.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.setFault(linkCut)
		l.done.Wait()
	})
	return l
}

func (l *proxy) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil || l.is(linkCut) {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		l.ends[near], l.ends[far] = true, true
		l.mu.Unlock()
		l.done.Go(func() { l.pump(near, far) })
		l.done.Go(func() { l.pump(far, near) })
	}
}

// pump copies bytes until either end closes.
func (l *proxy) pump(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !l.is(linkSilent) {
			_, _ = to.Write(buffer[:n])
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
	}
}

func (l *proxy) is(state network) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == state
}

// setFault changes the state until back is called.
func (l *proxy) setFault(state network) (back func()) {
	set := func(state network, hangUp bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.state = state
		for end := range l.ends {
			if hangUp {
				_ = end.Close()
				delete(l.ends, end)
			}
		}
	}
	set(state, state == linkCut)
	return func() { set(linkUp, true) } // what lost bytes is of no use any more
}
