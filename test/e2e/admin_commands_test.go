package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// adminCommand runs an operator's command beside the instances and returns its
// exit code and output.
func (d *deployment) adminCommand(t *testing.T, name string, args ...string) (exit int, out string) {
	t.Helper()
	cmd := d.command(t, name)
	cmd.Args = append(cmd.Args, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if complaint.Len() > 0 {
		t.Logf("%q: %s", args, complaint.String())
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// TestAdminCommands: a command is a process of its own on the database of a server
// under load; streams and checks reflect it, and a busy file fails neither.
func TestAdminCommands(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		stop, done := make(chan struct{}), make(chan struct{})
		var logins atomic.Int64
		go func() { // keeps the database busy
			defer close(done)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				mobile := d.number()
				if a := i.call(codeRequest(mobile)); a.code != 0 {
					t.Errorf("a code meanwhile: %s", a)
				}
				if a := i.call(loginRequest(mobile, d.messages.newest(mobile), "device")); a.code != 0 {
					t.Errorf("a login meanwhile: %s", a)
				}
				logins.Add(1)
			}
		}()
		for round := range 3 {
			s := i.login(t, "", "device-"+strconv.Itoa(round))
			i.cacheSession(t, s)
			st, id := i.events(t, s), strconv.FormatInt(s.user, 10)
			if exit, out := d.adminCommand(t, data, "user", "find", s.mobile); exit != 0 || !strings.Contains(out, `"id":`+id+",") || !strings.Contains(out, s.id) {
				t.Errorf("find ends with %d: %s", exit, out)
			}
			if exit, out := d.adminCommand(t, data, "user", "kick", id, "-session", s.id, "-reason", "e2e"); exit != 0 || out != "{\"ended\":1}\n" {
				t.Errorf("kick ends with %d: %s", exit, out)
			}
			begin := time.Now()
			st.wantEnded(t, "kicked", 5*time.Second)
			t.Logf("heard of %s after the command, promised is 1s", time.Since(begin).Round(time.Millisecond))
			i.wantState(t, s, "kicked")

			banned := i.login(t, s.mobile, "device-"+strconv.Itoa(round))
			st = i.events(t, banned)
			if exit, out := d.adminCommand(t, data, "user", "ban", id, "-reason", "e2e"); exit != 0 || out != "{\"ended\":1}\n" {
				t.Errorf("ban ends with %d: %s", exit, out)
			}
			st.wantEnded(t, "banned", 5*time.Second)
			i.wantState(t, banned, "banned")
			if a := i.call(loginRequest(s.mobile, i.sendCode(t, s.mobile), "device")); a.code != 40300 {
				t.Errorf("a login of a banned user: %s", a)
			}
			if exit, _ := d.adminCommand(t, data, "user", "unban", id); exit != 0 {
				t.Errorf("unban ends with %d", exit)
			}
			i.login(t, s.mobile, "device")
			if exit, out := d.adminCommand(t, data, "audit", "-user", id, "-kind", "unban"); exit != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"actor":"cli:`) {
				t.Errorf("audit ends with %d: %s", exit, out)
			}
		}
		close(stop)
		<-done
		if logins.Load() == 0 {
			t.Error("nothing kept the database busy")
		}
		for _, row := range []struct {
			args []string
			exit int
			out  string // how it begins; "" for no output
		}{
			{[]string{"user", "kick", "42", "-reason", "e2e"}, 1, ""},
			{[]string{"user", "kick", "x", "-reason", "e2e"}, 2, ""},
			{[]string{"user", "ban", "1", "-h"}, 0, "menshen user ban: "},
		} {
			exit, out := d.adminCommand(t, data, row.args...)
			if exit != row.exit || !strings.HasPrefix(out, row.out) || row.out == "" && out != "" {
				t.Errorf("%q ends with %d: %s", row.args, exit, out)
			}
		}
		if a := i.callAdmin(request{path: fmt.Sprintf("/admin/audit?kind=kick&actor=%s", "e2e")}); a.code != 0 {
			t.Errorf("the admin API afterwards: %s", a)
		}
	})
}
