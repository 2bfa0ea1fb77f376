package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// document and adminDocument are the documents of the two listeners, to which every
// exchange must fit.
var document, adminDocument = loadDocument("openapi.yaml"), loadDocument("openapi-admin.yaml")

func loadDocument(name string) func() (*openapi3.T, error) {
	return sync.OnceValues(func() (*openapi3.T, error) {
		return openapi3.NewLoader().LoadFromFile(filepath.Join(top, "router", name))
	})
}

func mustDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// refusals are the codes of requests that may be malformed on purpose; every
// other request must fit the document.
var refusals = map[int32]bool{40000: true, 40100: true, 40301: true, 40400: true, 40500: true, 41300: true, 41500: true}

// validateExchange checks an exchange against the API document of its listener. A request
// without an operation there must be answered in the general form.
func validateExchange(t *testing.T, doc *openapi3.T, request *http.Request, body []byte, a answer) error {
	t.Helper()
	route, params := operationOf(doc, request)
	status := a.status
	if a.code != 0 {
		status = int(a.code / 100) // with server.always_200 the status says nothing
	}
	if request.Method == http.MethodHead || strings.HasPrefix(request.URL.Path, "/swagger/") && a.code == 0 {
		return nil
	}
	if route == nil || status == http.StatusNotFound && route.Operation.Responses.Status(status) == nil {
		if !refusals[a.code] {
			return errors.New("it is not in the document")
		}
		return doc.Components.Schemas["Failure"].Value.VisitJSON(decodeJSON(t, a.raw), openapi3.EnableJSONSchema2020())
	}
	if refusals[a.code] && checkedBefore(route, status, a) {
		return nil
	}
	copied := request.Clone(t.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: params, QueryParams: request.URL.Query(), Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: needsScheme, RejectWhenRequestBodyNotSpecified: true},
	}
	standard := !a.enveloped && a.status >= http.StatusBadRequest // a refusal that a standard shapes
	if !refusals[a.code] && !standard && a.code != 42900 {        // which may have judged the credentials
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			return err
		}
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	return openapi3filter.ValidateResponse(t.Context(), response.SetBodyBytes(a.raw))
}

// wantRefusals remembers refusals that fit: the tables of bodies and fields bring the
// same few thousands of times, and to compile a schema takes longer than to answer.
var refused sync.Map

// checkedBefore reports whether the same refusal of the same operation was checked
// before.
func checkedBefore(route *routers.Route, status int, a answer) bool {
	header := a.header.Clone()
	for _, name := range []string{"X-Request-Id", "Date"} {
		if header.Get(name) != "" {
			header.Set(name, "any")
		}
	}
	_, before := refused.LoadOrStore(fmt.Sprint(route.Spec.Info.Title, route.Method, route.Path, status, header, string(a.raw)), true)
	return before
}

// operationOf returns the operation of a request and its path parameters.
func operationOf(doc *openapi3.T, request *http.Request) (*routers.Route, map[string]string) {
	segments := strings.Split(request.URL.EscapedPath(), "/")
	for path, item := range doc.Paths.Map() {
		operation, params := item.GetOperation(request.Method), map[string]string{}
		names := strings.Split(path, "/")
		if operation == nil || len(names) != len(segments) {
			continue
		}
		matches := true
		for i, name := range names {
			if strings.HasPrefix(name, "{") && segments[i] != "" {
				params[strings.Trim(name, "{}")], _ = url.PathUnescape(segments[i])
				continue
			}
			matches = matches && name == segments[i]
		}
		if matches {
			return &routers.Route{Spec: doc, Path: path, PathItem: item, Method: request.Method, Operation: operation}, params
		}
	}
	return nil, nil
}

// needsScheme checks the security schemes of the document against the request.
func needsScheme(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	if scheme, _, _ := strings.Cut(input.RequestValidationInput.Request.Header.Get("Authorization"), " "); !strings.EqualFold(scheme, input.SecurityScheme.Scheme) {
		return input.NewError(errors.New("no credentials of the scheme " + input.SecurityScheme.Scheme))
	}
	return nil
}
