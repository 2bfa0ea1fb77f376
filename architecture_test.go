package main_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const (
	module      = "menshen"
	maxFile     = 400 // lines
	maxFunction = 60  // lines
)

// mayImport says which of our packages a package may import: the import rule of
// docs/architecture.md. A package without a row is refused, so a new one is a
// decision taken here. "*" is everything but the packages for tests.
var mayImport = map[string][]string{
	"":                  {"*"},
	"model":             {},
	"config":            {},
	"repository":        {"model", "config"},
	"repository/dbtest": {"repository", "model", "config"},
	"service":           {"model"},
	"service/sms":       {"model", "config"},
	"service/challenge": {"model"},
	"controller":        {"model", "service"},
	"middleware":        {"model"},
	"router":            {"controller", "middleware", "model", "config"},
	"e2e":               {},
	"bench":             {},
	"bench/load":        {"model", "service"},
}

// forTests are packages that only tests import; they count as test code.
var forTests = []string{"repository/dbtest"}

// mayNotImport keeps a layer's tools out of the other layers: the rules know no
// HTTP, no SQL and no configuration, and only the repository knows the database.
var mayNotImport = map[string][]string{
	"model":      {"net/http", "database/sql", "gorm.io/", "github.com/gin-gonic/", "github.com/spf13/viper"},
	"config":     {"database/sql", "gorm.io/", "github.com/gin-gonic/"},
	"repository": {"net/http", "github.com/gin-gonic/", "github.com/spf13/viper"},
	"service":    {"net/http", "database/sql", "gorm.io/", "github.com/gin-gonic/", "github.com/spf13/viper"},
	"controller": {"database/sql", "gorm.io/", "github.com/spf13/viper"},
	"middleware": {"database/sql", "gorm.io/", "github.com/spf13/viper"},
	"router":     {"database/sql", "gorm.io/", "github.com/spf13/viper"},
}

// foretold are packages of numbers that can be foretold. Only the storage draws
// from them, for the length of its pauses.
var foretold = []string{"math/rand", "math/rand/v2"}

// onlyMain are calls that belong to package main: time and the root context are
// handed down from there. There are no exceptions.
var onlyMain = map[string][]string{
	"time":    {"Now", "Since", "Until"},
	"context": {"Background", "TODO"},
}

// noPackages are names that say nothing of what is inside.
var noPackages = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"}

func TestArchitecture(t *testing.T) {
	sources := readSources(t, ".")
	if len(sources) == 0 {
		t.Fatal("no source found")
	}
	for _, s := range sources {
		for _, finding := range s.findings() {
			t.Error(finding)
		}
	}
}

// TestArchitectureRules proves that each rule finds what breaks it, and nothing in
// what keeps it.
func TestArchitectureRules(t *testing.T) {
	tests := []struct {
		name, folder, text string
		want               string // in the one finding; "" for none
	}{
		{"clean", "service", `import "menshen/model"; var a model.User`, ""},
		{"model stands alone", "model", `import _ "menshen/config"`, `"model" must not import "config"`},
		{"config stands alone", "config", `import _ "menshen/model"`, `"config" must not import "model"`},
		{"repository below service", "repository", `import _ "menshen/service"`, `"repository" must not import "service"`},
		{"service knows no repository", "service", `import _ "menshen/repository"`, `"service" must not import "repository"`},
		{"service knows no config", "service", `import _ "menshen/config"`, `"service" must not import "config"`},
		{"sender knows no service", "service/sms", `import _ "menshen/service"`, `"service/sms" must not import "service"`},
		{"controller knows no repository", "controller", `import _ "menshen/repository"`, `"controller" must not import "repository"`},
		{"middleware knows no service", "middleware", `import _ "menshen/service"`, `"middleware" must not import "service"`},
		{"router knows no service", "router", `import _ "menshen/service"`, `"router" must not import "service"`},
		{"nobody imports main", "router", `import _ "menshen"`, `"router" must not import ""`},
		{"main imports all", "", `import _ "menshen/service/sms"`, ""},
		{"main takes no test support", "", `import _ "menshen/repository/dbtest"`, `"" must not import "repository/dbtest"`},
		{"another module's name", "model", `import _ "menshenx/config"`, ""},
		{"new package", "broker", ``, "package broker has no row"},
		{"rules know no HTTP", "service", `import _ "net/http"`, "service must not know net/http"},
		{"rules know no GORM", "service", `import _ "gorm.io/gorm"`, "service must not know gorm.io/gorm"},
		{"numbers that can be foretold", "service", `import _ "math/rand/v2"`, "service must not draw from math/rand/v2"},
		{"pauses by chance", "repository", `import _ "math/rand/v2"`, ""},
		{"dot import", "model", `import . "strings"`, "dot import"},
		{"clock", "model", `import "time"; var x = time.Now()`, "time.Now below main"},
		{"clock as a value", "model", `import "time"; var x = time.Now`, "time.Now below main"},
		{"clock renamed", "model", `import t "time"; var x = t.Now()`, "t.Now below main"},
		{"clock in disguise", "model", `import "time"; func f(t time.Time) any { return time.Since(t) }`, "time.Since below main"},
		{"clock in main", "", `import "time"; var x = time.Now()`, ""},
		{"clock in test support", "repository/dbtest", `import "time"; var x = time.Now()`, ""},
		{"a variable named time", "model", `func f(time T) any { return time.Now() }`, ""},
		{"context", "service", `import "context"; var x = context.Background()`, "context.Background below main"},
		{"context to do", "service", `import "context"; var x = context.TODO()`, "context.TODO below main"},
		{"init", "model", `func init() {}`, "init function"},
		{"init as a method", "model", `func (t T) init() {}`, ""},
		{"file of 400 lines", "model", strings.Repeat("\n", 399), ""},
		{"file of 401 lines", "model", strings.Repeat("\n", 400), "401 lines, more than 400"},
		{"function of 60 lines", "model", "func f() {" + strings.Repeat("\n", 59) + "}", ""},
		{"function of 61 lines", "model", "func f() {" + strings.Repeat("\n", 60) + "}", "func f: 61 lines, more than 60"},
		{"function without comment", "model", `func F() {}`, "F needs a comment"},
		{"function with comment", "model", "\n// F is.\nfunc F() {}", ""},
		{"comment with another name", "model", "\n// Fx is.\nfunc F() {}", "F needs a comment"},
		{"method without comment", "model", `func (t *T[K]) F() {}`, "F needs a comment"},
		{"method of a hidden type", "model", `func (t *t) F() {}`, ""},
		{"type without comment", "model", `type T int`, "T needs a comment"},
		{"variable without comment", "model", `var V int`, "V needs a comment"},
		{"group without comment", "model", `const (A = 1)`, "A needs a comment"},
		{"group with comment", "model", "\n// The letters.\nconst (A = 1)", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clause := path.Base(tt.folder)
			if tt.folder == "" {
				clause = "main"
			}
			wantFinding(t, path.Join(tt.folder, "a.go"), "package "+clause+"; "+tt.text+"\n", tt.want)
		})
	}
	for _, name := range noPackages {
		wantFinding(t, "model/a.go", "package "+name+"\n", "package "+name+": the name says nothing")
	}
}

// wantFinding checks that text has one finding that contains want, or none for "".
func wantFinding(t *testing.T, name, text, want string) {
	t.Helper()
	s, err := parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	found := s.findings()
	if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || !strings.Contains(found[0], want)) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// source is one parsed file that is not a test.
type source struct {
	path  string // slashes, from the top of the module
	lines int
	fset  *token.FileSet
	file  *ast.File
}

func readSources(t *testing.T, root string) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(root, name)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(name), text)
		sources = append(sources, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// skipFolder passes over what the go command passes over too.
func skipFolder(root, name string) error {
	base := filepath.Base(name)
	if name == root {
		return nil
	}
	if base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir // a module of its own
	}
	return nil
}

func parse(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	return source{path: name, lines: bytes.Count(text, []byte("\n")), fset: fset, file: file}, err
}

// folder is the package's path below the module; "" is the top.
func (s source) folder() string {
	if dir := path.Dir(s.path); dir != "." {
		return dir
	}
	return ""
}

func (s source) at(node ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s: %s", s.fset.Position(node.Pos()), fmt.Sprintf(format, args...))
}

func (s source) findings() []string {
	return slices.Concat(s.packageFindings(), s.importFindings(), s.callFindings(), s.sizeFindings(), s.docFindings())
}

func (s source) packageFindings() []string {
	var found []string
	if slices.Contains(noPackages, s.file.Name.Name) {
		found = append(found, s.at(s.file.Name, "package %s: the name says nothing of what is inside", s.file.Name.Name))
	}
	if _, ok := mayImport[s.folder()]; !ok {
		found = append(found, s.at(s.file.Name, "package %s has no row in mayImport", s.folder()))
	}
	return found
}

func (s source) importFindings() []string {
	var found []string
	for _, spec := range s.file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		for _, tool := range mayNotImport[s.folder()] {
			if imported == tool || strings.HasSuffix(tool, "/") && strings.HasPrefix(imported, tool) {
				found = append(found, s.at(spec, "%s must not know %s", s.folder(), imported))
			}
		}
		if slices.Contains(foretold, imported) && s.folder() != "repository" {
			found = append(found, s.at(spec, "%s must not draw from %s", s.folder(), imported))
		}
		if spec.Name != nil && spec.Name.Name == "." {
			found = append(found, s.at(spec, "dot import of %s", imported))
		}
		ours, ok := strings.CutPrefix(imported+"/", module+"/")
		if ours = strings.TrimSuffix(ours, "/"); ok && !s.mayImport(ours) {
			found = append(found, s.at(spec, "%q must not import %q", s.folder(), ours))
		}
	}
	return found
}

func (s source) mayImport(ours string) bool {
	allowed := mayImport[s.folder()]
	return slices.Contains(allowed, ours) || slices.Contains(allowed, "*") && !slices.Contains(forTests, ours)
}

// callFindings finds time and contexts that are made below main. To name the
// function is enough: it need not be called there.
func (s source) callFindings() []string {
	if s.file.Name.Name == "main" || slices.Contains(forTests, s.folder()) {
		return nil
	}
	names := map[string]string{} // in this file → import path
	for _, spec := range s.file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		names[path.Base(imported)] = imported
		if spec.Name != nil {
			names[spec.Name.Name] = imported
		}
	}
	var found []string
	ast.Inspect(s.file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// An identifier with an object is declared in this file: no package.
		if x, ok := selector.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(onlyMain[names[x.Name]], selector.Sel.Name) {
			found = append(found, s.at(node, "%s.%s below main", x.Name, selector.Sel.Name))
		}
		return true
	})
	return found
}

func (s source) sizeFindings() []string {
	var found []string
	if s.lines > maxFile {
		found = append(found, fmt.Sprintf("%s: %d lines, more than %d", s.path, s.lines, maxFile))
	}
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f, "init function"))
		}
		if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
			found = append(found, s.at(f, "func %s: %d lines, more than %d", f.Name.Name, n, maxFunction))
		}
	}
	return found
}

// docFindings wants a comment on every exported name that begins with it. In a
// group of constants or variables the group's comment or one on the line will do.
func (s source) docFindings() []string {
	var found []string
	want := func(node ast.Node, name string, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if words := strings.FieldsFunc(doc.Text(), notInName); len(words) > 0 && words[0] == name {
				return
			}
		}
		found = append(found, s.at(node, "%s needs a comment that begins with its name", name))
	}
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && ast.IsExported(receiver(decl)) {
				want(decl, decl.Name.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						want(spec, spec.Name.Name, spec.Doc, decl.Doc)
					}
				case *ast.ValueSpec:
					s.wantValueDoc(decl, spec, want)
				}
			}
		}
	}
	return found
}

func (s source) wantValueDoc(decl *ast.GenDecl, spec *ast.ValueSpec, want func(ast.Node, string, ...*ast.CommentGroup)) {
	name := spec.Names[0]
	if !name.IsExported() || decl.Lparen.IsValid() && (decl.Doc != nil || spec.Doc != nil || spec.Comment != nil) {
		return
	}
	want(name, name.Name, spec.Doc, decl.Doc)
}

func notInName(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// receiver is the name of a method's type; a function's is as good as exported.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return "Function"
	}
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && name == "" {
			name = ident.Name
		}
		return name == ""
	})
	return name
}
