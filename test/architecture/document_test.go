package architecture

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fenced is a block of a document whose first line names the file that it is of.
var fenced = regexp.MustCompile("(?ms)^```[a-z]+ ([a-z]+/[a-z/.]+)\n(.*?)^```$")

// TestExcerpts: what docs/verify.md shows is what `make verify` runs.
func TestExcerpts(t *testing.T) {
	atTop(t)
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

var (
	requirement = regexp.MustCompile(`(?m)^\| R-(\d+) \|.*\|$`)
	verdict     = regexp.MustCompile(`^\| R-\d+ \| [^|]+ \| (done|partly|not) \| `)
	cited       = regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz|Benchmark)\\w+)(/[^`]+)?`")
)

// neverGiven are the numbers that no requirement has.
var neverGiven = []int{10, 22, 24, 73, 85, 98, 99, 109}

// TestRequirements: docs/requirements.md has each requirement once and cites what
// proves it, and the tests that it and docs/asvs.md cite exist.
func TestRequirements(t *testing.T) {
	atTop(t)
	document, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for _, row := range requirement.FindAllStringSubmatch(string(document), -1) {
		number, _ := strconv.Atoi(row[1])
		seen[number]++
		if state := verdict.FindStringSubmatch(row[0]); state == nil || state[1] != "not" && !cited.MatchString(row[0]) {
			t.Errorf("R-%s says neither who holds it nor that nobody does: %s", row[1], row[0])
		}
	}
	for number := 1; number <= 119; number++ {
		want := 1
		if slices.Contains(neverGiven, number) {
			want = 0
		}
		if seen[number] != want {
			t.Errorf("R-%02d has %d rows, want %d", number, seen[number], want)
		}
	}
	assessment, err := os.ReadFile("docs/asvs.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{}
	for _, one := range cited.FindAllStringSubmatch(string(document)+string(assessment), -1) {
		folder, name, part := one[1], one[2], one[3][strings.LastIndex(one[3], "/")+1:]
		if tests[folder] == nil {
			tests[folder] = testsOf(t, folder)
		}
		if !tests[folder][name] {
			t.Errorf("there is no %s in %s", name, folder)
		}
		if part != "" && !tests[folder][strconv.Quote(part)] {
			t.Errorf("there is no case %q in the tests of %s", part, folder)
		}
	}
	for _, one := range regexp.MustCompile(`R-(\d+)`).FindAllStringSubmatch(string(assessment), -1) {
		if number, _ := strconv.Atoi(one[1]); seen[number] != 1 {
			t.Errorf("docs/asvs.md refers to R-%s", one[1])
		}
	}
}

// testsOf are the top-level functions of a folder's tests, whatever their build
// tags, and the texts that name their cases.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				found[node.Name.Name] = found[node.Name.Name] || node.Recv == nil
			case *ast.BasicLit:
				found[node.Value] = true
			}
			return true
		})
	}
	return found
}
