package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository/dbtest"
)

// TestImport: files of accounts, imported twice and exported again; operators' accounts by
// the API beside them.
func TestImport(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", operatorKeys(), `TOKEN_CLAIMS={"ext":"externalId"}`)
			d.start(t)
			testImportCSV(t, d)
			testImportJSON(t, d)
			testOperatorsAccount(t, d)
		})
	}
}

// importFile imports a file and returns the report.
func (d *deployment) importFile(t *testing.T, text string, exit int, summary string, args ...string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(d.folder), "accounts")
	writeFile(t, path, text)
	report := path + ".report"
	writeFile(t, report, "old")
	if err := os.Chmod(report, 0o644); err != nil { //nolint:gosec // too wide, on purpose
		t.Fatal(err)
	}
	got, out, complaint := d.command(t, append([]string{"import", "-report", report, path}, args...)...)
	if got != exit || out != summary+"\n" {
		t.Errorf("%q: exit %d, %q, %q; want %d and %s", args, got, out, complaint, exit, summary)
	}
	lines, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(report); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the report has mode %v, %v", info.Mode(), err)
	}
	return string(lines)
}

func testImportCSV(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number(), Source: "store"})
	known, fresh, second := a.UserInfo.Mobile, d.number(), d.number()
	text := "\ufeffmobile,createdAt,companyType,nickName,realName,externalId,metadata,source,comment\r\n" +
		"+86 " + fresh[:3] + "-" + fresh[3:] + ",2019-08-24T14:15:22Z,0,\"门,神\",张三,e-1,\"{\"\"level\"\": 3}\",crm,x\r\n" +
		known + ",2019-08-24T14:15:22Z,0,新名,李四,e-2,{},crm,\r\n" +
		"0086" + fresh + ",,0,,,,,,\r\n" + // line 4: again
		"12345,,0,,,,,,\r\n" +
		second + ",,9,,,,,,\r\n" +
		second + ",,0\r\n" +
		second + ",,0,,,e-1,,,\r\n" +
		d.number() + ",2999-01-01T00:00:00Z,0,,,,,,\r\n" +
		d.number() + ",,0,,,,[1],,\r\n"
	const report = "line,reason\n" +
		"4,mobile: the same number as line 2\n" +
		"5,mobile: not a mobile number that this deployment accepts\n" +
		"6,companyType: unknown company\n" +
		"7,not as many columns as the header has\n" +
		"8,externalId: another account has it\n" +
		"9,createdAt: not a time of the past such as 2019-08-24T14:15:22Z\n" +
		"10,metadata: not a JSON object\n"
	before := d.value(t, "SELECT COUNT(*) FROM users")
	for _, run := range []struct {
		summary string
		args    []string
	}{
		{`{"lines":9,"created":1,"updated":1,"unchanged":0,"bad":7}`, []string{"-dry-run"}},
		{`{"lines":9,"created":1,"updated":1,"unchanged":0,"bad":7}`, nil},
		{`{"lines":9,"created":0,"updated":0,"unchanged":2,"bad":7}`, nil},
	} {
		if run.args != nil && d.value(t, "SELECT COUNT(*) FROM users") != before {
			t.Error("a dry run wrote accounts")
		}
		if got := d.importFile(t, text, cli.ExitFailure, run.summary, run.args...); got != report {
			t.Errorf("%q: the report is\n%s", run.args, got)
		}
	}
	d.callAdmin(t, call{path: userPath(a, ""), want: `{"nickName":"用户` + known[7:] + `","realName":"李四","externalId":"e-2","metadata":{},"source":"store"}`})
	b := d.login(t, form{Mobile: fresh, Source: "app"})
	if b.claims["ext"] != "e-1" || b.UserInfo.NickName != "门,神" {
		t.Errorf("the imported account logs in as %+v with %v", b.UserInfo, b.claims)
	}
	d.callAdmin(t, call{path: userPath(b, ""), want: `{"createdAt":"2019-08-24T14:15:22Z","source":"crm","lastSource":"app","metadata":{"level":3},"externalId":"e-1"}`})
	for text, says := range map[string]string{"mobile,nickName\n": "companyType", "companyType,mobile,mobile\n": "twice", "": "header"} {
		path := filepath.Join(filepath.Dir(d.folder), "broken")
		writeFile(t, path, text)
		if exit, _, complaint := d.command(t, "import", path); exit != cli.ExitFailure || !strings.Contains(complaint, says) {
			t.Errorf("%q: exit %d, %s", text, exit, complaint)
		}
	}
	if exit, _, _ := d.command(t, "import"); exit != cli.ExitUsage {
		t.Errorf("without a file: exit %d", exit)
	}
}

func testImportJSON(t *testing.T, d *deployment) {
	fresh, second := d.number(), d.number()
	text := fmt.Sprintf("{\"mobile\":%s,\"companyType\":0,\"metadata\":{\"a\" : [1, null]},\"externalId\":42}\n\n", fresh) +
		fmt.Sprintf("{\"companyType\":0,\"mobile\":%q,\"nickName\":null,\"metadata\":\"{}\"}\n", second) +
		"[]\n" +
		fmt.Sprintf("{\"companyType\":0,\"mobile\":%q,\"source\":\"%s\"}\n", second, strings.Repeat("x", 70_000)) +
		fmt.Sprintf("{\"companyType\":0,\"mobile\":%q,\"realName\":true}", d.number())
	got := d.importFile(t, text, cli.ExitFailure, `{"lines":5,"created":1,"updated":0,"unchanged":0,"bad":4}`)
	if want := "line,reason\n3,metadata: not a JSON object\n4,not one JSON object\n5,longer than 64 KiB\n6,realName: not a string or a number\n"; got != want {
		t.Errorf("the report is\n%s", got)
	}
	path := filepath.Join(filepath.Dir(d.folder), "all.jsonl")
	if exit, out, complaint := d.command(t, "export", "-o", path); exit != cli.ExitOK || out != "" || complaint != "" {
		t.Fatalf("export: exit %d, %q, %s", exit, out, complaint)
	}
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"companyType":0,"mobile":"+86%s","nickName":"用户%s","realName":"","avatarUrl":"","source":"","externalId":"42","metadata":{"a":[1,null]},"createdAt":"`, fresh, fresh[7:])
	if !strings.Contains(string(all), want) {
		t.Errorf("the export lacks %s:\n%s", want, all)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the export has mode %v, %v", info.Mode(), err)
	}
	n := strings.Count(string(all), "\n")
	if got := d.importFile(t, string(all), cli.ExitOK, fmt.Sprintf(`{"lines":%d,"created":0,"updated":0,"unchanged":%d,"bad":0}`, n, n)); got != "line,reason\n" {
		t.Errorf("the export has bad lines:\n%s", got)
	}
	if n := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'exported'"); n != "1" {
		t.Errorf("%s exports are recorded", n)
	}
	_ = os.Remove(path)
	_ = os.Remove(filepath.Join(filepath.Dir(d.folder), "accounts"))
}

// testOperatorsAccount: accounts that operators create and change by the API.
func testOperatorsAccount(t *testing.T, d *deployment) {
	mobile := d.number()
	body := func(more string) string { return fmt.Sprintf(`{"companyType":0,"mobile":%q%s}`, mobile, more) }
	for body, fields := range map[string][]string{
		`{}`:                                       {"companyType required", "mobile required"},
		body(`,"externalId":null`):                 {"externalId type"},
		body(`,"externalId":""`):                   {"externalId length"},
		body(`,"externalId":"a\u200bb"`):           {"externalId charset"},
		body(`,"metadata":null`):                   {"metadata type"},
		body(`,"metadata":[]`):                     {"metadata type"},
		body(`,"nickName":""`):                     {"nickName length"},
		body(`,"source":1`):                        {"source type"},
		`{"companyType":9,"mobile":"13900139000"}`: {"companyType unknown"},
	} {
		d.callAdmin(t, call{method: "POST", path: "/admin/users", body: body, code: 40000, fields: fields})
	}
	d.callAdmin(t, call{method: "POST", path: "/admin/users", body: `{"companyType":0,"mobile":"12345"}`, code: 40001})
	d.callAdmin(t, call{
		method: "POST", path: "/admin/users", body: body(`,"externalId":"op-1","metadata":{"a":1},"source":"desk"`), not: []string{mobile},
		want: `{"companyType":0,"externalId":"op-1","metadata":{"a":1},"source":"desk","lastLoginTime":null,"banned":false,"sessions":[],"locks":{"failures":0}}`,
	})
	d.callAdmin(t, call{method: "POST", path: "/admin/users", body: body(``), code: 40901})
	d.callAdmin(t, call{method: "POST", path: "/admin/users", body: fmt.Sprintf(`{"companyType":0,"mobile":%q,"externalId":"op-1"}`, d.number()), code: 40902})
	a := d.login(t, form{Mobile: mobile})
	for _, row := range []call{
		{body: `{"externalId":null,"metadata":{"b":"x"}}`, want: `{"externalId":null,"metadata":{"a":1,"b":"x"}}`},
		{body: `{"metadata":{"a":null},"realName":"张三"}`, want: `{"metadata":{"b":"x"},"realName":"张三"}`},
		{body: `{"externalId":"e-1"}`, code: 40902},
		{body: `{"nickName":null}`, code: 40000, fields: []string{"nickName type"}},
		{body: `{"metadata":null}`, code: 40000, fields: []string{"metadata type"}},
		{body: `{"metadata":{"c":"` + strings.Repeat("x", 4096) + `"}}`, code: 40000, fields: []string{"metadata length"}},
	} {
		row.method, row.path = "PATCH", userPath(a, "")
		d.callAdmin(t, row)
	}
	d.callAdmin(t, call{method: "PATCH", path: "/admin/users/42", body: `{}`, code: 40400})
}
