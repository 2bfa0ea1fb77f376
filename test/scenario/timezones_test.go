package scenario

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"menshen/repository/dbtest"
)

// insideZone tells a run of this test that it is the one in another place.
const insideZone = "MENSHEN_TEST_ZONE"

// TestTimeZones runs the scenarios that depend on times and text in other time zones
// and languages: in a zone that is hours ahead, in one with half an hour and
// daylight saving time, and in the language in which I is not the upper case of i.
// The zone of a process is fixed at its start, so each runs in a process of its own.
func TestTimeZones(t *testing.T) {
	if os.Getenv(insideZone) != "" {
		return
	}
	t.Parallel()
	passed := regexp.MustCompile(`(?m)^\s*--- PASS: TestScenarios/\w+/refresh_table `)
	for zone, language := range map[string]string{"Asia/Shanghai": "zh_CN.UTF-8", "America/St_Johns": "tr_TR.UTF-8"} {
		t.Run(zone, func(t *testing.T) {
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-test.run", "^TestScenarios$/^/^(walk|codes|login|check|check ended|refresh|refresh table|logout|sessions)$", "-test.count=1", "-test.v"}
			if drivers := dbtest.Drivers(t); len(drivers) > 1 && zone != "Asia/Shanghai" || testing.Short() { // both databases once
				args = append(args, "-test.short")
			}
			inside := exec.CommandContext(t.Context(), program, args...)
			inside.Env = append(os.Environ(), insideZone+"=1", "TZ="+zone, "LANG="+language, "LC_ALL="+language)
			out, err := inside.CombinedOutput()
			if err != nil || !passed.Match(out) {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
