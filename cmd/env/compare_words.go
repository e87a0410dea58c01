// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// resolve says what both words mean, before anything is opened. A definition is needed only by who names something of it.
func (m *compared) resolve(ctx context.Context) error {
	file := m.c.flag.String("file")
	if file == "" {
		var err error
		if file, _, err = envs.Find(m.c.Dir); err != nil {
			return err
		}
	}
	if file != "" {
		var err error
		if m.def, err = m.c.definition(); err != nil {
			return err
		}
	}
	var errs []error
	for i, word := range m.c.args {
		var err error
		m.word[i] = word
		m.side[i], err = m.meaning(ctx, word)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// meaning is what a word means; one that could mean several things is refused, with how to say each.
func (m *compared) meaning(ctx context.Context, word string) (side, error) {
	form, name, said := strings.Cut(word, ":")
	if said && slices.Contains([]string{"tier", "machine", "image"}, form) {
		found, err := m.candidates(ctx, name, form)
		if err == nil && len(found) == 0 {
			err = m.noSuch(form, name)
		}
		if err != nil {
			return side{}, err
		}
		return found[0], nil
	}
	if strings.ContainsRune(word, os.PathSeparator) && (strings.HasPrefix(word, ".") || filepath.IsAbs(word)) {
		return m.fileNamed(word), nil
	}
	found, err := m.candidates(ctx, word, "")
	switch {
	case err != nil:
		return side{}, err
	case len(found) == 0:
		return side{}, m.noSuch("", word)
	case len(found) > 1:
		var ways []string
		for _, s := range found {
			way := s.what + ":" + word
			if s.what == "file" {
				way = "./" + word
			}
			ways = append(ways, fmt.Sprintf("%s for the %s", way, s.what))
		}
		e := usagef("cannot tell what %s is: it could be several things", word)
		e.hint = "say " + strings.Join(ways, ", or ")
		return side{}, e
	}
	return found[0], nil
}

// candidates are what a word could mean; form keeps it to one sort.
func (m *compared) candidates(ctx context.Context, word, form string) ([]side, error) {
	var found []side
	any := func(what string) bool { return form == "" || form == what }
	if m.def != nil && any("tier") {
		if _, ok := m.def.Tiers[word]; ok {
			found = append(found, side{what: "tier", label: word})
		}
	}
	if m.def != nil && any("machine") {
		if tier, name := m.machineNamed(word, form != ""); tier != "" {
			found = append(found, side{what: "machine", label: tier + "/" + name, one: true, machine: name})
		}
	}
	if any("image") {
		s, ok, err := m.imageNamed(ctx, word)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, s)
		}
	}
	if form == "" {
		if s := m.fileNamed(word); isFile(s.file) {
			found = append(found, s)
		}
	}
	return found, nil
}

// fileNamed is a file of snapshots, or those of one tier in it: FILE:TIER.
func (m *compared) fileNamed(word string) side {
	s := side{what: "file", file: m.c.path(word), label: filepath.Base(word)}
	if i := strings.LastIndexByte(word, ':'); i > 0 && !isFile(s.file) && isFile(m.c.path(word[:i])) {
		s.file, s.within = m.c.path(word[:i]), word[i+1:]
	}
	return s
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// machineNamed is the tier and the name of a machine; "" where word names none. One that is surely meant need not be planned.
func (m *compared) machineNamed(word string, sure bool) (tier, name string) {
	tier, name, within := strings.Cut(word, "/")
	if within {
		if _, ok := m.def.Tiers[tier]; ok && name != "" && !strings.Contains(name, "/") {
			return tier, name
		}
		return "", ""
	}
	chosen := cmp.Or(m.c.flag.String("tier"), m.c.getenv("EVENKEEL_TIER"))
	plan, _ := envs.MakePlan(m.def, envs.Options{Tier: chosen})
	if plan == nil {
		return "", ""
	}
	if sure || slices.ContainsFunc(plan.Machines, func(m envs.Machine) bool { return m.Name == word }) {
		return plan.Tier, word
	}
	return "", ""
}

// imageNamed is an image by its recipe's name or path, or by the begin of its key.
func (m *compared) imageNamed(ctx context.Context, word string) (side, bool, error) {
	if m.def != nil {
		for _, path := range sorted(m.def.Recipes) {
			r := m.def.Recipes[path]
			if path != word && r.Name != word {
				continue
			}
			if r.Key() == "" {
				return side{}, false, fmt.Errorf("cannot compare with the image %s: it has no lock yet; `evenkeel image lock` writes one", word)
			}
			return side{what: "image", label: "image " + r.Name, one: true, key: r.Key(), recipe: path}, true, nil
		}
	}
	if len(word) < 8 || strings.Trim(word, "0123456789abcdef") != "" {
		return side{}, false, nil
	}
	store, err := m.c.store(ctx)
	if err != nil {
		return side{}, false, err
	}
	list, err := store.List()
	if err != nil {
		return side{}, false, err
	}
	var keys []string
	s := side{what: "image", one: true}
	for _, img := range list {
		if strings.HasPrefix(img.Key, word) {
			keys = append(keys, img.Key)
			s.key, s.label = img.Key, fmt.Sprintf("image %s %.12s", img.Recipe, img.Key)
			s.recipe = m.recipeCalled(img.Recipe)
		}
	}
	if len(keys) > 1 {
		return side{}, false, usagef("cannot tell which image %s is: there are %s", word, listed(keys))
	}
	return s, len(keys) == 1, nil
}

func (m *compared) recipeCalled(name string) string {
	if m.def != nil {
		for _, path := range sorted(m.def.Recipes) {
			if m.def.Recipes[path].Name == name {
				return path
			}
		}
	}
	return ""
}

// noSuch says what there is.
func (m *compared) noSuch(form, word string) error {
	what := "tier, machine, image or file of snapshots"
	if form != "" {
		what = form
	}
	e := usagef("cannot compare: there is no %s %q", what, word)
	if m.def == nil {
		e.hint = "no env.yaml is here or above, so only files and keys of images can be compared; -f FILE names one"
		return e
	}
	var recipes []string
	for _, path := range sorted(m.def.Recipes) {
		recipes = append(recipes, m.def.Recipes[path].Name)
	}
	all := append(sorted(m.def.Tiers), recipes...)
	if near := nearest(word, all); near != "" {
		e.hint = "did you mean " + near + "?"
		return e
	}
	e.hint = fmt.Sprintf("tiers are %s, images %s; a machine is TIER/NAME, such as %s/web-1", listed(sorted(m.def.Tiers)), listed(recipes), sorted(m.def.Tiers)[0])
	return e
}
