// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
)

// store opens the image store of this user.
func (a *App) store(ctx context.Context) (*images.Store, error) { return a.user().Store(ctx) }

// withImages gives the core of p its images. What was written is told.
func (c *call) withImages(ctx context.Context, p *place, locked bool, d display) error {
	replan := func() (*envs.Definition, *envs.Plan, error) { return c.plan(locked) }
	return c.user().UseImages(ctx, p.Session, replan, func(recipe, file string) {
		d.note(fmt.Sprintf("wrote %s: every package of %s with its digest; commit it", c.shown(file), recipe))
	})
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
