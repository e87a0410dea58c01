// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"io"

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
