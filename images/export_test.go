// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"io"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// FetchFile brings one file into the store and returns where it is.
func (s *Store) FetchFile(ctx context.Context, name, sha256 string, size int64, p progress.Func, from ...string) (string, error) {
	err := s.fetch(ctx, []blob{{name: name, sha256: sha256, size: size, from: from}}, "test", p)
	return s.packagePath(sha256), err
}

// FetchPackages brings all packages of r's lock into the store.
func (s *Store) FetchPackages(ctx context.Context, r *Recipe) error {
	return s.fetch(ctx, s.blobs(r), r.Name, nil)
}

// FinishTree is the last step of a build.
func FinishTree(r io.Reader, w io.Writer, m *Manifest) (string, error) { return finishTree(r, w, m) }

// LateTar writes the tar of what r lays after its packages; fetched is where a file of that hash lies.
func LateTar(r *Recipe, name string, fetched func(sha256 string) string) error {
	return writeTar(name, r.spec.late(fetched), time.Time{})
}

// Lines is what a foreign program's output comes to, line by line.
func Lines(output string) []string {
	var all []string
	w := &lineWriter{each: func(line string) { all = append(all, line) }}
	_, _ = w.Write([]byte(output)) // never fails
	w.flush()
	return all
}

// ReadGiven reads a tree that was built elsewhere.
func ReadGiven(ctx context.Context, name string, w io.Writer) (release string, packages []ManifestPackage, err error) {
	tree, err := readGiven(ctx, name, w, time.Unix(1_700_000_000, 0))
	return tree.release, tree.packages, err
}

// AptSources is the sources.list that r is resolved with, in the folder dir.
func AptSources(r *Recipe, dir string) (string, error) {
	archives := r.spec.archives()
	err := layKeys(dir, archives)
	return aptSources(archives), err
}

// Compress and Expand are how a tree goes into the store and comes out again.
func Compress(ctx context.Context, from, to string) error { return compress(ctx, from, to) }

func Expand(ctx context.Context, from, to string) error { return expand(ctx, from, to) }

// WantsOf is the digest a lock of r must bear.
func WantsOf(r *Recipe) string { return r.spec.wants() }

// ProxyRules and ParseURILine read what apt prints.
func ProxyRules(config string) map[string]string { return proxyRules(config) }

func ParseURILine(line string) (url, file, sha256 string, size int64, err error) {
	p, err := parseURILine(line)
	return p.url, p.file, p.sha256, p.size, err
}

// EachStanza reads a package index.
func EachStanza(r io.Reader, f func([]byte) error) error { return eachStanza(r, f) }

// BuildOnDisk makes the tree on the disk, as where memory is scarce.
func BuildOnDisk(s *Store) { s.noMemory = true }
