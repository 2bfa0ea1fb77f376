package conformance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"menshen/app"
	"menshen/conformance"
)

// TestMain is also the process of the client under test.
func TestMain(m *testing.M) {
	if planted := os.Getenv(bugVariable); planted != "" {
		runClient(bug(planted))
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

// play plays traces, by default all of them, to a client with a bug.
func play(t *testing.T, b bug, names ...string) (s conformance.Summary) {
	t.Helper()
	return playTo(t, os.Args[:1], b, names...)
}

func playTo(t *testing.T, client []string, b bug, names ...string) (s conformance.Summary) {
	t.Helper()
	defaults, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	traces, err := conformance.Select(names)
	if err != nil {
		t.Fatal(err)
	}
	options := conformance.Options{Client: client, Parallel: 8, Process: app.Process{
		Environ: []string{bugVariable + "=" + string(b)}, Now: time.Now, Version: "dev", Defaults: defaults,
	}}
	err = conformance.Run(t.Context(), options, traces, func(v conformance.Verdict) error { s.Add(v); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRightClient: a client that does as the recipe says passes every trace.
func TestRightClient(t *testing.T) {
	t.Parallel()
	for _, v := range play(t, none).Traces {
		if v.Result != conformance.Passed {
			t.Errorf("%s is %s: expected %s, seen %s\n%s", v.Name, v.Result, v.Expected, v.Seen, strings.Join(v.Log, "\n"))
		}
	}
}

// TestPlantedBugs: each mistake is found by the trace that is about it, and the verdict says
// what was expected and seen.
func TestPlantedBugs(t *testing.T) {
	for planted, found := range map[bug]struct{ trace, expected string }{
		discardsAtTrouble:   {"storm", "phone to stay logged in"},
		logsOutAtLostAnswer: {"lost-answer", "no logout, for there was no such command"},
		keepsAfterUse:       {"killed-before-use", `"call" with the newest token, 2`},
		refreshesAtEvery401: {"displaced", `none of kind "refresh"`},
		ignoresStalePair:    {"stale-pair", "the request of left to succeed"},
		retriesStolenPair:   {"stolen-pair", "phone to be logged out"},
		loopsTightly:        {"push-cut", "on average"},
		ignoresRetryAfter:   {"retry-after", "a pause of 2s"},
		credentialOfAnother: {"credential-of-another", "no X-Device-Credential"},
		trustsOwnClock:      {"clock-ahead", `none to one of kind "refresh"`},
		followsRedirects:    {"redirect", "tokens to go to the service alone"},
		pairInMemory:        {"old-process", `"call" with the newest token, 3`},
		overwritesNewer:     {"late-answer", `"call" with the newest token, 3`},
		forgetsTicket:       {"ticket", "X-Code-Ticket"},
		pageIsSuccess:       {"captive-portal", "the request of phone to fail"},
		statusIsVerdict:     {"proxy-says-401", "phone to stay logged in"},
		sharesNoRefresh:     {"ten-at-once", `one of kind "refresh"`},
		endsAtAnyEvent:      {"push-noise", "phone"},
		newDeviceNumber:     {"device-number", "one device number"},
		logsInAgain:         {"displaced", "no login, for there was no such command"},
		claimsLogout:        {"logout-without-network", "the service to have ended the session"},
	} {
		t.Run(string(planted), func(t *testing.T) {
			t.Parallel()
			v := play(t, planted, found.trace).Traces[0]
			if v.Result != conformance.Failed || v.Expected == "" || v.Seen == "" || len(v.Log) == 0 || !strings.Contains(v.Expected, found.expected) {
				t.Errorf("%s is %s: expected %q, seen %q\n%s", v.Name, v.Result, v.Expected, v.Seen, strings.Join(v.Log, "\n"))
			}
		})
	}
}

// TestWrapper: a client behind a wrapper is ended with what it started, which holds its output.
func TestWrapper(t *testing.T) {
	t.Parallel()
	wrapper := []string{"sh", "-c", "sleep 600 & echo Hello; exec cat"}
	if v := playTo(t, wrapper, none, "push-kicked").Traces[0]; v.Result != conformance.Failed || !strings.Contains(v.Seen, `"Hello"`) {
		t.Errorf("%+v", v)
	}
}

// TestProtocol: a client that lacks a command is not judged by it; one that does not keep to
// the protocol fails.
func TestProtocol(t *testing.T) {
	for planted, want := range map[bug]conformance.Verdict{
		hasNoWatch:     {Result: conformance.NotPlayed, Seen: `"watch"`},
		writesNonsense: {Result: conformance.Failed, Seen: `"Hello"`},
		leavesEarly:    {Result: conformance.Failed, Seen: "the client ended"},
	} {
		t.Run(string(planted), func(t *testing.T) {
			t.Parallel()
			if v := play(t, planted, "push-kicked").Traces[0]; v.Result != want.Result || !strings.Contains(v.Seen, want.Seen) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestVerdicts: what people and programs read of a run.
func TestVerdicts(t *testing.T) {
	var s conformance.Summary
	for _, v := range []conformance.Verdict{
		{Name: "a", Wanted: "the right thing", Result: conformance.Passed},
		{Name: "b", Story: "It rains.", Wanted: "an umbrella", Result: conformance.Failed, Expected: "an umbrella", Seen: "none", Log: []string{"line"}},
		{Name: "c", Wanted: "more", Result: conformance.NotPlayed, Seen: "no legs"},
	} {
		s.Add(v)
	}
	var out strings.Builder
	for _, v := range s.Traces {
		if err := v.Write(&out); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `ok    a                         the right thing
FAIL  b                         an umbrella
      It rains.
      expected: an umbrella
      seen:     none
      line
-     c                         more
      not played: no legs
3 traces: 1 passed, 1 failed, 1 not played
`
	if out.String() != want {
		t.Errorf("wrote\n%s", out.String())
	}
	out.Reset()
	var got conformance.Summary
	if err := s.WriteJSON(&out); err != nil || json.Unmarshal([]byte(out.String()), &got) != nil || got.Failed != 1 || got.Traces[1].Seen != "none" {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestTable: the documents list the traces of the table, in its order, and the English one in
// its words.
func TestTable(t *testing.T) {
	traces := conformance.Traces()
	if len(traces) < 25 {
		t.Errorf("%d traces", len(traces))
	}
	var names []string
	for _, trace := range traces {
		if slices.Contains(names, trace.Name) || !strings.HasSuffix(trace.Story, ".") || strings.HasSuffix(trace.Expect, ".") {
			t.Errorf("%+v", trace)
		}
		names = append(names, trace.Name)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| ")
	for _, file := range []string{"../docs/conformance.md", "../docs/zh/conformance.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		text = text[max(0, strings.LastIndex(string(text), "\n## ")):]
		for _, found := range row.FindAllStringSubmatch(string(text), -1) {
			listed = append(listed, found[1])
		}
		if !slices.Equal(listed, names) {
			t.Errorf("%s lists %q\nwant %q", file, listed, names)
		}
		for _, trace := range traces {
			if line := fmt.Sprintf("| `%s` | %s | %s |", trace.Name, trace.Story, trace.Expect); !strings.Contains(file, "/zh/") && !strings.Contains(string(text), line) {
				t.Errorf("%s lacks %s", file, line)
			}
		}
	}
}
