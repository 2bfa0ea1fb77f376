package architecture

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// source is one parsed file. In the module's folder it may be a test, elsewhere it
// is not.
type source struct {
	path  string // with slashes, from the module's folder
	lines int
	fset  *token.FileSet
	file  *ast.File
}

func readSources(t *testing.T, root string) []source {
	t.Helper()
	var sources []source
	walkGo(t, root, func(name string, text []byte) error {
		if strings.HasSuffix(name, "_test.go") && path.Dir(name) != "." {
			return nil
		}
		s, err := parse(name, text)
		sources = append(sources, s)
		return err
	})
	return sources
}

// walkGo calls visit with each Go file of the module, tests included.
func walkGo(t *testing.T, root string, visit func(name string, text []byte) error) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(root, name)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name), text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipFolder skips the folders that the go command skips.
func skipFolder(root, name string) error {
	base := filepath.Base(name)
	if name == root {
		return nil
	}
	if base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir // another module
	}
	return nil
}

func parse(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	return source{path: name, lines: bytes.Count(text, []byte("\n")), fset: fset, file: file}, err
}

// folder is the package's path within the module; "" is the module's folder.
func (s source) folder() string {
	if dir := path.Dir(s.path); dir != "." {
		return dir
	}
	return ""
}

// at prefixes a finding with its place.
func (s source) at(node ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s: %s", s.fset.Position(node.Pos()), fmt.Sprintf(format, args...))
}

// importNames returns the import paths by the names that the file uses for them.
func (s source) importNames() map[string]string {
	names := map[string]string{}
	for _, spec := range s.file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		names[path.Base(imported)] = imported
		if spec.Name != nil {
			names[spec.Name.Name] = imported
		}
	}
	return names
}

// imported returns the import path and the name that node selects from a package.
// The path is "" for any other node.
func imported(names map[string]string, node ast.Node) (path, name string) {
	selector, ok := node.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	// An identifier with an object is declared in this file: it is no package.
	if x, ok := selector.X.(*ast.Ident); ok && x.Obj == nil {
		return names[x.Name], selector.Sel.Name
	}
	return "", ""
}

// ourImports returns the packages of this module that the file imports.
func (s source) ourImports() []string {
	var ours []string
	for _, spec := range s.file.Imports {
		if folder, ok := ourFolder(strings.Trim(spec.Path.Value, `"`)); ok {
			ours = append(ours, folder)
		}
	}
	return ours
}

// ourFolder returns the folder of an import path of this module.
func ourFolder(imported string) (folder string, ours bool) {
	folder, ours = strings.CutPrefix(imported+"/", module+"/")
	return strings.TrimSuffix(folder, "/"), ours
}
