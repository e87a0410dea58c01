// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Pruned is what Prune removed, or would.
type Pruned struct {
	Images []Stored `json:"images"`
	Files  int      `json:"files"` // packages, build stages, and what dead builds left of an image
	Bytes  int64    `json:"bytes"` // freed, of images and files together
}

// inUse is how long a package or stage stays after a build took it up: longer than builds last, since they hold no lock on it.
const inUse = time.Hour

// Prune removes images built before the given time whose keys are not in keep, and packages and build stages that no build used since
// then, an hour ago at least. What a running build holds stays. With dryRun nothing is removed. After cancel the store is whole and a part of the work is done.
func (s *Store) Prune(ctx context.Context, before time.Time, keep []string, dryRun bool) (Pruned, error) {
	var out Pruned
	all, err := s.List()
	if err != nil {
		return out, err
	}
	for _, img := range all {
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		if !img.Built.Before(before) || slices.Contains(keep, img.Key) {
			continue
		}
		removed := true
		if !dryRun {
			if removed, err = s.remove(ctx, "image-"+img.Key, s.imageDir(img.Key)); err != nil {
				return out, fmt.Errorf("cannot remove the image %.12s: %w", img.Key, err)
			}
		}
		if removed {
			out.Images, out.Bytes = append(out.Images, img), out.Bytes+img.Bytes
		}
	}
	for _, folder := range []struct {
		name, lock string
		wanted     func(fs.DirEntry) bool
	}{
		{"stages", "stage-", isFile},
		{"packages", "package-", isFile},
		{"images", "image-", s.hasNoRecord}, // a build died while it moved files there
	} {
		if err := s.pruneFolder(ctx, folder.name, folder.lock, folder.wanted, before, dryRun, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func isFile(e fs.DirEntry) bool { return e.Type().IsRegular() }

func (s *Store) hasNoRecord(e fs.DirEntry) bool {
	_, err := os.Lstat(s.imageFile(e.Name()))
	return errors.Is(err, fs.ErrNotExist)
}

// pruneFolder removes from a folder what of the wanted was last used before the given time: use sets a file's modification time.
func (s *Store) pruneFolder(ctx context.Context, folder, lock string, wanted func(fs.DirEntry) bool, before time.Time, dryRun bool, out *Pruned) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := e.Info()
		if err != nil || !wanted(e) || !info.ModTime().Before(before) || time.Since(info.ModTime()) < inUse {
			continue
		}
		name := filepath.Join(s.dir, folder, e.Name())
		removed, size := true, diskUsage(name)
		if !dryRun {
			what, _, _ := strings.Cut(e.Name(), ".")
			if removed, err = s.remove(ctx, lock+what, name); err != nil {
				return fmt.Errorf("cannot remove %s: %w", name, err)
			}
		}
		if removed {
			out.Files, out.Bytes = out.Files+1, out.Bytes+size
		}
	}
	return nil
}

// remove takes name away as a whole, unless its lock is held.
func (s *Store) remove(ctx context.Context, lock, name string) (bool, error) {
	l, err := tryLock(filepath.Join(s.dir, "locks", lock))
	if l == nil || err != nil {
		return false, err
	}
	defer l.unlock()
	defer os.Remove(l.f.Name())
	tmp, done, err := s.tempDir(ctx, "prune")
	if err != nil {
		return false, err
	}
	defer done()
	err = os.Rename(name, filepath.Join(tmp, filepath.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// used tells Prune that a file was of use just now. A failure only makes it look older.
func used(name string) {
	now := time.Now()
	_ = os.Chtimes(name, now, now)
}
