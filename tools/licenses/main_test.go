package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLicences(t *testing.T) {
	own, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	const gpl = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by " +
		"the Free Software Foundation, either version 3 of the License, or (at your option) any later version."
	for _, tt := range []struct {
		name    string
		files   map[string]string
		want    string
		problem string
	}{
		{"permissive", map[string]string{"LICENSE": string(own)}, "Apache-2.0", ""},
		{"by another name", map[string]string{"licence.md": string(own), "LICENSE-LOGO": "a picture"}, "Apache-2.0", ""},
		{"none", map[string]string{"README": string(own)}, "", "no licence"},
		{"unknown", map[string]string{"LICENSE": "Do what you like, but not on Fridays."}, "", "is a licence that is known"},
		{"not permissive", map[string]string{"COPYING": gpl}, "", "is under GPL-3.0"},
		{"in a part of it", map[string]string{"LICENSE": string(own), "LICENSE-3RD-PARTY.md": gpl}, "", "is under GPL-3.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			names, err := licences(module{Path: "example.com/m", Version: "v1.0.0", Dir: dir})
			if got := strings.Join(names, ", "); got != tt.want || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s, error %v", got, err)
			}
		})
	}
}
