package router

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
)

// widget holds the files of npm's altcha that clients need for a puzzle (docs/page.md),
// and start.js, which makes one script of them.
//
//go:embed widget
var widget embed.FS

// widgetPath is the path of the widget.
const widgetPath = "/challenge/pow.js"

// Widget serves the script of ALTCHA's widget, which solves the puzzles of the challenge
// pow in a browser. It works without internet.
type Widget struct{ file docsFile }

// NewWidget returns the script: the licence, the solver if the script runs as a worker, and
// else the widget with its styles.
func NewWidget() *Widget {
	return &Widget{docsFile{"text/javascript; charset=utf-8", "public, max-age=3600", atFirstUse("pow.js", widgetContent)}}
}

func widgetContent() (made content, err error) {
	parts := map[string]string{}
	for _, name := range []string{"LICENSE.txt", "pbkdf2.js", "altcha.css", "altcha.min.js", "start.js"} {
		text, err := widget.ReadFile("widget/" + name)
		if err != nil {
			return made, fmt.Errorf("read widget: %w", err)
		}
		parts[name] = string(text)
	}
	css, err := json.Marshal(parts["altcha.css"])
	if err != nil {
		return made, fmt.Errorf("quote styles: %w", err)
	}
	script := fmt.Sprintf("/*! altcha 3.2.2, https://www.npmjs.com/package/altcha\n\n%s\nWith parts of Svelte, Copyright (c) 2016-2025 Svelte Contributors, under the same licence.\n*/\n"+
		"(function () {\n\"use strict\";\nif (typeof document === \"undefined\") {\n%s\nreturn;\n}\nvar altchaStyles = %s;\n%s\n%s})();\n",
		parts["LICENSE.txt"], parts["pbkdf2.js"], css, parts["altcha.min.js"], parts["start.js"])
	packed, err := pack(script)
	if err != nil {
		return made, fmt.Errorf("pack widget: %w", err)
	}
	return content{plain: represent([]byte(script)), packed: represent(packed)}, nil
}

func pack(text string) ([]byte, error) {
	var packed bytes.Buffer
	packing, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := packing.Write([]byte(text)); err != nil {
		return nil, err
	}
	err = packing.Close()
	return packed.Bytes(), err
}

// widgetPolicy is that of the worker. It loads nothing.
const widgetPolicy = "default-src 'none'"

// Serve responds to a GET or HEAD. Pages of any origin may load the script.
func (w *Widget) Serve(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.file.serve(rw, r, widgetPolicy)
}
