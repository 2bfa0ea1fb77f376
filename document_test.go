package main_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// fenced is a block of a document whose first line names the file that it is of.
var fenced = regexp.MustCompile("(?ms)^```[a-z]+ ([a-z]+/[a-z/.]+)\n(.*?)^```$")

// TestExcerpts: what docs/verify.md shows is what `make verify` runs.
func TestExcerpts(t *testing.T) {
	document, err := os.ReadFile("docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := fenced.FindAllStringSubmatch(string(document), -1)
	if len(blocks) != 5 {
		t.Errorf("%d excerpts, want 5", len(blocks))
	}
	for _, block := range blocks {
		file, err := os.ReadFile(block[1])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(file), block[2]) {
			t.Errorf("docs/verify.md shows what is not in %s:\n%s", block[1], block[2])
		}
	}
}
