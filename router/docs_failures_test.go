package router

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"menshen/model"
)

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
	"GET /challenge/pow.js":                        {40400, 42900, 50000},
	"GET /.well-known/jwks.json":                   {50000},
	"GET /healthz":                                 {50000},
	"GET /readyz":                                  {50000},

	// The admin listener (contract §7, §14).
	"GET /admin/users":               {40000, 40001, 40100, 42900, 50000, 50300},
	"POST /admin/users":              {40000, 40001, 40100, 40301, 40400, 40901, 40902, 41300, 41500, 42900, 50000, 50300},
	"PATCH /admin/users/{id}":        {40000, 40100, 40301, 40400, 40902, 41300, 41500, 42900, 50000, 50300},
	"GET /admin/users/{id}":          {40100, 40400, 42900, 50000, 50300},
	"DELETE /admin/users/{id}":       {40000, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
	"GET /admin/users/{id}/export":   {40100, 40301, 40400, 42900, 50000, 50300},
	"GET /admin/users/{id}/timeline": {40000, 40100, 40400, 42900, 50000, 50300},
	"POST /admin/users/{id}/code":    {40000, 40001, 40100, 40301, 40400, 41300, 41500, 42900, 42901, 42902, 50000, 50300, 50301},
	"POST /admin/users/{id}/mobile":  {40000, 40001, 40002, 40100, 40301, 40400, 40901, 41300, 41500, 42900, 42903, 50000, 50300},
	"GET /admin/numbers":             {40000, 40001, 40100, 40400, 42900, 50000, 50300},
	"POST /admin/numbers/unlock":     {40000, 40001, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
	"GET /admin/audit":               {40000, 40100, 42900, 50000, 50300},
	"GET /admin/stats":               {40000, 40100, 42900, 50000, 50300},
	"GET /admin/messages":            {40000, 40001, 40100, 42900, 50000, 50300},
	"GET /admin/me":                  {40100, 42900, 50000, 50300},
	"GET /admin/health":              {40100, 42900, 50000, 50300},
	"GET /admin/config":              {40100, 40301, 42900, 50000, 50300},
	"POST /admin/simulate":           {40000, 40100, 40400, 41300, 41500, 42900, 50000, 50300},
	"GET /internal/revocations":      {40000, 40100, 42900, 50000, 50300},
	"GET /metrics":                   {},
	"POST /admin/users/{id}/ban":     {40000, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
	"POST /admin/users/{id}/unban":   {40000, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
	"POST /admin/users/{id}/kick":    {40000, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
	"POST /admin/users/{id}/unlock":  {40000, 40100, 40301, 40400, 41300, 41500, 42900, 50000, 50300},
}

func TestFailuresOfEachOperation(t *testing.T) {
	documented := 0
	for _, l := range listeners(t) {
		documented += len(l.docs.Operations())
	}
	if documented != len(failuresOf)+2 { // both have the probes
		t.Errorf("%d operations are documented, want %d", documented, len(failuresOf)+2)
	}
	eachDocument(t, testFailuresOfEachOperation)
}

func testFailuresOfEachOperation(t *testing.T, l listener) {
	sentences := map[int32]string{}
	for _, f := range model.Failures() {
		sentences[f.Code] = f.Zh
		if text := slices.Concat(openapi, openapiAdmin); f.Code != model.ErrMethod.Code && !bytes.Contains(text, []byte(strconv.Itoa(int(f.Code)))) {
			t.Errorf("%d is not in the document", f.Code)
		}
	}
	doc := l.document(t)
	for _, operation := range l.docs.Operations() {
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
}
