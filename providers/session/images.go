// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// UseImages gives the core its images: missing locks are written now, since a plan without them does not know its machines, and told to wrote (may be nil) with
// their files; the definition is then loaded and planned anew by replan. Images are built when a machine needs one. A provider that boots no image gets none
// built.
func (u User) UseImages(ctx context.Context, s *Session, replan func() (*envs.Definition, *envs.Plan, error), wrote func(recipe, file string)) error {
	missing := s.MissingLocks()
	if len(s.Plugin.Formats) == 0 && len(missing) == 0 {
		return nil
	}
	store, err := u.Store(ctx)
	if err != nil {
		return err
	}
	for _, name := range missing {
		locked, err := store.WriteLock(ctx, s.Plan.Recipes[name], false, s.Progress)
		if err != nil {
			return err
		}
		if wrote != nil {
			wrote(name, locked.LockFile())
		}
	}
	if len(missing) > 0 {
		if s.Definition, s.Plan, err = replan(); err != nil {
			return err
		}
	}
	s.Image = func(ctx context.Context, recipe string, tell providers.Progress) (images.Image, error) {
		r, ok := s.Plan.Recipes[recipe]
		if !ok {
			return images.Image{}, fmt.Errorf("cannot build image: the plan has no recipe %s", recipe)
		}
		return store.Build(ctx, r, s.Plugin.Formats, tell)
	}
	return nil
}

// MissingLocks are the recipes of the plan that have no lock yet, sorted.
func (s *Session) MissingLocks() []string {
	missing := []string{}
	for _, m := range s.Plan.Machines {
		if s.Plugin.Traits.ReadOnly { // nothing is made there
			break
		}
		if m.ImageKey == "" && !slices.Contains(missing, m.Image) {
			missing = append(missing, m.Image)
		}
	}
	slices.Sort(missing)
	return missing
}
