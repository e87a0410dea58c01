// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"path"
	"path/filepath"
	"strings"
	"time"
)

// kind is what an entry of a tree is.
type kind byte

const (
	file kind = 'f'
	link kind = 'l'
)

// entry is one file or symbolic link, as a scan of one side saw it.
type entry struct {
	Kind kind
	Exec bool   // a file's
	Size int64  // a file's
	Link string // a link's target
	Time int64  // a file's modification time, nanoseconds since 1970
	// Foreign: on the machine, it belongs to another user than the one that syncs.
	Foreign bool
}

// tree is one side's entries by path: slashes, relative, clean.
type tree map[string]entry

// skipped are paths that a side holds but that are not compared, and why. One that ends with a slash stands for all below it.
type skipped map[string]string

func (s skipped) has(p string) bool {
	if _, ok := s[p]; ok {
		return true
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, ok := s[dir+"/"]; ok {
			return true
		}
	}
	return false
}

const (
	// maxEntries bounds a tree: ten times what the project calls big.
	maxEntries = 500_000
	// maxPath is PATH_MAX of Linux.
	maxPath = 4096

	// ours begins the names of what this package itself lays into a folder. On the machine .evenkeel-sync names the baseline that the folder belongs to.
	ours = ".evenkeel-"
)

// fit says whether p is a path that may be synced: it stays in its folder and is nobody's private business.
func fit(p string) bool {
	if p == "" || len(p) > maxPath || path.Clean(p) != p || !filepath.IsLocal(p) || strings.ContainsRune(p, 0) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if len(part) > 255 || strings.EqualFold(part, ".git") || strings.HasPrefix(part, ours) {
			return false
		}
	}
	return true
}

// inside says whether the symbolic link at p leads to a place within its folder.
func inside(p, target string) bool {
	if target == "" || len(target) > maxPath || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return false
	}
	to := path.Join(path.Dir(p), target)
	if to != "." && !filepath.IsLocal(to) {
		return false
	}
	return to == "." || fit(to)
}

// leavesFolder is why a link is skipped.
const leavesFolder = "a symbolic link that leads out of the folder"

// parents calls f for each folder above p, the outermost first, until f returns false.
func parents(p string, f func(dir string) bool) bool {
	for i, r := range p {
		if r == '/' && !f(p[:i]) {
			return false
		}
	}
	return true
}

// folders are all that hold an entry of t.
func (t tree) folders() map[string]bool {
	all := map[string]bool{}
	for p := range t {
		for dir := path.Dir(p); dir != "." && !all[dir]; dir = path.Dir(dir) {
			all[dir] = true
		}
	}
	return all
}

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }
