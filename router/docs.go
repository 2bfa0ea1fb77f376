package router

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.yaml.in/yaml/v3"

	"menshen/middleware"
	"menshen/model"
)

// openapi and openapiAdmin are the API documents of the two listeners, written by hand and
// checked by tests.
var (
	//go:embed openapi.yaml
	openapi []byte
	//go:embed openapi-admin.yaml
	openapiAdmin []byte
)

// docsPrefix is the path of the API document and its page.
const docsPrefix = "/swagger/"

const documentPath = docsPrefix + "doc.json"

// page holds index.html, start.js and start.css. The page has no inline script and no
// inline style, so that its content security policy needs neither hashes nor exceptions.
//
//go:embed page
var page embed.FS

// library holds files of Swagger UI as npm has them, two of them packed: docs/page.md.
//
//go:embed swagger/*.gz swagger/favicon-32x32.png swagger/swagger-ui-bundle.js.LICENSE.txt
var library embed.FS

const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Docs serves the API document and its page from memory, so that they work without
// internet.
type Docs struct {
	files     map[string]docsFile // by path
	languages map[string]docsFile // doc.json in one language, by the query's lang
}

// docsFile is one file that Docs, Pages or Widget serves.
type docsFile struct {
	contentType string
	caching     string
	content     func() content
}

// content is a file in two representations. Both are kept, because unpacking at each request
// would cost 14 ms of processor time.
type content struct {
	plain, packed representation // packed has no body: there is none
}

// representation is the content of a file in one coding. Its ETag is its own (RFC 9110
// §8.8.3.3).
type representation struct {
	body []byte
	etag string
}

// atFirstUse returns a function that makes a file's content once, at the first request for it:
// to make all of them would be half of a start. They are made of what is embedded in the
// program, so that only a faulty build panics.
func atFirstUse(name string, build func() (content, error)) func() content {
	return sync.OnceValue(func() content {
		made, err := build()
		if err != nil {
			panic(fmt.Errorf("make %s: %w", name, err))
		}
		return made
	})
}

// NewDocs returns the files of the two listeners. doc.json is the listener's document in
// JSON, with version as info.version: in both languages, or in that of the query's lang. The
// page is the same.
func NewDocs(version string) (public, admin *Docs) {
	page := newPage()
	return docsOf("openapi.yaml", openapi, version, page), docsOf("openapi-admin.yaml", openapiAdmin, version, page)
}

func docsOf(name string, text []byte, version string, page map[string]docsFile) *Docs {
	d := &Docs{files: maps.Clone(page), languages: map[string]docsFile{}}
	for _, language := range []string{"", "zh", "en"} {
		file := docsFile{"application/json; charset=utf-8", "no-cache", atFirstUse(name, func() (content, error) {
			document, err := documentJSON(text, version, language)
			return content{plain: represent(document)}, err
		})}
		if language == "" {
			d.files[documentPath] = file
			continue
		}
		d.languages[language] = file
	}
	return d
}

// newPage returns the files of the page.
func newPage() map[string]docsFile {
	files := map[string]docsFile{}
	for name, contentType := range map[string]string{
		"index.html": "text/html; charset=utf-8", "start.css": "text/css; charset=utf-8", "start.js": "text/javascript; charset=utf-8",
	} {
		files[docsPrefix+name] = ownFile(contentType, page, "page/"+name)
	}
	for name, contentType := range map[string]string{
		"swagger-ui-bundle.js.gz": "text/javascript; charset=utf-8", "swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
		"swagger-ui.css.gz": "text/css; charset=utf-8", "favicon-32x32.png": "image/png",
	} {
		files[docsPrefix+strings.TrimSuffix(name, ".gz")] = libraryFile(contentType, name)
	}
	return files
}

// serve responds to a request of a listener for one of the files; any other path is 404.
func (d *Docs) serve(c *gin.Context) {
	if c.Request.URL.Path == docsPrefix {
		toDocs(c)
		return
	}
	if !d.Serve(c.Writer, c.Request) {
		middleware.Fail(c, model.ErrNotFound)
	}
}

// toDocs leads to the page of the API document.
func toDocs(c *gin.Context) { c.Redirect(http.StatusFound, docsPrefix+"index.html") }

// ownFile is a file that changes with the program: a browser revalidates its copy.
func ownFile(contentType string, from embed.FS, name string) docsFile {
	return docsFile{contentType, "no-cache", atFirstUse(name, func() (content, error) {
		body, err := from.ReadFile(name)
		return content{plain: represent(body)}, err
	})}
}

// libraryFile is a file of a library, packed if its name ends in .gz. Its path names no version,
// so that browsers keep it for a day and then revalidate it.
func libraryFile(contentType, name string) docsFile {
	return docsFile{contentType, "public, max-age=86400", atFirstUse(name, func() (content, error) {
		body, err := library.ReadFile("swagger/" + name)
		if err != nil || path.Ext(name) != ".gz" {
			return content{plain: represent(body)}, err
		}
		unpacking, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return content{}, err
		}
		plain, err := io.ReadAll(unpacking)
		return content{plain: represent(plain), packed: represent(body)}, err
	})}
}

func represent(body []byte) representation {
	sum := sha256.Sum256(body)
	return representation{body: body, etag: fmt.Sprintf(`"%x"`, sum[:8])}
}

// Serve responds to a GET or HEAD of one of the files. For any other path it returns
// false. An unknown lang is as none.
func (d *Docs) Serve(w http.ResponseWriter, r *http.Request) bool {
	file, ok := d.files[r.URL.Path]
	if language, given := d.languages[r.URL.Query().Get("lang")]; given && r.URL.Path == documentPath {
		file = language
	}
	if ok {
		file.serve(w, r, docsPolicy)
	}
	return ok
}

// serve responds with the representation that the client accepts. policy is the content
// security policy.
func (file docsFile) serve(w http.ResponseWriter, r *http.Request, policy string) {
	header := w.Header()
	header.Set("Content-Type", file.contentType)
	header.Set("Cache-Control", file.caching)
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	made := file.content()
	chosen := made.plain
	if made.packed.body != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			header.Set("Content-Encoding", "gzip")
			chosen = made.packed
		}
	}
	header.Set("ETag", chosen.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(chosen.body))
}

// acceptsGzip reports whether Accept-Encoding names gzip (RFC 9110 §12.5.3).
func acceptsGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighted := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return !weighted || strings.Trim(weight, "qQ=0.") != ""
		}
	}
	return false
}

// documentJSON converts the document to JSON, in one language unless language is empty.
// Members keep their order.
func documentJSON(text []byte, version, language string) ([]byte, error) {
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
	if language != "" {
		translate(root.Content[0], language)
	}
	return appendJSON(nil, root.Content[0])
}

// member is the value of a mapping's key, nil if the key is missing.
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

// appendJSON appends node as JSON. It refuses aliases: the document uses $ref instead.
func appendJSON(dst []byte, node *yaml.Node) ([]byte, error) {
	var err error
	switch node.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i < len(node.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			key, _ := json.Marshal(node.Content[i].Value) // a string always marshals
			dst = append(append(dst, key...), ':')
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
