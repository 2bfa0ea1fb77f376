// Package architecture tests the source, the documents and the deployment files.
package architecture

import (
	"testing"
)

// module is the path of ours, in front of each of its packages.
const module = "menshen"

// mayImport lists which of our packages a package may import: the import rule of
// docs/architecture.md. A package needs a row, so a new package is a decision made
// here. "*" is every package that is not test support. Packages below internal/
// import none of ours, and every package may import them.
var mayImport = map[string][]string{
	"":                       {"app", "cli"},
	"app":                    {"*"},
	"bench":                  {},
	"bench/load":             {"model", "service/token"},
	"cli":                    {"app", "config", "conformance", "controller", "model", "repository", "service", "service/token", "telemetry"},
	"config":                 {},
	"conformance":            {"app", "model"},
	"controller":             {"middleware", "model", "service", "service/code"},
	"internal/atomicfile":    {},
	"internal/loop":          {},
	"internal/private":       {},
	"internal/smallfile":     {},
	"middleware":             {"model", "telemetry"},
	"model":                  {},
	"repository":             {"model", "repository/groupcommit", "repository/stmtcache"},
	"repository/dbtest":      {"repository"},
	"repository/groupcommit": {"repository/stmtcache"},
	"repository/stmtcache":   {},
	"router":                 {"controller", "middleware", "model", "telemetry"},
	"service":                {"model", "service/cache", "service/code", "service/phone", "service/random", "service/token", "service/vault"},
	"service/cache":          {},
	"service/challenge":      {"model", "service/outbound", "service/sign"},
	"service/code":           {"model", "service/phone", "service/random", "service/vault"},
	"service/outbound":       {},
	"service/phone":          {"model"},
	"service/random":         {},
	"service/sign":           {},
	"service/sms":            {"config", "model", "service/outbound", "service/sign"},
	"service/token":          {"model", "service/cache", "service/random"},
	"service/vault":          {"model"},
	"telemetry":              {"config", "model", "service", "service/cache", "service/code"},
	"test/e2e":               {},
	"test/leak":              {},
}

// testSupport lists packages that only tests import. They count as test code.
var testSupport = []string{"repository/dbtest", "test/leak"}

// mayNotImport lists the libraries of one layer that another layer must not use:
// the rules know no HTTP, SQL or configuration, and only the repository knows the
// database.
var mayNotImport = map[string][]string{
	"model":         {"net/http", "database/sql", "gorm.io/", "github.com/gin-gonic/", "github.com/spf13/viper"},
	"config":        {"database/sql", "gorm.io/", "github.com/gin-gonic/"},
	"repository":    {"net/http", "github.com/gin-gonic/", "github.com/spf13/viper"},
	"service":       notForRules,
	"service/code":  notForRules,
	"service/phone": notForRules,
	"service/token": notForRules,
	"service/vault": notForRules,
	"controller":    {"database/sql", "gorm.io/", "github.com/spf13/viper"},
	"middleware":    {"database/sql", "gorm.io/", "github.com/spf13/viper"},
	"router":        {"database/sql", "gorm.io/", "github.com/spf13/viper"},
}

// notForRules lists the libraries that the packages of rules must not use.
var notForRules = []string{"net/http", "database/sql", "gorm.io/", "github.com/gin-gonic/", "github.com/spf13/viper"}

// predictable lists packages of predictable random numbers. Only the repository
// uses them, for the length of its pauses.
var predictable = []string{"math/rand", "math/rand/v2"}

// vagueNames are package names that do not say what the package contains.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"}

// mainOnly lists functions that only main.go may use: it creates the clock and the
// root context and passes them down.
var mainOnly = map[string][]string{
	"time":    {"Now", "Since", "Until"},
	"context": {"Background", "TODO"},
}

// ownClock lists the packages to which mainOnly does not apply: the load generator
// is a program of its own, and test support counts as test code.
var ownClock = append([]string{"bench/load"}, testSupport...)

// wired lists the types that only app and the package itself may build: their
// fields are the wiring of the program.
var wired = map[string][]string{
	module + "/service": {
		"Admin", "Audit", "Endings", "EventRecorder", "Feed", "Follower", "Janitor", "Login", "Sessions", "SessionCounter", "Users",
	},
	module + "/service/code": {
		"Admission", "Alarms", "Budget", "Bursts", "Challenge", "Delivery", "Pumping", "Quotas", "Sender", "Verifier",
	},
}

// atTop makes the module's folder the working directory of a test, so that it names
// files from there. It belongs in each test and not in TestMain: go test would not see
// the change, nor which files are read after it, and would give old results for new
// documents.
func atTop(t *testing.T) {
	t.Helper()
	t.Chdir("../..")
}

func TestArchitecture(t *testing.T) {
	atTop(t)
	sources := readSources(t, ".")
	if len(sources) == 0 {
		t.Fatal("no source found")
	}
	for _, s := range sources {
		for _, finding := range s.findings() {
			t.Error(finding)
		}
	}
	for _, finding := range needlessRows(sources) {
		t.Error(finding)
	}
}

// needlessRows returns the entries of the tables of packages that no source needs.
func needlessRows(sources []source) []string {
	imports := map[string]map[string]bool{} // of ours, by folder
	for _, s := range sources {
		if imports[s.folder()] == nil {
			imports[s.folder()] = map[string]bool{}
		}
		for _, ours := range s.ourImports() {
			imports[s.folder()][ours] = true
		}
	}
	var found []string
	for folder, allowed := range mayImport {
		if imports[folder] == nil {
			found = append(found, "mayImport has a row for "+folder+", which has no source")
		}
		for _, ours := range allowed {
			if ours != "*" && !imports[folder][ours] {
				found = append(found, "mayImport allows "+folder+" to import "+ours+", which it does not")
			}
		}
	}
	return found
}
