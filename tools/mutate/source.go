package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// source is a Go file of the module that is no test.
type source struct {
	name         string // relative to the root, with slashes
	text         string
	atoms        []atom
	imports      map[string]bool // names of imported packages
	declarations []declaration
}

// declaration is a top-level declaration of a file.
type declaration struct {
	name     string // "Type.Method", or the declared name
	from, to int
}

func (s *source) folder() string { return path.Dir(s.name) }

// line is the number of the line at an offset.
func (s *source) line(offset int) int { return 1 + strings.Count(s.text[:offset], "\n") }

// function is the name of the top-level declaration around an offset, or "".
func (s *source) function(offset int) string {
	for _, d := range s.declarations {
		if d.from <= offset && offset < d.to {
			return d.name
		}
	}
	return ""
}

// module is the code of the module.
type module struct {
	sources  []*source
	names    map[string]bool // all identifiers
	packages map[string]bool // names of all imported packages
}

func newModule() *module {
	return &module{names: map[string]bool{}, packages: map[string]bool{}}
}

// readModule reads the Go files of the module in root. Tests and nested modules are left out.
func readModule(root string) (*module, error) {
	m := newModule()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, missing := os.Stat(filepath.Join(name, "go.mod"))
			if name != root && (missing == nil || entry.Name()[0] == '.' || entry.Name() == "node_modules" || entry.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return m.add(filepath.ToSlash(relative), string(text))
	})
	return m, err
}

func (m *module) add(name, text string) error {
	s := &source{name: name, text: text, imports: map[string]bool{}}
	fileSet := token.NewFileSet()
	file, err := parser.ParseFile(fileSet, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		imported := path.Base(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			imported = spec.Name.Name
		}
		s.imports[imported], m.packages[imported] = true, true
	}
	declare := func(name string, node ast.Node) {
		from, to := fileSet.Position(node.Pos()).Offset, fileSet.Position(node.End()).Offset
		s.declarations = append(s.declarations, declaration{name, from, to})
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			declare(nameOf(d), d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				var node ast.Node = spec
				if len(d.Specs) == 1 {
					node = d // the keyword belongs to it
				}
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					declare(spec.Names[0].Name, node)
				case *ast.TypeSpec:
					declare(spec.Name.Name, node)
				}
			}
		}
	}
	s.atoms, _ = scanCode(text)
	for _, a := range s.atoms {
		if a.kind == ident {
			m.names[a.text] = true
		}
	}
	m.sources = append(m.sources, s)
	return nil
}

// nameOf is the name of a function, or "Type.Method".
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
