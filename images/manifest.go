// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxManifest is the most of a manifest that is read, in bytes; that of a system with a desktop has 60 MB.
const maxManifest = 256 << 20

// Manifest is what a stored image holds; the error is fs.ErrNotExist where the image is not in the store. The first call takes it out of the root tree, which
// takes a second or two, and leaves a copy beside the tree for later ones.
func (s *Store) Manifest(ctx context.Context, key string) (*Manifest, error) {
	img, found, err := s.Find(key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("cannot read the manifest of image %.12s: %w", key, fs.ErrNotExist)
	}
	copied := filepath.Join(s.imageDir(key), "manifest.json")
	if data, err := os.ReadFile(copied); err == nil {
		if m, err := parseManifest(data, key); err == nil {
			return m, nil
		}
	}
	data, err := manifestOf(ctx, img.Artefacts[Tar].Path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest of image %.12s: %w", key, err)
	}
	m, err := parseManifest(data, key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest of image %.12s: %w", key, err)
	}
	// Without the copy the next call is slow, no more.
	_ = writeAtomic(copied, data, 0o644)
	return m, nil
}

// parseManifest refuses a manifest that is not this image's.
func parseManifest(data []byte, key string) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.Format != 1 || m.Key != key {
		return nil, fmt.Errorf("it is of image %.12s, in format %d", m.Key, m.Format)
	}
	return &m, nil
}

// manifestOf takes the manifest out of a root tree, where it stands last.
func manifestOf(ctx context.Context, tree string) ([]byte, error) {
	f, err := os.Open(tree)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = contextReader{ctx, f}
	if strings.HasSuffix(tree, ".zst") {
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s has no %s", filepath.Base(tree), manifestPath)
		}
		if err != nil {
			return nil, err
		}
		if strings.Trim(path.Clean("/"+h.Name), "/") != manifestPath {
			continue
		}
		if h.Size > maxManifest {
			return nil, fmt.Errorf("it has %d bytes; at most %d are read", h.Size, maxManifest)
		}
		return io.ReadAll(in)
	}
}
