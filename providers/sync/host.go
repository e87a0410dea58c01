// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

var errTooMany = fmt.Errorf("there are more than %d files; leave some out with .gitignore", maxEntries)

// host is the project's side.
type host struct {
	dir   string
	root  *os.Root
	rules rules
	stage string // folder in dir for files that are not whole yet; one for each pair, so that what a killed sync left is known for what it is
}

func openHost(ctx context.Context, dir string) (*host, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &host{dir: dir, root: root, rules: rulesOf(ctx, dir)}, nil
}

// scan is what the folder holds now.
func (h *host) scan(ctx context.Context) (tree, skipped, error) {
	names, err := h.rules.list(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list %s: %w", h.dir, err)
	}
	t, skip := make(tree, len(names)), skipped{}
	real := map[string]bool{} // folders seen: true for one that is no link
	for _, p := range names {
		if !fit(p) || !parents(p, func(dir string) bool {
			is, seen := real[dir]
			if !seen {
				info, err := os.Lstat(filepath.Join(h.dir, dir))
				is = err == nil && info.IsDir()
				real[dir] = is
			}
			return is
		}) {
			continue
		}
		info, err := os.Lstat(filepath.Join(h.dir, p)) // an os.Root opens every folder above for each: 50,000 times that is seconds
		var e entry
		if err == nil {
			e, err = h.entryOf(p, info)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // git knows it, and it is deleted
		case errors.Is(err, errSpecial):
		case err != nil:
			skip[p] = err.Error()
		case e.Kind == link && !inside(p, e.Link):
			skip[p] = leavesFolder
		default:
			t[p] = e
		}
	}
	if len(t) == 0 && len(skip) == 0 {
		return t, skip, h.whyEmpty(ctx)
	}
	return t, skip, nil
}

// whyEmpty tells a folder that git ignores as a whole from one that holds nothing.
func (h *host) whyEmpty(ctx context.Context) error {
	if _, ok := h.rules.(gitRules); !ok {
		return nil
	}
	above := gitRules{filepath.Dir(h.dir)}
	is, err := above.ignored(ctx, []string{filepath.Base(h.dir)})
	if err == nil && is[filepath.Base(h.dir)] {
		return errors.New("git ignores the whole folder")
	}
	return nil // the folder above may lie outside of the repository
}

// errSpecial is no file and no link: a socket, a folder, a device.
var errSpecial = errors.New("neither a file nor a symbolic link")

// stat is the entry at p, through no symbolic link.
func (h *host) stat(p string) (entry, error) {
	if !parents(p, func(dir string) bool {
		info, err := h.root.Lstat(dir)
		return err == nil && info.IsDir()
	}) {
		return entry{}, fs.ErrNotExist
	}
	info, err := h.root.Lstat(p)
	if err != nil {
		return entry{}, err
	}
	return h.entryOf(p, info)
}

func (h *host) entryOf(p string, info fs.FileInfo) (entry, error) {
	switch {
	case info.Mode().IsRegular():
		return entry{Kind: file, Exec: info.Mode()&0o100 != 0, Size: info.Size(), Time: info.ModTime().UnixNano()}, nil
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := h.root.Readlink(p)
		return entry{Kind: link, Link: to}, err
	}
	return entry{}, errSpecial
}

// open opens the file at p where it is still e.
func (h *host) open(p string, e entry) (*os.File, error) {
	now, err := h.stat(p)
	if err != nil {
		return nil, err
	}
	if now != e {
		return nil, errChanged
	}
	return h.root.Open(p)
}

// errChanged: the file is not the one that was compared.
var errChanged = errors.New("it changed meanwhile")

// hash is the digest of the file at p, which must be e before and after.
func (h *host) hash(p string, e entry) (sum [32]byte, err error) {
	f, err := h.open(p, e)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return sum, err
	}
	if now, err := h.stat(p); err != nil || now != e {
		return sum, errChanged
	}
	return [32]byte(digest.Sum(nil)), nil
}

// same says whether p still is what a scan saw there; absent where there is false.
func (h *host) same(p string, was entry, there bool) bool {
	now, err := h.stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return !there
	}
	return err == nil && there && now == was
}

// remove deletes p where it still is e, and the folders that this empties.
func (h *host) remove(p string, e entry) error {
	if !h.same(p, e, true) {
		return errChanged
	}
	if err := h.root.Remove(p); err != nil {
		return err
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if h.root.Remove(dir) != nil {
			break // it holds something else
		}
	}
	return nil
}
