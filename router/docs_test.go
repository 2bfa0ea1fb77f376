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

	"menshen/model"
)

// Operations lists what the served document describes as "GET /path/{param}",
// in alphabetical order.
func (d *Docs) Operations() []string {
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(d.files[docsPrefix+"doc.json"].plain.body, &document); err != nil {
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
	d, err := NewDocs("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// document is openapi.yaml with its references resolved.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) {
	doc := document(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %s", doc.OpenAPI)
	}
	// This checks the examples of requests and responses too.
	if err := doc.Validate(t.Context(), openapi3.EnableMultiError(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
}

func TestSchemaExamplesFit(t *testing.T) {
	judged := 0
	err := document(t).WalkSchemas(func(at string, schema *openapi3.SchemaRef) error {
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
func TestAnswersAreStrict(t *testing.T) {
	open := []string{"CodeReq", "MobileLoginReq", "RefreshReq", "LogoutReq", "UserPatch", "DeleteUserReq", "ChangeNumberReq", "ActiveToken",
		"AliyunReceipt", "TencentReceipt", "TwilioReceipt", "WebhookReceipt"}
	for name, schema := range document(t).Components.Schemas {
		if !schema.Value.Type.Is("object") {
			continue
		}
		strict := schema.Value.AdditionalProperties.Has != nil && !*schema.Value.AdditionalProperties.Has
		if strict == slices.Contains(open, name) {
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
	var tree any
	if err := json.Unmarshal(newDocs(t).files[docsPrefix+"doc.json"].plain.body, &tree); err != nil {
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

// The failures of each operation (contract §1 to §6).
var failuresOf = map[string][]int32{
	"POST /auth/mobile/code":                       {40000, 40001, 41300, 41500, 42900, 42901, 42902, 50000, 50300, 50301},
	"POST /auth/mobile/login":                      {40000, 40001, 40002, 40300, 40900, 41300, 41500, 42900, 42903, 50000, 50300},
	"POST /app/auth/token/refresh":                 {40000, 40100, 40102, 40103, 40104, 40105, 41300, 41500, 42900, 50000, 50300},
	"GET /wx/pc/check-login-status":                {40000, 40100, 40101, 42900, 50000, 50300},
	"GET /wx/pc/check-login-status/{deviceNumber}": {40000, 40100, 40101, 42900, 50000, 50300},
	"POST /app/auth/logout":                        {40000, 40100, 40101, 40102, 40103, 40105, 41300, 41500, 42900, 50000, 50300},
	"GET /app/auth/sessions":                       {40000, 40100, 40101, 40102, 40103, 42900, 50000, 50300},
	"DELETE /app/auth/sessions/{id}":               {40100, 40101, 40102, 40103, 40400, 42900, 50000, 50300},
	"GET /app/auth/events":                         {40100, 40101, 42900, 50000, 50300},
	"GET /app/auth/user":                           {40100, 40101, 40102, 40103, 42900, 50000, 50300},
	"PATCH /app/auth/user":                         {40000, 40100, 40101, 40102, 40103, 41300, 41500, 42900, 50000, 50300},
	"DELETE /app/auth/user":                        {40000, 40002, 40100, 40101, 40102, 40103, 41300, 41500, 42900, 42903, 50000, 50300},
	"POST /app/auth/user/mobile":                   {40000, 40001, 40002, 40100, 40101, 40102, 40103, 40901, 41300, 41500, 42900, 42903, 50000, 50300},
	"POST /oauth/introspect":                       {41300, 41500, 50000, 50300},
	"POST /hooks/sms/aliyun/{token}":               {40000, 40400, 41300, 42900, 50000, 50300},
	"POST /hooks/sms/tencent/{token}":              {40000, 40400, 41300, 42900, 50000, 50300},
	"POST /hooks/sms/twilio/{token}":               {40000, 40100, 40400, 41300, 41500, 42900, 50000, 50300},
	"POST /hooks/sms/webhook":                      {40000, 40100, 40400, 41300, 41500, 42900, 50000, 50300},
	"GET /.well-known/jwks.json":                   {50000},
	"GET /healthz":                                 {50000},
	"GET /readyz":                                  {50000},
}

func TestFailuresOfEachOperation(t *testing.T) {
	sentences := map[int32]string{}
	for _, f := range model.Failures() {
		sentences[f.Code] = f.Zh
		if !bytes.Contains(openapi, []byte(strconv.Itoa(int(f.Code)))) {
			t.Errorf("%d is not in the document", f.Code)
		}
	}
	doc := document(t)
	for _, operation := range newDocs(t).Operations() {
		method, route, _ := strings.Cut(operation, " ")
		var codes []int32
		for status, response := range doc.Paths.Find(route).GetOperation(method).Responses.Map() {
			content := response.Value.Content["application/json"]
			if content == nil { // a stream
				continue
			}
			for name, example := range content.Examples {
				answer, _ := example.Value.Value.(map[string]any)
				number, enveloped := answer["code"].(float64)
				if !enveloped || number == 0 {
					continue
				}
				code := int32(number)
				codes = append(codes, code)
				text := strconv.Itoa(int(code))
				if name != text || status != "default" && !strings.HasPrefix(text, status) || !strings.Contains(*response.Value.Description, text) {
					t.Errorf("%s: %s: %d is named %s and described as %s", operation, status, code, name, *response.Value.Description)
				}
				want := sentences[code]
				if code == model.ErrMediaType.Code && (operation == "POST /oauth/introspect" || strings.Contains(operation, "/twilio/")) {
					want = model.ErrMediaType.Taking("application/x-www-form-urlencoded").Zh
				}
				if answer["msg"] != want {
					t.Errorf("%s: %d: the sentence is %v, want %s", operation, code, answer["msg"], want)
				}
			}
		}
		slices.Sort(codes)
		if !slices.Equal(codes, failuresOf[operation]) {
			t.Errorf("%s answers %v, want %v", operation, codes, failuresOf[operation])
		}
	}
	if documented := newDocs(t).Operations(); len(documented) != len(failuresOf) {
		t.Errorf("%d operations are documented, want %d", len(documented), len(failuresOf))
	}
}

func TestDocJSONIsTheYAML(t *testing.T) {
	w := fetch(t, newDocs(t), "doc.json", nil)
	var served, written map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &served); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(openapi, &written); err != nil {
		t.Fatal(err)
	}
	written["info"].(map[string]any)["version"] = "1.2.3"
	want, _ := json.Marshal(written)
	if got, _ := json.Marshal(served); !bytes.Equal(got, want) {
		t.Error("doc.json differs from openapi.yaml")
	}
	first, last := bytes.Index(w.Body.Bytes(), []byte(`"/auth/mobile/code"`)), bytes.Index(w.Body.Bytes(), []byte(`"/readyz"`))
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
	if !strings.Contains(script, "validatorUrl: null") || !strings.Contains(script, `url: "doc.json"`) || strings.Contains(script, "//") {
		t.Errorf("the page starts with %s", script)
	}
}
