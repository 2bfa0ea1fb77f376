package scenario

import (
	"encoding/json"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestDeskCommands: the life of an account from a shell. Each act is one event of the
// shell's user.
func TestDeskCommands(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", operatorKeys())
			d.start(t)
			testDeskCommands(t, d)
		})
	}
}

func testDeskCommands(t *testing.T, d *deployment) {
	refused := func(says string, args ...string) {
		t.Helper()
		exit, out, complaint := d.command(t, append([]string{"user"}, args...)...)
		if exit != cli.ExitFailure || out != "" || !strings.Contains(complaint, says) {
			t.Errorf("%q: exit %d, %q, %q; want %s", args, exit, out, complaint, says)
		}
	}
	lines := func(want string, args ...string) {
		t.Helper()
		if got := d.commandLines(t, append([]string{"user"}, args...)...); !slices.Equal(got, []string{want}) {
			t.Errorf("%q says %q, want %s", args, got, want)
		}
	}
	person := func(want string, args ...string) (found struct{ ID int64 }) {
		t.Helper()
		got := d.commandLines(t, append([]string{"user"}, args...)...)
		if len(got) != 1 || json.Unmarshal([]byte(got[0]), &found) != nil || difference(decodeJSON(t, []byte(got[0])), decodeJSON(t, []byte(want)), "line") != "" {
			t.Fatalf("%q says %q, want %s", args, got, want)
		}
		return found
	}
	mobile, fresh := d.number(), d.number()
	id := strconv.FormatInt(person(`{"companyType":0,"source":"desk","nickName":"门","realName":"张三","avatarUrl":"https://example.com/a.png","externalId":"c-1","metadata":{"a":1}}`,
		"create", mobile, "-company", "0", "-source", "desk", "-nick", "门", "-real", "张三", "-avatar", "https://example.com/a.png", "-external", "c-1", "-metadata", `{"a": 1}`).ID, 10)
	refused("40901", "create", mobile, "-company", "0")
	refused("40902", "create", fresh, "-company", "0", "-external", "c-1")
	refused("40001", "create", "12345", "-company", "0")
	person(`{"externalId":null,"metadata":{"a":1,"b":"x"},"realName":"李四"}`, "patch", id, "-external", "", "-metadata", `{"b":"x"}`, "-real", "李四")
	refused("40400", "patch", "42", "-real", "x")
	person(`{"realName":"李四","banned":false}`, "list", "-company", "0", "-source", "desk", "-banned=false", "-from", "2020-01-01T00:00:00Z", "-n", "1")
	if got := d.commandLines(t, "user", "list", "-banned"); !slices.Equal(got, []string{""}) {
		t.Errorf("banned users are %q", got)
	}

	d.login(t, form{Mobile: mobile})
	var sent struct {
		Ticket      string
		ResendAfter *int64
	}
	if got := d.commandLines(t, "user", "code", id, fresh); json.Unmarshal([]byte(got[0]), &sent) != nil || sent.Ticket == "" || sent.ResendAfter == nil {
		t.Errorf("code says %q", got)
	}
	refused("40002", "mobile", id, fresh, "-code", "0000000000", "-ticket", sent.Ticket, "-reason", "lost")
	lines(`{"ended":1}`, "mobile", id, fresh, "-code", d.messages.nextMessage(t, "+86"+fresh).Code, "-ticket", sent.Ticket, "-reason", "lost")
	masked := fresh[:3] + "****" + fresh[7:]
	lines(fmt.Sprintf(`{"mobile":%q,"locks":{"failures":0,"failuresUntil":null,"codesToday":0,"nextCodeAt":null}}`, masked), "locks", fresh)
	lines(`{"cleared":2}`, "unlock", id, "-reason", "called") // hour and day of the code
	lines(`{"cleared":0}`, "unlock", id, "-reason", "called")
	if exit, out, _ := d.command(t, "user", "export", id); exit != cli.ExitOK || !strings.Contains(out, `"mobile":"`+fresh+`"`) || !strings.Contains(out, `"sessions":[{`) {
		t.Errorf("export: exit %d, %s", exit, out)
	}
	lines(`{"ended":0}`, "delete", id, "-reason", "asked")
	refused("40400", "delete", id, "-reason", "asked")
	refused("40400", "unlock", id, "-reason", "called")

	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, line := range d.commandLines(t, "audit", "-user", id, "-actor", "cli:"+me.Username) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Kind != "viewed" {
			kinds = append(kinds, e.Kind)
		}
	}
	if got := strings.Join(kinds, " "); got != "user_deleted exported unlocked unlocked kick number_changed code_sent user_changed user_created" {
		t.Errorf("the audit has %s", got)
	}
}

// TestUnusedDatabase: before the first start a command says what is missing.
func TestUnusedDatabase(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SECRET_KEY="+secretOf("unused"))
	d.commandLines(t, "migrate")
	exit, out, complaint := d.command(t, "user", "list")
	if exit != cli.ExitFailure || out != "" || !strings.Contains(complaint, "start menshen once") || strings.Contains(complaint, "40400") {
		t.Errorf("exit %d: %s%s", exit, out, complaint)
	}
}
