// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// PackageChange is a package that two locks have in different versions; "" where one has none.
type PackageChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Changes are what newer has different from l, by name. Nil stands for a lock of nothing.
func (l *Lock) Changes(newer *Lock) []PackageChange {
	was, is := l.versions(), newer.versions()
	list := []PackageChange{}
	for name, version := range is {
		if was[name] != version {
			list = append(list, PackageChange{name, was[name].shown, version.shown})
		}
	}
	for name, version := range was {
		if _, ok := is[name]; !ok {
			list = append(list, PackageChange{Name: name, From: version.shown})
		}
	}
	slices.SortFunc(list, func(a, b PackageChange) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// locked is a package as it counts for Changes: the same version with other content is another.
type locked struct{ shown, sha256 string }

func (l *Lock) versions() map[string]locked {
	m := map[string]locked{}
	if l == nil {
		return m
	}
	for _, p := range l.Packages {
		m[p.Name] = locked{p.Version, p.SHA256}
	}
	return m
}

// NewLock is the lock that r would get from the archives as they are today. It writes nothing beside r.
func (s *Store) NewLock(ctx context.Context, r *Recipe, p progress.Func) (*Lock, error) {
	lock, err := s.resolve(ctx, r, p)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", r.Name, err)
	}
	return lock, nil
}

// SaveLock writes lock beside r, in one step, and returns r loaded anew, with it.
func (s *Store) SaveLock(r *Recipe, lock *Lock) (*Recipe, error) {
	if err := writeAtomic(r.LockFile(), lock.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("cannot write the lock of %s: %w", r.Name, err)
	}
	again, problems, err := LoadRecipe(r.File, r.root)
	if err != nil {
		return nil, err
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return again, nil
}
