package router

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPageContents: docs/page.md lists the files of the page, with the hashes of those that
// are not ours, and the versions that it says are written in the bundle are.
func TestPageContents(t *testing.T) {
	list := readFile(t, "../docs/page.md")
	if !regexp.MustCompile(`(?m)^Looked at on 20\d\d-\d\d-\d\d\.$`).MatchString(list) {
		t.Error("docs/page.md has no date")
	}
	d := newDocs(t)
	rows := regexp.MustCompile("(?m)^\\| ([^|]+) \\| (?:`([0-9a-f]{64})`)? ?\\| ([^|]+) \\|").FindAllStringSubmatch(list, -1)
	var listed []string
	for _, row := range rows {
		names, hash, from := strings.Split(row[1], ", "), row[2], row[3]
		if hash == "" && !strings.HasPrefix(from, "menshen") {
			continue // a row of another table
		}
		listed = append(listed, names...)
		for _, name := range names {
			if got := fmt.Sprintf("%x", sha256.Sum256(d.files[docsPrefix+name].content().plain.body)); hash != "" && got != hash {
				t.Errorf("%s has the hash %s, which is not listed", name, got)
			}
		}
	}
	var served []string
	for path := range d.files {
		served = append(served, strings.TrimPrefix(path, docsPrefix))
	}
	slices.Sort(listed)
	slices.Sort(served)
	if !slices.Equal(listed, served) {
		t.Errorf("docs/page.md lists %v, served are %v", listed, served)
	}
	bundle := fetch(t, d, "swagger-ui-bundle.js", http.Header{}).Body.String()
	shown := regexp.MustCompile("(?m)^\\| (\\S+) \\| (\\S+) \\| [^|]+ \\| `([^`]+)` \\|$").FindAllStringSubmatch(list, -1)
	if len(shown) < 8 {
		t.Errorf("%d versions are in the bundle, want 8", len(shown))
	}
	for _, row := range shown {
		if !strings.Contains(row[3], `"`+row[2]+`"`) || !strings.Contains(bundle, row[3]) {
			t.Errorf("%s %s: the bundle does not say %s", row[1], row[2], row[3])
		}
	}
}

// TestPageSanitizer: the bundle's DOMPurify is 3.4.2 or newer.
func TestPageSanitizer(t *testing.T) {
	bundle := fetch(t, newDocs(t), "swagger-ui-bundle.js", nil).Body.String()
	found := regexp.MustCompile(`DOMPurify\.version="(\d+)\.(\d+)\.(\d+)"`).FindStringSubmatch(bundle)
	if found == nil {
		t.Fatal("the bundle does not say which DOMPurify it has")
	}
	var version [3]int
	for i := range version {
		version[i], _ = strconv.Atoi(found[i+1])
	}
	if slices.Compare(version[:], []int{3, 4, 2}) < 0 {
		t.Errorf("DOMPurify is %v", version)
	}
}

// TestPageReadsOneDocument: docs/page.md rests on this.
func TestPageReadsOneDocument(t *testing.T) {
	d := newDocs(t)
	if bundle := fetch(t, d, "swagger-ui-bundle.js", nil).Body.String(); !strings.Contains(bundle, "queryConfigEnabled:!1") {
		t.Error("by default the page reads its configuration from its query")
	}
	if start := fetch(t, d, "start.js", nil).Body.String(); regexp.MustCompile("queryConfigEnabled|configUrl|urls:|persistAuthorization: true").MatchString(start) {
		t.Errorf("the page is started with %s", start)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
