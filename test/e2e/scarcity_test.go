package e2e

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// behind makes cmd the argument of another program, such as prlimit, which becomes cmd.
func behind(t *testing.T, cmd *exec.Cmd, wrapper ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(wrapper[0])
	if err != nil {
		t.Fatalf("%s of util-linux is missing: %v", wrapper[0], err)
	}
	cmd.Path, cmd.Args = path, append(wrapper, cmd.Path)
	return cmd
}

// smallDisk mounts a disk in memory on folder, in a mount namespace of its own, which
// needs no privilege but that to make user namespaces. It returns the process that keeps
// the namespace, by whose number processes enter it.
func smallDisk(t *testing.T, folder, size string) (pid int) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	keeper := exec.Command("unshare", "--user", "--map-root-user", "--mount",
		"sh", "-c", `mount -t tmpfs -o size="$2" tmpfs "$1" && echo mounted && exec cat`, "sh", folder, size)
	var complaint strings.Builder
	keeper.Stderr = &complaint
	end, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := keeper.StdoutPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(out).ReadString('\n')
	if said != "mounted\n" {
		_ = end.Close()
		t.Fatalf("no small disk can be mounted: %v %s; run the test where user namespaces are allowed (unshare -Urm), or as root with CAP_SYS_ADMIN", keeper.Wait(), complaint.String())
	}
	t.Cleanup(func() { _ = end.Close(); _ = keeper.Wait() })
	return keeper.Process.Pid
}

// wantIntegrity copies the database of a stopped instance, as seen from outside, and
// checks the copy.
func wantIntegrity(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "menshen.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(folder, "menshen.db"+suffix))
		if err != nil && !os.IsNotExist(err) || err != nil && suffix == "" {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var result string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity_check: %q, %v", result, err)
	}
}

// TestFullDisk: on a full disk what needs to be written is 50300, in time, and nothing
// that is known becomes unknown. When there is room again, so is everything else, without
// a restart; a kill on the full disk loses nothing that was answered.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	folder := filepath.Join(d.folder, data)
	disk := smallDisk(t, folder, "24m")
	outside := fmt.Sprintf("/proc/%d/root%s", disk, folder)
	begin := func() *instance {
		cmd := behind(t, d.command(t, data), "nsenter", "--preserve-credentials", "--user", "--mount", "--target="+fmt.Sprint(disk), "--wd="+d.folder)
		i := d.run(t, data, cmd)
		i.awaitServing(t)
		return i
	}
	i := begin()
	living, kicked := i.login(t, "", "device-1"), i.login(t, "", "device-2")
	i.kick(t, kicked)
	ballast := filepath.Join(outside, "ballast")
	for _, round := range []string{"freed", "killed"} {
		i.wantState(t, living, "active") // the first use of a token is written down
		fillDisk(t, ballast)
		refused := 0
		last := i.d.number()
		eventually(t, startTime, "the disk is full", func() bool { // the log of SQLite may have room left
			a := i.call(codeRequest(i.d.number()))
			if a.code != 0 && (a.code != 50300 || a.took > 5*time.Second) {
				t.Fatalf("a code on a full disk: %s", a)
			}
			if a.code == 50300 {
				refused++
			}
			return refused == 20
		})
		i.wantState(t, living, "active")
		i.wantState(t, kicked, "kicked")
		if a := i.call(codeRequest(last)); a.code != 50300 {
			t.Errorf("a code on a full disk: %s", a)
		}
		if a := i.call(living.logoutRequest()); a.code != 50300 {
			t.Errorf("a logout on a full disk: %s", a)
		}
		i.wantState(t, living, "active")
		if round == "killed" {
			i.kill(t)
			wantIntegrity(t, outside)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round == "killed" {
			i = begin()
		}
		took := eventually(t, backTime, "all is well again", func() bool { return i.call(codeRequest(i.d.number())).code == 0 })
		t.Logf("%s: well again after %s", round, took)
		i.wantState(t, living, "active")
		i.wantState(t, kicked, "kicked")
		i.refreshSession(t, living)
		i.login(t, "", "device-3")
	}
	i.stop(t)
	wantIntegrity(t, outside)
}

// fillDisk writes until no byte more fits.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); err != nil {
			if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Fatal(err)
			}
			return
		}
	}
}

// TestFewDescriptors: connections take all 256 descriptors of the process. A client
// that is connected is answered, by 50300 at worst; when the others leave, all is well.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.run(t, data, behind(t, d.command(t, data), "prlimit", "--nofile=256:256"))
		i.awaitServing(t)
		s := i.login(t, "", "device")
		kicked := i.login(t, "", "device")
		i.kick(t, kicked)
		var crowd []net.Conn
		for range 300 {
			conn, err := net.DialTimeout("tcp", strings.TrimPrefix(i.public, "http://"), callTime)
			if err != nil {
				break // the backlog is full
			}
			crowd = append(crowd, conn)
			_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: menshen\r\n\r\n") // and stays
		}
		eventually(t, callTime, "no descriptor is left", func() bool {
			open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", i.process.Pid))
			return err == nil && len(open) >= 250
		})
		answers := map[int32]int{}
		for range 20 {
			for _, a := range []answer{i.callWithin(s.checkRequest("")), i.callWithin(codeRequest(i.d.number())), i.callWithin(kicked.checkRequest(""))} {
				answers[a.code]++
				if a.code > 0 && a.code != 50300 && a.code != 50301 || a.took > 5*time.Second {
					t.Errorf("without descriptors: %s", a)
				}
			}
		}
		for _, conn := range crowd {
			_ = conn.Close()
		}
		took := eventually(t, backTime, "all is well again", func() bool { return i.callWithin(codeRequest(i.d.number())).code == 0 })
		i.wantState(t, s, "active")
		i.wantState(t, kicked, "kicked")
		i.login(t, "", "device")
		i.stop(t)
		d.wantInvariants(t)
		if driver == repository.SQLite {
			wantIntegrity(t, filepath.Join(d.folder, data))
		}
		t.Logf("%s: answered %v (-1: no connection), well again after %s", driver, answers, took)
	})
}

// callWithin is call for an instance that may not accept the connection.
func (i *instance) callWithin(r request) answer {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	return i.d.exchange(ctx, i.public, r)
}

// TestLittleMemory: with 128 MiB of data, heap and stacks, an instance answers a crowd:
// the limit is RLIMIT_DATA, beyond which the process would end.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		workers, rounds, streams := 64, soak(1, 40), soak(100, 500)
		d := newDeployment(t, driver)
		i := d.run(t, data, behind(t, d.command(t, data), "prlimit", "--data=134217728:134217728"))
		i.awaitServing(t)
		for range streams / 5 { // of one session five streams are allowed
			s := i.login(t, "", "device")
			for range 5 {
				conn, err := net.Dial("tcp", strings.TrimPrefix(i.public, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				_, _ = fmt.Fprintf(conn, "GET /app/auth/events HTTP/1.1\r\nHost: menshen\r\nAuthorization: Bearer %s\r\n\r\n", s.access)
			}
		}
		var acts, busy atomic.Int64
		runAtOnce(workers, func(int) {
			for range rounds {
				mobile := d.number()
				sent := i.call(codeRequest(mobile))
				a := i.call(loginRequest(mobile, d.messages.newest(mobile), "device"))
				switch {
				case sent.code == 0 && a.code == 0:
					s := a.session(t, mobile, "device")
					if state, a := i.check(s); state != "active" && a.code != 50300 {
						t.Errorf("with little memory: %s", a)
					}
					acts.Add(3)
				case sent.code == 50300 || a.code == 50300:
					busy.Add(1)
				default:
					t.Errorf("with little memory: %s\n%s", sent, a)
				}
			}
		})
		i.login(t, "", "device")
		t.Logf("%s: %d acts, %d times unavailable, %s", driver, acts.Load(), busy.Load(), i.memory(t))
		i.stop(t)
		d.wantInvariants(t)
		if driver == repository.SQLite {
			wantIntegrity(t, filepath.Join(d.folder, data))
		}
	})
}

// memory returns what Linux says of the memory of the process.
func (i *instance) memory(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "VmData") {
			kept = append(kept, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(kept, ", ")
}
