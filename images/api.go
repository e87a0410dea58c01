// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/progress"
)

var errTODO = errors.New("not written yet")

// Recipe is a loaded recipe with its lock, if there is one. The contents of the files it names are part of it by digest.
type Recipe struct {
	File string // absolute path: /p/images/web.yaml
	Name string // web
	Lock *Lock  // nil: no lock file yet
}

// LoadRecipe reads a recipe, the lock beside it and all it names. root is the project folder: no source may lie outside it.
func LoadRecipe(file, root string) (*Recipe, problem.List, error) { return nil, nil, errTODO }

// Key is the image key of recipe and lock, 64 hex digits; "" where there is no lock. It needs no build.
func (r *Recipe) Key() string { return "" }

// Lock is the exact set of packages a recipe comes to.
type Lock struct{}

// Store holds images, packages and build stages under one folder (XDG cache). Safe for several processes at once.
type Store struct{}

// OpenStore opens or makes a store.
func OpenStore(dir string) (*Store, error) { return nil, errTODO }

// WriteLock resolves r against the archives (signatures verified) and writes r.File's lock beside it, atomically. With update false
// an existing lock that still fits the recipe is kept. It returns the recipe loaded anew.
func (s *Store) WriteLock(ctx context.Context, r *Recipe, update bool, p progress.Func) (*Recipe, error) {
	return nil, errTODO
}

// Build returns the image of r with the artefacts named, building what is missing. Two builds at once make one.
func (s *Store) Build(ctx context.Context, r *Recipe, formats []Format, p progress.Func) (Image, error) {
	return Image{}, errTODO
}

// Find returns an image already in the store.
func (s *Store) Find(key string) (Image, bool, error) { return Image{}, false, errTODO }
