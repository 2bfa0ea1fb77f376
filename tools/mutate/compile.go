package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// compiler checks that packages of the module compile with a mistake in them.
type compiler struct {
	root    string
	folders map[string]folder // by folder relative to the root
	exports map[string]string // by import path: file of the compiler's export data
}

// folder is a package of the module.
type folder struct {
	importPath string
	files      []string // relative to the root
}

// newCompiler builds the module as far as it is not built, for the types of what is imported.
func newCompiler(root string) (*compiler, error) {
	c := &compiler{root, map[string]folder{}, map[string]string{}}
	command := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Export,Dir,GoFiles,Module", "./...")
	command.Dir, command.Stderr = root, os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(out); ; {
		var p struct {
			ImportPath, Export, Dir string
			GoFiles                 []string
			Module                  *struct{ Main bool }
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return c, command.Wait()
		} else if err != nil {
			return nil, errors.Join(err, command.Wait())
		}
		c.exports[p.ImportPath] = p.Export
		if p.Module == nil || !p.Module.Main {
			continue
		}
		relative, err := filepath.Rel(absolute, p.Dir)
		if err != nil {
			return nil, err
		}
		name := filepath.ToSlash(relative)
		f := folder{importPath: p.ImportPath}
		for _, file := range p.GoFiles {
			f.files = append(f.files, path.Join(name, file))
		}
		c.folders[name] = f
	}
}

// change is a file of the module and what would be written into it.
type change struct{ file, text string }

// checkAll returns the first error of each change, each made alone.
func (c *compiler) checkAll(changes []change) []error {
	problems := make([]error, len(changes))
	var workers sync.WaitGroup
	for n := range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			w := worker{compiler: c, files: token.NewFileSet(), parsed: map[string]*ast.File{}}
			w.imported = importer.ForCompiler(w.files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(c.exports[path]) })
			for i := n; i < len(changes); i += runtime.GOMAXPROCS(0) {
				problems[i] = w.check(changes[i])
			}
		})
	}
	workers.Wait()
	return problems
}

// worker keeps what it has parsed and imported. It is not safe for concurrent use.
type worker struct {
	*compiler
	files    *token.FileSet
	parsed   map[string]*ast.File
	imported types.Importer
}

// check returns the first error of the package with the change in it.
func (w *worker) check(ch change) error {
	f := w.folders[path.Dir(ch.file)]
	if !slices.Contains(f.files, ch.file) { // of another operating system
		_, err := parser.ParseFile(w.files, ch.file, ch.text, parser.SkipObjectResolution)
		return err
	}
	var parsed []*ast.File
	for _, name := range f.files {
		file, err := w.parse(name, ch)
		if err != nil {
			return err
		}
		parsed = append(parsed, file)
	}
	_, err := (&types.Config{Importer: w.imported}).Check(f.importPath, w.files, parsed, nil)
	return err
}

func (w *worker) parse(name string, ch change) (*ast.File, error) {
	if name == ch.file {
		return parser.ParseFile(w.files, name, ch.text, parser.SkipObjectResolution)
	}
	if w.parsed[name] == nil {
		file, err := parser.ParseFile(w.files, filepath.Join(w.root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("as it is: %w", err)
		}
		w.parsed[name] = file
	}
	return w.parsed[name], nil
}
