package router

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
)

// Dev is the pages of development, which env dev alone has (contract §13). They are no part
// of the API, so its document leaves them out; docs/web.md describes them.
type Dev struct {
	controller.Dev
	Pages *Pages
	Open  bool // for every client, not for this machine alone
}

// devPrefix is the path below which the pages of development and their data are. Two pages
// have paths of their own.
const devPrefix = "/dev/"

func isDevPath(path string) bool {
	return path == "/" || path == "/demo" || path == strings.TrimSuffix(devPrefix, "/") || strings.HasPrefix(path, devPrefix)
}

// register adds the routes. The guard comes before those of unknown paths and methods.
func (d *Dev) register(r *gin.Engine, limited, deadline gin.HandlerFunc) {
	r.Use(middleware.ThisMachine(d.Open, isDevPath))
	h := middleware.Handle
	for route, file := range map[string]string{"/": "index.html", "/demo": "demo.html", "/dev/sms": "sms.html"} {
		r.Match(reading, route, limited, d.Pages.page(file))
	}
	r.Match(reading, "/dev/assets/:file", limited, func(c *gin.Context) { d.Pages.page("assets/" + c.Param("file"))(c) })
	r.Match(reading, "/dev/sms.json", limited, h(d.Messages))
	r.Match(reading, "/dev/sms/events", limited, h(d.Events))
	r.Match(reading, "/dev/sessions/:sid", limited, deadline, h(d.Session))
	users := r.Group("/dev/users/:id", limited, deadline, middleware.ActAs("dev"))
	users.POST("/ban", h(d.Admin.Ban))
	users.POST("/unban", h(d.Admin.Unban))
	users.POST("/kick", h(d.Admin.Kick))
}

// web holds the pages as `make web` builds them from the folder of the same name.
//
//go:embed all:web
var web embed.FS

// Pages are the files of pages, by path.
type Pages struct{ files map[string]docsFile }

// NewPages prepares the files.
func NewPages() (*Pages, error) { return readPages(web, "web") }

// contentTypeOf knows the kinds of files that a build makes. The system's own table of types
// must not decide.
func contentTypeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

func (p *Pages) page(name string) gin.HandlerFunc {
	return func(c *gin.Context) {
		file, ok := p.files[name]
		if !ok {
			middleware.Fail(c, model.ErrNotFound)
			return
		}
		file.serve(c.Writer, c.Request, docsPolicy)
	}
}

// noRoute is the cause of a 404 for the log: the path without what stands where a route has
// a parameter, and without segments that could hold a number, a code or a token.
func noRoute(path string, routes gin.RoutesInfo) error {
	const most, segment = 128, 32
	for _, route := range routes {
		if before, _, found := strings.Cut(route.Path, ":"); found && strings.HasPrefix(path, before) {
			path = before
		}
	}
	parts := strings.Split(path[:min(len(path), most)], "/")
	for i, part := range parts {
		digits := strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r
			}
			return -1
		}, part)
		if len(part) > segment || len(digits) > 3 {
			parts[i] = "…"
		}
	}
	return fmt.Errorf("no route for %s", strings.Join(parts, "/"))
}
