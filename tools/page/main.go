// Command page asks npm's database of advisories about the JavaScript that menshen serves:
// the libraries of docs/page.md whose version is known. Go's tools know nothing of
// JavaScript.
//
//	page docs/page.md
//
// It exits with 0 if there are no advisories but those that the document lists, with 3 if
// there are others, which it prints, with 4 if the database cannot be had here, and with 1
// if it can be had but gives no verdict.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Exit codes.
const (
	clean   = 0
	broken  = 1
	misused = 2
	found   = 3
	absent  = 4
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: page docs/page.md")
		os.Exit(misused)
	}
	code, err := run(os.Stdout, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
	}
	os.Exit(code)
}

func run(w io.Writer, document string) (code int, err error) {
	list, err := os.ReadFile(document)
	if err != nil {
		return broken, err
	}
	libraries := librariesOf(string(list))
	report, err := audit(libraries)
	if err != nil {
		return broken, err
	}
	fmt.Fprintf(w, "page: %d libraries, %s\n", len(libraries), lookedAt.FindString(string(list)))
	return judge(w, report, string(list)), nil
}

var (
	row      = regexp.MustCompile(`(?m)^\| (\S+) \| (\d+\.\d+\.\d+) \| [^|]+ \| [^|]+ \|$`)
	whole    = regexp.MustCompile(`swagger-ui-dist (\d+\.\d+\.\d+)`)
	lookedAt = regexp.MustCompile(`Looked at on [0-9-]+`)
)

// librariesOf maps the libraries of the document to their version. The whole has its own
// name at npm.
func librariesOf(document string) map[string]string {
	libraries := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(document, -1) {
		libraries[found[1]] = found[2]
	}
	if dist := whole.FindStringSubmatch(document); dist != nil {
		libraries["swagger-ui-dist"] = dist[1]
	}
	return libraries
}

// lock is what npm reads: a package with its dependencies, and their versions.
type lock struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Lockfile     int               `json:"lockfileVersion,omitempty"`
	Dependencies map[string]string `json:"dependencies,omitempty"`
	Packages     map[string]lock   `json:"packages,omitempty"`
}

// audit returns npm's report about the libraries alone, without what they depend on.
func audit(libraries map[string]string) (report []byte, err error) {
	folder, err := os.MkdirTemp("", "menshen-page-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	root := lock{Name: "page", Version: "1.0.0", Dependencies: libraries}
	locked := root
	locked.Lockfile, locked.Packages = 3, map[string]lock{"": root}
	for name, version := range libraries {
		locked.Packages["node_modules/"+name] = lock{Name: name, Version: version}
	}
	for file, content := range map[string]lock{"package.json": root, "package-lock.json": locked} {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
			return nil, err
		}
	}
	command := exec.Command("npm", "audit", "--package-lock-only", "--json", "--fetch-retries=0")
	command.Dir = folder
	report, err = command.Output()
	if _, exited := err.(*exec.ExitError); exited {
		err = nil // it fails for a finding too: the report decides
	}
	return report, err
}

// away matches npm's reasons for having no answer where there is no network, or a registry
// without advisories.
var away = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|\b40[1345]\b`)

// judge prints the advisories of a report that the document does not list.
func judge(w io.Writer, text []byte, document string) (code int) {
	var report struct {
		Message         string `json:"message"`
		Error           struct{ Summary string }
		Vulnerabilities map[string]struct{ Via []json.RawMessage }
	}
	if err := json.Unmarshal(text, &report); err != nil || report.Vulnerabilities == nil {
		reason, _, _ := strings.Cut(cmp.Or(report.Message, report.Error.Summary, "npm gave no report"), "\n")
		fmt.Fprintf(w, "page: %.200s\n", reason)
		if away.MatchString(reason) {
			return absent
		}
		return broken
	}
	read := 0
	for _, name := range slices.Sorted(maps.Keys(report.Vulnerabilities)) {
		for _, via := range report.Vulnerabilities[name].Via {
			var advisory struct{ URL, Title, Range string }
			if json.Unmarshal(via, &advisory) != nil {
				continue // the name of another library of the report
			}
			if strings.Contains(document, path.Base(advisory.URL)) {
				read++
				continue
			}
			fmt.Fprintf(w, "page: %s %s: %s (%s)\n", name, advisory.Range, advisory.Title, advisory.URL)
			code = found
		}
	}
	fmt.Fprintf(w, "page: %d advisories are in the document\n", read)
	return code
}
