package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// insideZone tells a run of this test that it is the one in another place.
const insideZone = "MENSHEN_TEST_ZONE"

// TestZones plays the scenarios that deal in times and in text again, as on
// machines elsewhere: with a zone that is hours ahead, one that is half an hour
// off and knows summer time, and the language whose letters i and I are no pair
// . The zone of a process is fixed at its start, so it is another process.
func TestZones(t *testing.T) {
	if os.Getenv(insideZone) != "" {
		return
	}
	t.Parallel()
	for zone, language := range map[string]string{"Asia/Shanghai": "zh_CN.UTF-8", "America/St_Johns": "tr_TR.UTF-8"} {
		t.Run(zone, func(t *testing.T) {
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-test.run", "^TestScenarios$/^/^(walk|codes|login|check|check ended|refresh|refresh table|logout|sessions)$", "-test.count=1", "-test.v"}
			if testing.Short() || zone != "Asia/Shanghai" { // both databases once
				args = append(args, "-test.short")
			}
			inside := exec.CommandContext(t.Context(), program, args...)
			inside.Env = append(os.Environ(), insideZone+"=1", "TZ="+zone, "LANG="+language, "LC_ALL="+language)
			out, err := inside.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestScenarios/sqlite/refresh_table") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
