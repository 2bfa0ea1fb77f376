package architecture

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"unicode"
)

const (
	maxFile       = 400 // lines
	maxMain       = 60  // lines of main.go
	maxFunction   = 60  // lines
	maxParameters = 4   // besides a context and a handle of package testing
)

func (s source) findings() []string {
	return slices.Concat(
		s.packageFindings(), s.importFindings(), s.mainOnlyFindings(), s.wiringFindings(),
		s.sizeFindings(), s.parameterFindings(), s.docFindings(),
	)
}

func (s source) packageFindings() []string {
	var found []string
	if slices.Contains(vagueNames, s.file.Name.Name) {
		found = append(found, s.at(s.file.Name, "package %s: the name does not say what the package contains", s.file.Name.Name))
	}
	if _, ok := mayImport[s.folder()]; !ok {
		found = append(found, s.at(s.file.Name, "package %s has no row in mayImport", s.folder()))
	}
	if s.folder() == "" && s.path != "main.go" {
		found = append(found, s.at(s.file.Name, "main.go must be the only file of its folder"))
	}
	return found
}

func (s source) importFindings() []string {
	var found []string
	for _, spec := range s.file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		for _, library := range mayNotImport[s.folder()] {
			if imported == library || strings.HasSuffix(library, "/") && strings.HasPrefix(imported, library) {
				found = append(found, s.at(spec, "%s must not know %s", s.folder(), imported))
			}
		}
		if slices.Contains(predictable, imported) && s.folder() != "repository" {
			found = append(found, s.at(spec, "%s must not use the predictable numbers of %s", s.folder(), imported))
		}
		if spec.Name != nil && spec.Name.Name == "." {
			found = append(found, s.at(spec, "dot import of %s", imported))
		}
		if folder, ours := ourFolder(imported); ours && !s.mayImport(folder) {
			found = append(found, s.at(spec, "%q must not import %q", s.folder(), folder))
		}
	}
	return found
}

func (s source) mayImport(folder string) bool {
	if strings.HasPrefix(folder, "internal/") {
		return true
	}
	allowed := mayImport[s.folder()]
	return slices.Contains(allowed, folder) || slices.Contains(allowed, "*") && !slices.Contains(testSupport, folder)
}

// mainOnlyFindings finds uses of the clock and of root contexts outside main.go.
// Naming the function is enough: it need not be called there.
func (s source) mainOnlyFindings() []string {
	if s.path == "main.go" || slices.Contains(ownClock, s.folder()) {
		return nil
	}
	var found []string
	names := s.importNames()
	ast.Inspect(s.file, func(node ast.Node) bool {
		if path, name := imported(names, node); slices.Contains(mainOnly[path], name) {
			found = append(found, s.at(node, "%s outside main.go", types.ExprString(node.(*ast.SelectorExpr))))
		}
		return true
	})
	return found
}

// wiringFindings finds literals of the types in wired outside app.
func (s source) wiringFindings() []string {
	if s.folder() == "app" {
		return nil
	}
	var found []string
	names := s.importNames()
	ast.Inspect(s.file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if path, name := imported(names, literal.Type); slices.Contains(wired[path], name) {
			found = append(found, s.at(node, "%s is wired outside app", types.ExprString(literal.Type)))
		}
		return true
	})
	return found
}

func (s source) sizeFindings() []string {
	var found []string
	limit := maxFile
	if s.path == "main.go" {
		limit = maxMain
	}
	if s.lines > limit {
		found = append(found, fmt.Sprintf("%s: %d lines, more than %d", s.path, s.lines, limit))
	}
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f, "init function"))
		}
		if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
			found = append(found, s.at(f, "func %s: %d lines, more than %d", f.Name.Name, n, maxFunction))
		}
	}
	return found
}

// parameterFindings counts the parameters of every function and function type: of
// declarations, literals, fields and methods of interfaces.
func (s source) parameterFindings() []string {
	var found []string
	names := s.importNames()
	ast.Inspect(s.file, func(node ast.Node) bool {
		f, ok := node.(*ast.FuncType)
		if !ok {
			return true
		}
		n := 0
		for _, field := range f.Params.List {
			if !isContextOrTest(names, field.Type) {
				n += max(1, len(field.Names))
			}
		}
		if n > maxParameters {
			found = append(found, s.at(f, "%d parameters, more than %d", n, maxParameters))
		}
		return true
	})
	return found
}

// isContextOrTest reports whether a parameter is a context or a handle of package
// testing.
func isContextOrTest(names map[string]string, parameter ast.Expr) bool {
	if pointer, ok := parameter.(*ast.StarExpr); ok {
		parameter = pointer.X
	}
	path, name := imported(names, parameter)
	return path == "context" && name == "Context" || path == "testing"
}

// docFindings finds exported names without a comment that begins with the name. In
// a group of constants or variables, a comment of the group or of the line is enough.
func (s source) docFindings() []string {
	var found []string
	want := func(node ast.Node, name string, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if words := strings.FieldsFunc(doc.Text(), notInName); len(words) > 0 && words[0] == name {
				return
			}
		}
		found = append(found, s.at(node, "%s needs a comment that begins with its name", name))
	}
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && ast.IsExported(receiver(decl)) {
				want(decl, decl.Name.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						want(spec, spec.Name.Name, spec.Doc, decl.Doc)
					}
				case *ast.ValueSpec:
					s.wantValueDoc(decl, spec, want)
				}
			}
		}
	}
	return found
}

func (s source) wantValueDoc(decl *ast.GenDecl, spec *ast.ValueSpec, want func(ast.Node, string, ...*ast.CommentGroup)) {
	name := spec.Names[0]
	if !name.IsExported() || decl.Lparen.IsValid() && (decl.Doc != nil || spec.Doc != nil || spec.Comment != nil) {
		return
	}
	want(name, name.Name, spec.Doc, decl.Doc)
}

func notInName(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// receiver returns the name of a method's type, and an exported name for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return "Function"
	}
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && name == "" {
			name = ident.Name
		}
		return name == ""
	})
	return name
}
