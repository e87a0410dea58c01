// SPDX-License-Identifier: Apache-2.0

package images

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// Recipe is a loaded recipe with its lock, if there is one. The contents of the files it names are part of it, as they were when it
// was loaded: a build uses those, whatever happens to the files meanwhile.
type Recipe struct {
	File string // absolute path: /p/images/web.yaml
	Name string // web
	Lock *Lock  // nil: no lock file yet, or one that no longer fits the recipe (LoadRecipe says which)

	// RestartOn is what each unit is restarted on when it changes on a running machine: settings, secrets, tls, sorted. No part of the key:
	// the image is the same.
	RestartOn map[string][]string

	spec spec
	root string // the project folder, to load anew
}

// spec is what a recipe says. Its JSON form is canonical and part of the image key: fields may be added with omitempty, never renamed.
type spec struct {
	From      string              `json:"from"`
	Base      *baseTree           `json:"base,omitempty"`
	Mirror    string              `json:"-"` // where packages come from is not what they are
	Keyring   *input              `json:"keyring,omitempty"`
	Packages  []want              `json:"packages,omitempty"`
	Sources   []source            `json:"sources,omitempty"`
	Fetch     []fetched           `json:"fetch,omitempty"`
	Files     []file              `json:"files,omitempty"`
	Services  map[string]string   `json:"services,omitempty"` // unit -> enabled, disabled, masked
	RestartOn map[string][]string `json:"-"`                  // is for the machine's life, not in the tree
	Users     []account           `json:"users,omitempty"`
	Sysctl    map[string]string   `json:"sysctl,omitempty"`
	Provision []step              `json:"provision,omitempty"`
	Firstboot []step              `json:"firstboot,omitempty"`
}

// input is a file the recipe names.
type input struct {
	Path   string `json:"-"` // absolute; of no meaning to the image
	SHA256 string `json:"sha256"`
	data   []byte
}

// want is a package by name, in one version where one is given.
type want struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type source struct {
	URL        string   `json:"url"`
	Suite      string   `json:"suite"`
	Components []string `json:"components,omitempty"`
	Key        input    `json:"key"`
}

type fetched struct {
	URL    string `json:"-"` // the hash says what it is
	SHA256 string `json:"sha256"`
	To     string `json:"to"`
	Mode   int64  `json:"mode"`
}

type file struct {
	Path  string `json:"path"`
	Data  input  `json:"data"`
	Mode  int64  `json:"mode"`
	Owner string `json:"owner"`
	Group string `json:"group"`
	Early bool   `json:"early,omitempty"` // laid before packages are installed
}

type account struct {
	Name   string   `json:"name"`
	Shell  string   `json:"shell"`
	Home   string   `json:"home"`
	Groups []string `json:"groups,omitempty"`
	System bool     `json:"system,omitempty"`
	UID    int      `json:"uid,omitempty"`
}

// step is a script: run with /bin/sh unless its first line names another interpreter.
type step struct {
	Name   string `json:"name"` // its file's name
	Script input  `json:"script"`
}

// LoadRecipe reads a recipe, the lock beside it and all it names. root is the project folder: no source may lie outside it. The list
// holds every problem found; the Recipe is nil where one of them is an Error. The error is that of the file system.
func LoadRecipe(file, root string) (*Recipe, problem.List, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, nil, err
	}
	if root, err = filepath.Abs(root); err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, nil, err
	}
	doc, err := strictyaml.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	r := &Recipe{
		File: file, Name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)),
		root: root,
	}
	l := loader{dir: filepath.Dir(file), root: root, doc: doc}
	r.spec = l.recipe(doc.Root())
	r.RestartOn = r.spec.RestartOn
	problems := doc.Problems()
	if problems.Err() != nil {
		return nil, problems, nil
	}
	lockProblems, err := r.loadLock()
	problems = append(problems, lockProblems...)
	if err != nil || problems.Err() != nil {
		return nil, problems, err
	}
	return r, problems, nil
}

// LockFile is where the recipe's lock stands: beside it.
func (r *Recipe) LockFile() string {
	return strings.TrimSuffix(r.File, filepath.Ext(r.File)) + ".lock"
}

// Release is what the recipe starts from: debian:12.
func (r *Recipe) Release() string { return r.spec.From }

// archives are all places the recipe's packages may come from.
func (s spec) archives() []archive {
	all := releases()[s.From].withMirror(s.Mirror)
	for i := range all {
		if s.Keyring != nil {
			all[i].key = s.Keyring
		} else {
			all[i].keyring = releases()[s.From].keyring
		}
	}
	for _, src := range s.Sources {
		all = append(all, archive{
			name: sourceName(src), url: src.URL, suite: src.Suite, components: src.Components, key: &src.Key,
		})
	}
	return all
}

// sourceName is the name of a third-party archive in a lock, free of spaces.
func sourceName(s source) string {
	host := s.URL[strings.Index(s.URL, "://")+3:]
	return strings.TrimSuffix(host, "/") + "/" + s.Suite
}

// canonical sorts what has no order of its own.
func (s *spec) canonical() {
	slices.SortFunc(s.Packages, func(a, b want) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Files, func(a, b file) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(s.Users, func(a, b account) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Fetch, func(a, b fetched) int { return cmp.Compare(a.To, b.To) })
}
