package architecture

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// ruleCase is a source and what the rules find in it.
type ruleCase struct {
	name string
	file string // or the folder of a file with any name
	text string // behind the package clause
	want string // part of the only finding; "" for none
}

// TestArchitectureRules proves that each rule finds what breaks it and nothing else.
func TestArchitectureRules(t *testing.T) {
	for _, tt := range slices.Concat(importCases, mainCases, sizeCases, docCases) {
		t.Run(tt.name, func(t *testing.T) { tt.run(t) })
	}
	for _, name := range vagueNames {
		wantFinding(t, "model/a.go", "package "+name+"\n", "package "+name+": the name does not say")
	}
}

func (tt ruleCase) run(t *testing.T) {
	t.Helper()
	file := tt.file
	if !strings.HasSuffix(file, ".go") {
		file = path.Join(file, "a.go")
	}
	clause := path.Base(path.Dir(file))
	if clause == "." || clause == "load" {
		clause = "main"
	}
	wantFinding(t, file, "package "+clause+"; "+tt.text+"\n", tt.want)
}

// importCases are about packages and their imports.
var importCases = []ruleCase{
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
	{"main is not imported", "router", `import _ "menshen"`, `"router" must not import ""`},
	{"main imports app and cli alone", "main.go", `import _ "menshen/service/sms"`, `"" must not import "service/sms"`},
	{"the wiring imports all", "app", `import _ "menshen/service/sms"`, ""},
	{"the wiring takes no test support", "app", `import _ "menshen/repository/dbtest"`, `"app" must not import "repository/dbtest"`},
	{"another module's name", "model", `import _ "menshenx/config"`, ""},
	{"new package", "broker", ``, "package broker has no row"},
	{"rules know no HTTP", "service", `import _ "net/http"`, "service must not know net/http"},
	{"rules know no GORM", "service", `import _ "gorm.io/gorm"`, "service must not know gorm.io/gorm"},
	{"predictable numbers", "service", `import _ "math/rand/v2"`, "service must not use the predictable numbers of math/rand/v2"},
	{"random pauses", "repository", `import _ "math/rand/v2"`, ""},
	{"dot import", "model", `import . "strings"`, "dot import"},
	{"file beside main.go", "run.go", ``, "main.go must be the only file of its folder"},
	{"test beside main.go", "main_test.go", ``, "main.go must be the only file of its folder"},
}

// mainCases are about what only main.go and app may do.
var mainCases = []ruleCase{
	{"clock", "model", `import "time"; var x = time.Now()`, "time.Now outside main.go"},
	{"clock as a value", "model", `import "time"; var x = time.Now`, "time.Now outside main.go"},
	{"clock renamed", "model", `import t "time"; var x = t.Now()`, "t.Now outside main.go"},
	{"clock in disguise", "model", `import "time"; func f(t time.Time) any { return time.Since(t) }`, "time.Since outside main.go"},
	{"clock in main.go", "main.go", `import "time"; var x = time.Now()`, ""},
	{"clock in the load generator", "bench/load", `import "time"; var x = time.Now()`, ""},
	{"clock in app", "app", `import "time"; var x = time.Now()`, "time.Now outside main.go"},
	{"clock in test support", "repository/dbtest", `import "time"; var x = time.Now()`, ""},
	{"a variable named time", "model", `func f(time T) any { return time.Now() }`, ""},
	{"context", "service", `import "context"; var x = context.Background()`, "context.Background outside main.go"},
	{"context to do", "service", `import "context"; var x = context.TODO()`, "context.TODO outside main.go"},
	{"wiring in app", "app", `import "menshen/service"; var x = service.Login{}`, ""},
	{"wiring in a command", "cli", `import "menshen/service"; var x = &service.Login{}`, "service.Login is wired outside app"},
	{"wiring in the package itself", "service", `var x = Login{}`, ""},
	{"wiring of a part", "service", `import "menshen/service/code"; var x = code.Sender{}`, "code.Sender is wired outside app"},
	{"a value of a service's package", "controller", `import "menshen/service"; var x = service.LoginRequest{}`, ""},
	{"init", "model", `func init() {}`, "init function"},
	{"init as a method", "model", `func (t T) init() {}`, ""},
}

// sizeCases are about files and functions that are too long or take too much.
var sizeCases = []ruleCase{
	{"file of 400 lines", "model", strings.Repeat("\n", 399), ""},
	{"file of 401 lines", "model", strings.Repeat("\n", 400), "401 lines, more than 400"},
	{"function of 60 lines", "model", "func f() {" + strings.Repeat("\n", 59) + "}", ""},
	{"function of 61 lines", "model", "func f() {" + strings.Repeat("\n", 60) + "}", "func f: 61 lines, more than 60"},
	{"main.go of 60 lines", "main.go", strings.Repeat("\n", 59), ""},
	{"main.go of 61 lines", "main.go", strings.Repeat("\n", 60), "61 lines, more than 60"},
	{"four parameters", "model", `func f(a, b int, c string, _ bool) {}`, ""},
	{"five parameters", "model", `func f(a, b int, c string, d, e bool) {}`, "5 parameters, more than 4"},
	{"five parameters of a method", "model", `func (t *t) f(a, b, c, d, e int) {}`, "5 parameters, more than 4"},
	{"five parameters of a literal", "model", `var f = func(a, b, c, d, e int) {}`, "5 parameters, more than 4"},
	{"five parameters of an interface", "model", `type t interface{ f(int, int, int, int, int) }`, "5 parameters, more than 4"},
	{"four parameters and a context", "model", `import "context"; func f(ctx context.Context, a, b, c, d int) {}`, ""},
	{"four parameters and a test", "repository/dbtest", `import "testing"; func f(t *testing.T, tb testing.TB, a, b, c, d int) {}`, ""},
	{"a context of another package", "model", `import context "example.com/x"; func f(a, b, c, d int, ctx context.Context) {}`, "5 parameters, more than 4"},
}

// docCases are about comments on exported names.
var docCases = []ruleCase{
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

// TestNeedlessRows proves that the import table cannot list what no source needs.
func TestNeedlessRows(t *testing.T) {
	s, err := parse("router/a.go", []byte("package router; import _ \"menshen/model\""))
	if err != nil {
		t.Fatal(err)
	}
	found := needlessRows([]source{s})
	for _, want := range []string{"mayImport has a row for service, ", "mayImport allows router to import telemetry, "} {
		if !slices.ContainsFunc(found, func(finding string) bool { return strings.HasPrefix(finding, want) }) {
			t.Errorf("nothing found begins with %q", want)
		}
	}
	if slices.ContainsFunc(found, func(finding string) bool { return strings.Contains(finding, "router to import model") }) {
		t.Error("an import that is there was found needless")
	}
}
