package router

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// Operations lists what the served document describes as "GET /path/{param}",
// in alphabetical order.
func (d *Docs) Operations() []string {
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(d.files[docsPrefix+"doc.json"].content().plain.body, &document); err != nil {
		panic(err)
	}
	var operations []string
	for route, item := range document.Paths {
		for method := range item {
			operations = append(operations, strings.ToUpper(method)+" "+route)
		}
	}
	slices.Sort(operations)
	return operations
}

func newDocs(t *testing.T) *Docs {
	t.Helper()
	return listeners(t)["public"].docs
}

// listener is what a listener serves, and the text of its document.
type listener struct {
	docs *Docs
	text []byte
}

func listeners(t *testing.T) map[string]listener {
	t.Helper()
	public, admin := NewDocs("1.2.3")
	return map[string]listener{"public": {public, openapi}, "admin": {admin, openapiAdmin}}
}

// eachDocument runs a test on the documents of both listeners.
func eachDocument(t *testing.T, test func(t *testing.T, l listener)) {
	t.Helper()
	for name, l := range listeners(t) {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

// document is openapi.yaml with its references resolved.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	return listener{text: openapi}.document(t)
}

// document is the listener's document with its references resolved.
func (l listener) document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(l.text)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) { eachDocument(t, testDocumentIsValid) }

func testDocumentIsValid(t *testing.T, l listener) {
	doc := l.document(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %s", doc.OpenAPI)
	}
	// This checks the examples of requests and responses too.
	if err := doc.Validate(t.Context(), openapi3.EnableMultiError(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
}

func TestSchemaExamplesFit(t *testing.T) { eachDocument(t, testSchemaExamplesFit) }

func testSchemaExamplesFit(t *testing.T, l listener) {
	judged := 0
	err := l.document(t).WalkSchemas(func(at string, schema *openapi3.SchemaRef) error {
		for _, example := range schema.Value.Examples {
			judged++
			if err := schema.Value.VisitJSON(example, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s: example %v: %v", at, example, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if judged < 60 {
		t.Errorf("only %d examples were judged", judged)
	}
}

// TestAnswersAreStrict: schemas of responses allow no other members, so that a test
// against the document finds every stray member. Schemas of requests do, because
// unknown members are ignored, and so does that of an active token, whose members are the
// claims of the instance that signed it.
func TestAnswersAreStrict(t *testing.T) { eachDocument(t, testAnswersAreStrict) }

func testAnswersAreStrict(t *testing.T, l listener) {
	for name, schema := range l.document(t).Components.Schemas {
		if !schema.Value.Type.Is("object") {
			continue
		}
		strict := schema.Value.AdditionalProperties.Has != nil && !*schema.Value.AdditionalProperties.Has
		if open := strings.HasSuffix(name, "Req") || strings.HasSuffix(name, "Receipt") || name == "UserPatch" || name == "ActiveToken"; strict == open {
			t.Errorf("%s: strict is %v", name, strict)
		}
		if strict && name != "JWK" && len(schema.Value.Required) != len(schema.Value.Properties) {
			t.Errorf("%s: requires %v of its %d members", name, schema.Value.Required, len(schema.Value.Properties))
		}
	}
}

var (
	chinese = regexp.MustCompile(`\p{Han}`)
	english = regexp.MustCompile(`[A-Z][\x20-\x7e]*[a-z][\x20-\x7e]* [\x20-\x7e]*\.`)
)

func TestEverythingIsDescribedInTwoLanguages(t *testing.T) {
	eachDocument(t, testEverythingIsDescribedInTwoLanguages)
}

func testEverythingIsDescribedInTwoLanguages(t *testing.T, l listener) {
	var tree any
	if err := json.Unmarshal(l.docs.files[docsPrefix+"doc.json"].content().plain.body, &tree); err != nil {
		t.Fatal(err)
	}
	var visit func(at string, node any)
	visit = func(at string, node any) {
		switch node := node.(type) {
		case []any:
			for i, child := range node {
				visit(at+"/"+strconv.Itoa(i), child)
			}
		case map[string]any:
			checkDescriptions(t, at, node)
			for key, child := range node {
				if key != "examples" && key != "example" {
					visit(at+"/"+key, child)
				}
			}
		}
	}
	visit("", tree)
}

// checkDescriptions checks the description of one object of the document, and that
// there is one where a reader needs it.
func checkDescriptions(t *testing.T, at string, node map[string]any) {
	t.Helper()
	text, given := node["description"].(string)
	if given && (!chinese.MatchString(text) || !english.MatchString(strings.ReplaceAll(text, "\n", " "))) {
		t.Errorf("%s: a language is missing: %s", at, text)
	}
	if summary, ok := node["summary"].(string); ok && (!chinese.MatchString(summary) || !regexp.MustCompile(`[A-Za-z]{2}`).MatchString(summary)) {
		t.Errorf("%s: a language is missing: %s", at, summary)
	}
	if _, reference := node["$ref"]; reference {
		return
	}
	switch parent := path.Base(path.Dir(at)); {
	case parent == "properties":
		_, isArray := node["items"]
		_, isObject := node["properties"]
		_, isConst := node["const"]
		_, isChoice := node["oneOf"]
		if node["examples"] == nil && !isArray && !isObject && !isConst && !isChoice && node["type"] != "null" && !strings.Contains(at, "/allOf/") {
			t.Errorf("%s: has no example", at)
		}
		if !given && !strings.Contains(at, "/allOf/") {
			t.Errorf("%s: is not described", at)
		}
	case parent == "schemas", parent == "parameters", parent == "headers", parent == "responses", parent == "tags", node["operationId"] != nil:
		if !given {
			t.Errorf("%s: is not described", at)
		}
	}
}

// TestRequiredSchemas compares the fixed schemas member by member; the additions of
// the contract are optional.
func TestRequiredSchemas(t *testing.T) {
	schemas := document(t).Components.Schemas
	for name, want := range map[string]struct{ members, optional []string }{
		"MobileLoginReq":       {[]string{"companyType", "mobile", "productType", "source", "validateNo"}, []string{"deviceNumber", "replaceSession"}},
		"MobileLoginResp":      {[]string{"accessToken", "refreshToken", "userInfo"}, nil},
		"AccessToken":          {[]string{"expire", "value"}, nil},
		"RefreshToken":         {[]string{"expire", "value"}, nil},
		"UserInfo":             {[]string{"avatarUrl", "companyType", "id", "mobile", "nickName", "realName", "userName"}, nil},
		"CheckLoginStatusResp": {[]string{"isLogin", "lastLoginTime"}, nil},
	} {
		schema := schemas[name]
		if schema == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if required := slices.Sorted(slices.Values(schema.Value.Required)); !slices.Equal(required, want.members) {
			t.Errorf("%s requires %v, want %v", name, required, want.members)
		}
		all := slices.Sorted(slices.Values(append(slices.Clone(want.members), want.optional...)))
		if members := slices.Sorted(maps.Keys(schema.Value.Properties)); !slices.Equal(members, all) {
			t.Errorf("%s has %v, want %v", name, members, all)
		}
	}
	for _, name := range []string{"MobileLoginReq", "UserInfo"} {
		if company := schemas[name].Value.Properties["companyType"].Value; !company.Type.Is("integer") || company.Format != "int32" {
			t.Errorf("%s.companyType is %v %s", name, company.Type, company.Format)
		}
	}
	id := schemas["UserInfo"].Value.Properties["id"].Value
	if !id.Type.Is("integer") || id.Format != "int64" || id.Max == nil || *id.Max != 1<<53-1 {
		t.Errorf("UserInfo.id is %v %s up to %v", id.Type, id.Format, id.Max)
	}
	last := schemas["CheckLoginStatusResp"].Value.Properties["lastLoginTime"].Value
	if last.Format != "date-time" || !slices.Equal(*last.Type, []string{"string", "null"}) {
		t.Errorf("CheckLoginStatusResp.lastLoginTime is %v %s", *last.Type, last.Format)
	}
}

func TestDocJSONIsTheYAML(t *testing.T) { eachDocument(t, testDocJSONIsTheYAML) }

func testDocJSONIsTheYAML(t *testing.T, l listener) {
	w := fetch(t, l.docs, "doc.json", nil)
	var served, written map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &served); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(l.text, &written); err != nil {
		t.Fatal(err)
	}
	written["info"].(map[string]any)["version"] = "1.2.3"
	want, _ := json.Marshal(written)
	if got, _ := json.Marshal(served); !bytes.Equal(got, want) {
		t.Error("doc.json differs from openapi.yaml")
	}
	order := regexp.MustCompile(`(?m)^  (/[^:]+):$`).FindSubmatch(l.text)
	first, last := bytes.Index(w.Body.Bytes(), []byte(`"`+string(order[1])+`":`)), bytes.Index(w.Body.Bytes(), []byte(`"/readyz"`))
	if first < 0 || last < first {
		t.Error("the paths have lost their order")
	}
}

func TestPageLoadsFromTheSameOriginAlone(t *testing.T) {
	d := newDocs(t)
	page := fetch(t, d, "index.html", nil)
	if policy := page.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	if regexp.MustCompile(`(?i)//|<style|<script>|\bon[a-z]+=|\bstyle=`).MatchString(page.Body.String()) {
		t.Error("the page has something inline or from elsewhere")
	}
	references := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(references) < 6 {
		t.Fatalf("the page refers to %v", references)
	}
	types := map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
		".png": "image/png", ".json": "application/json; charset=utf-8",
	}
	for _, reference := range references {
		plain := fetch(t, d, reference[1], nil)
		if got := plain.Header().Get("Content-Type"); got != types[path.Ext(reference[1])] {
			t.Errorf("%s is %s", reference[1], got)
		}
		if plain.Header().Get("Content-Encoding") != "" || plain.Body.Len() == 0 {
			t.Errorf("%s is packed or empty for a client without gzip", reference[1])
		}
	}
	script := fetch(t, d, "start.js", nil).Body.String()
	if !strings.Contains(script, "validatorUrl: null") || !strings.Contains(script, `{ zh: "doc.json?lang=zh", en: "doc.json?lang=en" }`) || strings.Contains(script, "//") {
		t.Errorf("the page starts with %s", script)
	}
}
