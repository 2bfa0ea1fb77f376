package conformance

import (
	"encoding/json"
	"fmt"
	"io"
)

// Result is how a trace has ended.
type Result string

// The results. A trace is not played if the client does not have one of its commands.
const (
	Passed    Result = "passed"
	Failed    Result = "failed"
	NotPlayed Result = "not played"
)

// Verdict is what a trace has shown.
type Verdict struct {
	Name     string   `json:"name"`
	Story    string   `json:"story"`
	Wanted   string   `json:"wanted"`
	Result   Result   `json:"result"`
	Expected string   `json:"expected,omitempty"` // of the step that failed
	Seen     string   `json:"seen,omitempty"`
	Log      []string `json:"log,omitempty"` // of a failed trace: what was sent and answered
}

// Summary counts results.
type Summary struct {
	Traces    []Verdict `json:"traces"`
	Passed    int       `json:"passed"`
	Failed    int       `json:"failed"`
	NotPlayed int       `json:"notPlayed"`
}

// Add counts a verdict.
func (s *Summary) Add(v Verdict) {
	s.Traces = append(s.Traces, v)
	switch v.Result {
	case Passed:
		s.Passed++
	case Failed:
		s.Failed++
	case NotPlayed:
		s.NotPlayed++
	}
}

// Write writes the verdict for people: one line, and for a failed trace what was expected
// and seen, and the whole conversation.
func (v Verdict) Write(out io.Writer) error {
	word := map[Result]string{Passed: "ok", Failed: "FAIL", NotPlayed: "-"}[v.Result]
	if _, err := fmt.Fprintf(out, "%-4s  %-24s  %s\n", word, v.Name, v.Wanted); err != nil {
		return err
	}
	var lines []string
	switch v.Result {
	case Failed:
		lines = append([]string{v.Story, "expected: " + v.Expected, "seen:     " + v.Seen}, v.Log...)
	case NotPlayed:
		lines = []string{"not played: " + v.Seen}
	case Passed:
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "      %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the counts for people, in one line.
func (s Summary) Write(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%d traces: %d passed, %d failed, %d not played\n", len(s.Traces), s.Passed, s.Failed, s.NotPlayed)
	return err
}

// WriteJSON writes the summary as one object.
func (s Summary) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(s)
}

// WriteTable writes what the traces are, one line each.
func WriteTable(out io.Writer, traces []Trace) error {
	for _, t := range traces {
		if _, err := fmt.Fprintf(out, "%-24s  %s Expected: %s.\n", t.Name, t.Story, t.Expect); err != nil {
			return err
		}
	}
	return nil
}
