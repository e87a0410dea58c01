// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// FileName is the name of a definition.
const FileName = "env.yaml"

// LocalName is the name of the file beside it in which one developer suits the local tiers to one machine.
const LocalName = "env.local.yaml"

// Find looks upwards from dir for an env.yaml of ours (`evenkeel:` at its top level). Files of that name that are not ours are
// named in the list as notes and passed over. "" where there is none. The file is absolute. A file that cannot be read is an error: it might be
// ours.
func Find(dir string) (file string, passed problem.List, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", nil, fmt.Errorf("cannot find %s: %w", FileName, err)
	}
	for {
		file := filepath.Join(dir, FileName)
		switch ours, err := isOurs(file); {
		case err != nil:
			return "", passed, fmt.Errorf("cannot tell whether %s is a definition: %w", file, err)
		case ours == yes:
			return file, passed, nil
		case ours == no:
			passed = append(passed, problem.Problem{
				Severity: problem.Note, File: file,
				Message: "passed over: it is not a definition of Evenkeel (it has no `evenkeel: 1`)",
			})
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", passed, nil
		}
		dir = parent
	}
}

type answer int

const (
	absent answer = iota
	no
	yes
)

// A file that is broken YAML is ours when a line says so: its problems are then told instead of passed over.
var marked = lazyregexp.New(`(?m)^(\x{feff})?["']?evenkeel["']?[ \t]*:`)

func isOurs(file string) (answer, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	if err != nil {
		return absent, errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return no, nil
	}
	data, err := readBounded(file)
	if err != nil {
		return absent, err
	}
	if marked.Match(data) {
		return yes, nil
	}
	root := strictyaml.Parse(file, data).Root()
	if root.Is() != "map" {
		return no, nil
	}
	for _, e := range root.Entries() {
		if e.Key == "evenkeel" {
			return yes, nil
		}
	}
	return no, nil
}
