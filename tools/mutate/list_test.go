package main

import (
	"os"
	"testing"
)

func TestListIsWrittenAsItIsRead(t *testing.T) {
	text, err := os.ReadFile("../../scripts/mutants")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseList(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := l.String(); got != string(text) {
		t.Error("scripts/mutants is not written as 'make mutants-update' would write it")
	}
}

func TestParseList(t *testing.T) {
	l, err := parseList("# head\n\n@ a/a.go ./a ./b\n? Test\n> T.f\n= one\n- x :=\\n\\t\"a\\\\n\"\n+ x := \"\"\n= two\n- y\n+\n")
	if err != nil || len(l.mutants) != 2 {
		t.Fatal(err, l)
	}
	one, two := l.mutants[0], l.mutants[1]
	if one.file != "a/a.go" || len(one.packages) != 2 || one.likely != "Test" || one.function != "T.f" || one.description != "one" {
		t.Errorf("%+v", one)
	}
	if one.old != "x :=\n\t\"a\\n\"" || one.new != `x := ""` || two.old != "y" || two.new != "" {
		t.Errorf("%+v %+v", one, two)
	}
	for _, text := range []string{"- x\n+ y\n", "@ a.go\n+ y\n", "@ a.go\n- x\n+ y\n# late\n", "@ a.go\n* x\n", "@ a.go\n-\n"} {
		if _, err := parseList(text); err == nil {
			t.Errorf("read: %q", text)
		}
	}
}
