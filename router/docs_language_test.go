package router

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// TestLanguages: in one language the document is the same but for its descriptions and
// summaries, of which there are as many, none is empty and none has words of the other.
func TestLanguages(t *testing.T) { eachDocument(t, testLanguages) }

func testLanguages(t *testing.T, l listener) {
	texts := map[string]int{}
	skeleton := map[string]string{}
	for _, language := range []string{"", "zh", "en"} {
		var tree any
		if err := json.Unmarshal(fetch(t, l.docs, "doc.json?lang="+language, nil).Body.Bytes(), &tree); err != nil {
			t.Fatal(err)
		}
		eachText(tree, func(text string) {
			texts[language]++
			if fault := mixed(text, language); fault != "" {
				t.Errorf("%q: %s: %s", language, fault, text)
			}
		})
		bones, _ := json.Marshal(tree)
		skeleton[language] = string(bones)
	}
	if texts["zh"] != texts["en"] || texts["zh"] != texts[""] || texts["zh"] < 300 {
		t.Errorf("texts by language: %v", texts)
	}
	if skeleton["zh"] != skeleton[""] || skeleton["en"] != skeleton[""] {
		t.Error("the languages differ in more than texts")
	}
}

// eachText calls visit with each description and summary, and removes it.
func eachText(node any, visit func(text string)) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			eachText(child, visit)
		}
	case map[string]any:
		for _, key := range []string{"description", "summary"} {
			if text, ok := node[key].(string); ok {
				visit(text)
				node[key] = ""
			}
		}
		for key, child := range node {
			if key != "value" && key != "example" {
				eachText(child, visit)
			}
		}
	}
}

var (
	codeOrLink   = regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")
	englishWords = regexp.MustCompile(`[a-z]+ [a-z]+ [a-z]+`)
)

// mixed names what is wrong with a text in a language. Of code and links every language has
// its share.
func mixed(text, language string) string {
	plain := codeOrLink.ReplaceAllString(text, "")
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty"
	case language == "zh" && englishWords.MatchString(plain):
		return "has English"
	case language == "zh" && !hanOrPoint.MatchString(plain):
		return "has no Chinese"
	case language == "en" && hanOrPoint.MatchString(plain):
		return "has Chinese"
	case language == "en" && !strings.ContainsFunc(plain, unicode.IsLetter):
		return "has no words"
	}
	return ""
}

// TestLanguageOfTexts shows how a text is taken apart.
func TestLanguageOfTexts(t *testing.T) {
	for _, tt := range []struct{ key, text, zh, en string }{
		{"summary", "40002 · 验证码错误 · the code is wrong", "40002 · 验证码错误", "40002 · the code is wrong"},
		{"summary", "令牌内省（RFC 7662）· Introspect a token (RFC 7662)", "令牌内省（RFC 7662）", "Introspect a token (RFC 7662)"},
		{"description", "用户。 The users. 需要角色 `read`。 It needs the role `read`.", "用户。 需要角色 `read`。", "The users. It needs the role `read`."},
		{"description", "一。\n二。\n\nOne.\nTwo is `用户`.", "一。\n二。", "One.\nTwo is `用户`."},
		{"description", "一。\nOne.\n\n二。\nTwo.", "一。\n\n二。", "One.\n\nTwo."},
		{"value", "一。 One.", "一。 One.", "一。 One."},
	} {
		for language, want := range map[string]string{"zh": tt.zh, "en": tt.en} {
			var node yaml.Node
			if err := node.Encode(map[string]string{tt.key: tt.text}); err != nil {
				t.Fatal(err)
			}
			translate(&node, language)
			if got := node.Content[1].Value; got != want {
				t.Errorf("%q in %s is %q, want %q", tt.text, language, got, want)
			}
		}
	}
}

// TestOtherLanguages: what names no language of the document has both, and an asset has none.
func TestOtherLanguages(t *testing.T) {
	d := newDocs(t)
	whole := fetch(t, d, "doc.json", nil)
	for _, query := range []string{"?lang=", "?lang=fr", "?lang=EN", "?x=zh", "?lang=%zz"} {
		if w := fetch(t, d, "doc.json"+query, nil); w.Header().Get("ETag") != whole.Header().Get("ETag") {
			t.Errorf("%s has another document", query)
		}
	}
	w := httptest.NewRecorder()
	d.Serve(w, httptest.NewRequest("GET", docsPrefix+"start.css?lang=zh", nil))
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("start.css is %s", w.Header().Get("Content-Type"))
	}
}

// TestServerIsRelative: behind a path prefix too, the server is found from the place of the
// document.
func TestServerIsRelative(t *testing.T) {
	eachDocument(t, func(t *testing.T, l listener) {
		if servers := l.document(t).Servers; len(servers) != 1 || servers[0].URL != ".." {
			t.Errorf("the servers are %v", servers)
		}
	})
}

// TestWaitHasNoExample: "Try it out" fills examples in, and a held response looks like a fault.
func TestWaitHasNoExample(t *testing.T) {
	eachDocument(t, func(t *testing.T, l listener) {
		wait := l.document(t).Components.Parameters["Wait"].Value
		if wait.Example != nil || wait.Examples != nil || wait.Schema.Value.Example != nil || wait.Schema.Value.Examples != nil || wait.Schema.Value.Default != 0.0 {
			t.Errorf("wait is filled in with something: %+v", wait)
		}
	})
}
