package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// importLines is the length of the file: some batches, of lines so long that a pipe holds
// few of them.
const importLines = 1_600

// TestKilledImport kills an import at random lines and runs it again: accounts, report and
// events are those of one run, and one more run changes nothing.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		once, killed := newImporter(t, driver), newImporter(t, driver)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		chance := rand.New(rand.NewPCG(seed, 0))
		whole := importText(0, importLines)
		const bad = 5
		once.importAll(t, whole, fmt.Sprintf(`{"lines":%d,"created":%d,"updated":2,"unchanged":1,"bad":%d}`, importLines, importLines-3-bad, bad))
		const kills = 3
		for n := range kills { // each in a later part of the file
			lines := n*importLines/kills + 1 + chance.IntN(importLines/kills)
			t.Logf("killed behind line %d", lines)
			killed.killImport(t, importText(0, lines))
		}
		killed.importAll(t, whole, "")
		want := once.outcome(t)
		if got := killed.outcome(t); got != want {
			t.Errorf("after the kills: %s\none run: %s", ends(got), ends(want))
		}
		killed.importAll(t, whole, fmt.Sprintf(`{"lines":%d,"created":0,"updated":0,"unchanged":%d,"bad":%d}`, importLines, importLines-bad, bad))
		if got := killed.outcome(t); got != want {
			t.Errorf("one more run: %s\nbefore: %s", ends(got), ends(want))
		}
	})
}

// importText is a part of a file of accounts. Of its accounts three are known: see
// newImporter.
func importText(from, to int) string {
	var text strings.Builder
	text.WriteString("mobile,companyType,nickName,realName,externalId,metadata,createdAt,avatarUrl\n")
	avatar := "https://example.com/" + strings.Repeat("a", 200)
	for n := from; n < to; n++ {
		mobile, externalID := fmt.Sprintf("137%08d", n), fmt.Sprintf("e-%d", n)
		switch n {
		case 700, 1500: // a number's second place
			mobile = fmt.Sprintf("137%08d", n-650)
		case 800, 1400: // an external id's second place
			externalID = fmt.Sprintf("e-%d", n-799)
		case 1300:
			mobile = "12345"
		}
		fmt.Fprintf(&text, "%s,0,nick %d,real %d,%s,\"{\"\"n\"\":%d}\",2020-01-02T03:04:05Z,%s\n", mobile, n, n, externalID, n, avatar)
	}
	return text.String()
}

// importer is a deployment into which a file is imported while no instance runs.
type importer struct {
	*deployment
	file, report string
}

// newImporter prepares a database in which two numbers of the file have accounts with
// nothing else, and one has all that its line gives.
func newImporter(t *testing.T, driver string) importer {
	t.Helper()
	d := newDeployment(t, driver)
	i := d.start(t, data)
	i.awaitReady(t)
	i.stop(t)
	im := importer{d, filepath.Join(d.folder, "accounts.csv"), filepath.Join(d.folder, "report.csv")}
	im.importAll(t, "mobile,companyType,createdAt\n13700000010,0,2019-01-01T00:00:00Z\n13700001200,0,2019-01-01T00:00:00Z\n", `{"lines":2,"created":2,"updated":0,"unchanged":0,"bad":0}`)
	im.importAll(t, importText(1000, 1001), `{"lines":1,"created":1,"updated":0,"unchanged":0,"bad":0}`)
	return im
}

// importAll imports a file to its end. summary may be "": any.
func (im importer) importAll(t *testing.T, text, summary string) {
	t.Helper()
	if err := os.WriteFile(im.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	exit, out := im.adminCommand(t, data, "import", "-report", im.report, im.file)
	if bad := !strings.Contains(out, `"bad":0`); summary != "" && out != summary+"\n" || bad != (exit == 1) || exit > 1 {
		t.Errorf("the import ends with %d: %s; want %s", exit, out, summary)
	}
}

// killImport feeds the command a part of the file and kills it: by then it has read all
// but what the pipe holds.
func (im importer) killImport(t *testing.T, text string) {
	t.Helper()
	cmd := im.command(t, data)
	cmd.Args = append(cmd.Args, "import", "-report", im.report, "/dev/stdin")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, text); err != nil {
		t.Errorf("the import ended: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the import was not killed: %s", cmd.ProcessState)
	}
}

// outcome is what imports have left: the accounts, the report and how many events of each
// kind.
func (im importer) outcome(t *testing.T) string {
	t.Helper()
	exit, accounts := im.adminCommand(t, data, "export")
	if exit != 0 {
		t.Errorf("export ends with %d", exit)
	}
	lines := strings.Split(accounts, "\n")
	slices.Sort(lines)
	report, err := os.ReadFile(im.report)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	db := im.sql(t)
	var created, changed int
	err = db.QueryRowContext(t.Context(), `SELECT COUNT(CASE WHEN kind = 'user_created' THEN 1 END), COUNT(CASE WHEN kind = 'user_changed' THEN 1 END)
FROM events WHERE user_id IN (SELECT id FROM users)`).Scan(&created, &changed)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s\n%screated %d, changed %d", strings.Join(lines, "\n"), report, created, changed)
}

// ends shows the ends of a long text.
func ends(text string) string {
	return fmt.Sprintf("%d bytes, %s … %s", len(text), text[:min(len(text), 500)], text[max(0, len(text)-500):])
}
