// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

var (
	// The two names are replaced; the rest is written as it stands.
	//go:embed all:skeleton
	skeleton embed.FS

	//go:embed all:examples
	examples embed.FS
)

// Skeleton is what `env init` writes: contents by path, relative to the project's folder. ".gitignore" holds the lines to add where such a
// file is there already. name must be a DNS label and id 6 digits of 0-9 and a-f; they are written as they are.
func Skeleton(name, id string) map[string]string {
	names := strings.NewReplacer("NAME", name, "PROJECT_ID", id)
	files := map[string]string{}
	for path, file := range map[string]string{"env.yaml": "env.yaml", "images/web.yaml": "web.yaml", ".gitignore": "gitignore"} {
		text, err := fs.ReadFile(skeleton, "skeleton/"+file)
		if err != nil {
			panic(err) // embedded: the build is broken
		}
		files[path] = names.Replace(string(text))
	}
	return files
}

// ProjectName makes a name that a definition may have out of a folder's name.
func ProjectName(folder string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, folder)
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '-' }), "-")
	name = strings.TrimLeft(name, "-0123456789")
	name = strings.TrimRight(name[:min(len(name), 24)], "-")
	if name == "" {
		return "project"
	}
	return name
}

// Examples are the names that Example knows, sorted.
func Examples() []string {
	entries, err := examples.ReadDir("examples")
	if err != nil {
		panic(err) // embedded: the build is broken
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// Example is a whole project to copy. All its files are there, without their modes: scripts of recipes need none.
func Example(name string) (fs.FS, error) {
	for _, known := range Examples() {
		if name == known {
			return fs.Sub(examples, "examples/"+name)
		}
	}
	return nil, fmt.Errorf("cannot find example %q: there is %s", clip(name), strings.Join(Examples(), ", "))
}
