// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
)

func (a *App) initVerb() verb {
	return verb{
		name: "init", args: "[DIR]", about: "write a first env.yaml and recipe",
		more: "Files that are there already are never changed; .gitignore gets the lines it lacks.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "example", Usage: "copy the example `NAME` (" + strings.Join(envs.Examples(), ", ") + ") instead"},
		},
		lacks: definitionFlags(),
		run:   runInit,
	}
}

func runInit(_ context.Context, c *call) error {
	if err := c.maxArgs(1); err != nil {
		return err
	}
	dir := c.Dir
	if len(c.args) == 1 {
		dir = c.path(c.args[0])
	}
	files, err := firstFiles(dir, c.flag.String("example"))
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil && name != ".gitignore" {
			return fmt.Errorf("cannot init %s: %s is there already, and nothing is overwritten", c.shown(dir), name)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot init %s: %w", c.shown(dir), err)
		}
	}
	slices.Sort(names)
	// env.yaml comes last: killed before it, init leaves no project.
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == envs.FileName }), envs.FileName)
	var wrote []string
	for _, name := range names {
		done, err := writeFirst(filepath.Join(dir, name), files[name], name == ".gitignore")
		if err != nil {
			return fmt.Errorf("cannot init %s: %w", c.shown(dir), err)
		}
		if done {
			wrote = append(wrote, c.shown(filepath.Join(dir, name)))
		}
	}
	if c.json() {
		return c.printJSON(map[string]any{"dir": dir, "files": wrote})
	}
	for _, name := range wrote {
		if err := c.printf("wrote %s\n", name); err != nil {
			return err
		}
	}
	if c.quiet() {
		return nil
	}
	next := "evenkeel up"
	if dir != c.Dir {
		next = "cd " + c.shown(dir) + " && " + next
	}
	return c.printf("next: %s\n", next)
}

// firstFiles are the files to write, by path below dir.
func firstFiles(dir, example string) (map[string]string, error) {
	if example == "" {
		return envs.Skeleton(envs.ProjectName(filepath.Base(dir)), newID()), nil
	}
	tree, err := envs.Example(example)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		files[path] = string(text)
		return err
	})
	files[envs.FileName] = idLine().ReplaceAllString(files[envs.FileName], `id: "`+newID()+`"`)
	return files, err
}

// idLine is where a definition says its project id: each copy of an example is a project of its own. The id is quoted, for 123456 would be a
// number.
func idLine() *regexp.Regexp { return regexp.MustCompile(`(?m)^id: "?[0-9a-f]+"?`) }

func newID() string {
	id := make([]byte, 3)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// writeFirst writes a file that is not there. Of one that may be there the missing lines are added.
func writeFirst(path, text string, mayExist bool) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if have, err := os.ReadFile(path); mayExist && err == nil {
		text = missingLines(string(have), text)
		if text == "" {
			return false, nil
		}
		flag = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(text)
	return true, errors.Join(err, f.Close())
}

// missingLines is what has to be appended to have for it to hold the lines of want.
func missingLines(have, want string) string {
	lines := strings.Split(have, "\n")
	add := ""
	for l := range strings.Lines(want) {
		if text := strings.TrimSpace(l); text != "" && !slices.Contains(lines, text) {
			add += text + "\n"
		}
	}
	if add != "" && have != "" && !strings.HasSuffix(have, "\n") {
		add = "\n" + add
	}
	return add
}
