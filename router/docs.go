package router

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for the document
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/swaggest/swgui/v5/static"
	"go.yaml.in/yaml/v3"
)

// openapi is the API's document, written by hand and proven by tests.
//
//go:embed openapi.yaml
var openapi []byte

// docsPrefix is the path below which the documents live.
const docsPrefix = "/swagger/"

// The page has no script and no style of its own inside, so that its policy
// needs neither hashes nor exceptions.
const (
	docsPage = `<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>menshen 门神 API</title>
<link rel="icon" type="image/png" sizes="32x32" href="favicon-32x32.png">
<link rel="stylesheet" href="swagger-ui.css">
<link rel="stylesheet" href="start.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>此页需要 JavaScript；文档本身在 <a href="doc.json">doc.json</a>。 This page needs JavaScript; the document itself is <a href="doc.json">doc.json</a>.</noscript>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</body>
</html>
`

	docsScript = `SwaggerUIBundle({
  url: "doc.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  persistAuthorization: false,
  validatorUrl: null
});
`

	docsStyle = "html{box-sizing:border-box}*,*::before,*::after{box-sizing:inherit}body{margin:0}\n"

	docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Docs serves the API's document and the page to browse it, from memory and
// from the same origin alone, so that they work without internet.
type Docs struct {
	files map[string]docsFile // by path
}

// docsFile is one file that Docs serves.
type docsFile struct {
	contentType string
	caching     string
	body        []byte
	etag        string // "": none
	packed      bool   // body is gzipped
}

// NewDocs makes the documents ready: /swagger/index.html, its assets, and
// /swagger/doc.json, which is openapi.yaml in JSON with version as the API's.
func NewDocs(version string) (*Docs, error) {
	document, err := documentJSON(openapi, version)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	d := &Docs{files: map[string]docsFile{
		docsPrefix + "index.html": ownFile("text/html; charset=utf-8", []byte(docsPage)),
		docsPrefix + "start.css":  ownFile("text/css; charset=utf-8", []byte(docsStyle)),
		docsPrefix + "start.js":   ownFile("text/javascript; charset=utf-8", []byte(docsScript)),
		docsPrefix + "doc.json":   ownFile("application/json; charset=utf-8", document),
	}}
	for _, asset := range []struct {
		name, contentType string
		packed            bool
	}{
		{"swagger-ui-bundle.js", "text/javascript; charset=utf-8", true},
		{"swagger-ui.css", "text/css; charset=utf-8", true},
		{"favicon-32x32.png", "image/png", false},
	} {
		embedded := asset.name
		if asset.packed {
			embedded += ".gz"
		}
		body, err := static.FS.ReadFile(embedded)
		if err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		d.files[docsPrefix+asset.name] = docsFile{
			contentType: asset.contentType, caching: "public, max-age=86400", body: body, packed: asset.packed,
		}
	}
	return d, nil
}

// ownFile is a file that changes with the program: a browser asks every time
// whether its copy still is good.
func ownFile(contentType string, body []byte) docsFile {
	sum := sha256.Sum256(body)
	return docsFile{contentType: contentType, caching: "no-cache", body: body, etag: fmt.Sprintf(`"%x"`, sum[:8])}
}

// Serve answers a GET or HEAD for one of the documents. For any other path it
// writes nothing and returns false, and the caller answers.
func (d *Docs) Serve(w http.ResponseWriter, r *http.Request) bool {
	file, ok := d.files[r.URL.Path]
	if !ok {
		return false
	}
	header := w.Header()
	header.Set("Content-Type", file.contentType)
	header.Set("Cache-Control", file.caching)
	header.Set("Content-Security-Policy", docsPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if file.etag != "" {
		header.Set("ETag", file.etag)
	}
	if file.packed {
		header.Set("Vary", "Accept-Encoding")
		if !acceptsGzip(r.Header) {
			serveUnpacked(w, r, file.body)
			return true
		}
		header.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.body))
	return true
}

// serveUnpacked is for clients without gzip. It streams, so that nobody can
// make the program hold many unpacked copies.
func serveUnpacked(w http.ResponseWriter, r *http.Request, packed []byte) {
	if r.Method == http.MethodHead {
		return
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, unpacked) //nolint:gosec // our own asset; it fails only when the client has gone
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3): gzip is named there, and
// not with the weight 0.
func acceptsGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighted := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return !weighted || strings.Trim(weight, "qQ=0.") != ""
		}
	}
	return false
}

// documentJSON turns the YAML document into JSON, its members in their order,
// with version in place of info.version.
func documentJSON(text []byte, version string) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 {
		return nil, fmt.Errorf("want one document, have %d", len(root.Content))
	}
	node := member(member(root.Content[0], "info"), "version")
	if node == nil {
		return nil, errors.New("info.version is missing")
	}
	node.SetString(version)
	return appendJSON(nil, root.Content[0])
}

// member is the value of a mapping's key, nil when there is none.
func member(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// appendJSON appends node as JSON. Aliases are refused: the document reuses by
// $ref, which its readers see too.
func appendJSON(dst []byte, node *yaml.Node) ([]byte, error) {
	var err error
	switch node.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i < len(node.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, node.Content[i].Value), ':')
			if dst, err = appendJSON(dst, node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, child := range node.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, child); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case yaml.ScalarNode:
		var value any
		if err := node.Decode(&value); err != nil {
			return nil, err
		}
		text, err := json.Marshal(value)
		return append(dst, text...), err
	default:
		return nil, fmt.Errorf("line %d: neither mapping, sequence nor scalar", node.Line)
	}
}

// appendString appends text as a JSON string.
func appendString(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always marshals
	return append(dst, quoted...)
}
