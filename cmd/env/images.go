// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// store opens the image store of this user.
func (a *App) store(ctx context.Context) (*images.Store, error) {
	dir, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	return images.OpenStore(ctx, dir)
}

// withImages gives the core of p its images: missing locks are written now, since a plan without them does not know its machines; images are built
// when a machine needs one. A provider that boots no image gets none built.
func (c *call) withImages(ctx context.Context, p *place, locked bool, d display) error {
	if len(p.Plugin.Formats) == 0 && len(p.missingLocks()) == 0 {
		return nil
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	wrote, err := c.writeLocks(ctx, store, p, d)
	if err != nil {
		return err
	}
	if wrote {
		if p.def, err = c.definition(); err != nil {
			return err
		}
		if p.Plan, err = c.planOf(p.def, locked); err != nil {
			return err
		}
	}
	p.Image = func(ctx context.Context, recipe string, tell providers.Progress) (images.Image, error) {
		r, ok := p.Plan.Recipes[recipe]
		if !ok {
			return images.Image{}, fmt.Errorf("cannot build image: the plan has no recipe %s", recipe)
		}
		return store.Build(ctx, r, p.Plugin.Formats, tell)
	}
	return nil
}

// writeLocks writes the locks that the plan's recipes lack.
func (c *call) writeLocks(ctx context.Context, store *images.Store, p *place, d display) (bool, error) {
	missing := p.missingLocks()
	for _, name := range missing {
		r := p.Plan.Recipes[name]
		locked, err := store.WriteLock(ctx, r, false, p.Progress)
		if err != nil {
			return false, err
		}
		d.note(fmt.Sprintf("wrote %s: every package of %s with its digest; commit it", c.shown(locked.LockFile()), name))
	}
	return len(missing) > 0, nil
}

// recipes are those that words name, all of the definition's where there are none. A word is a path as the definition has it, or a recipe's name.
func recipes(def *envs.Definition, words []string) ([]string, error) {
	all := sorted(def.Recipes)
	if len(words) == 0 {
		return all, nil
	}
	var picked []string
	for _, w := range words {
		found := false
		for _, path := range all {
			if path == w || filepath.Clean(path) == filepath.Clean(w) || def.Recipes[path].Name == w {
				picked, found = append(picked, path), true
			}
		}
		if !found {
			return nil, usagef("the definition has no recipe %q; it has %s", w, listed(all))
		}
	}
	return picked, nil
}
