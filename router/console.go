package router

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// consolePrefix is the path of the console. Its pages are one file: which of them is shown
// stands behind the #, which no browser sends.
const consolePrefix = "/console/"

// console holds the console as `make web` builds it from web/src/console.
//
//go:embed all:console
var console embed.FS

// NewConsole prepares the files of the console.
func NewConsole() (*Pages, error) { return readPages(console, "console") }

// readPages finds all files below root, and names them from there.
func readPages(files embed.FS, root string) (*Pages, error) {
	p := &Pages{files: map[string]docsFile{}}
	err := fs.WalkDir(files, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		p.files[strings.TrimPrefix(name, root+"/")] = ownFile(contentTypeOf(name), files, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	return p, nil
}

// serveConsole adds the routes of the console. They need no key: the files are the same for
// everyone, and what they show comes from the admin API.
func serveConsole(r *gin.Engine, pages *Pages) {
	r.Match(reading, strings.TrimSuffix(consolePrefix, "/"), func(c *gin.Context) { c.Redirect(http.StatusFound, consolePrefix) })
	r.Match(reading, consolePrefix, pages.page("index.html"))
	r.Match(reading, consolePrefix+"assets/:file", func(c *gin.Context) { pages.page("assets/" + c.Param("file"))(c) })
}
