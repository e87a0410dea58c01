// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
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
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

const (
	maxManifest = 256 << 20 // bytes of a manifest that are read; that of a system with a desktop has 60 MB
	maxText     = 64 << 10  // bytes of one file that Texts holds
	maxTexts    = 32 << 20  // of all
)

// Manifest is what a stored image holds; the error is fs.ErrNotExist where the image is not in the store. The first call takes it out of the root tree, which
// takes a second or two, and leaves a copy beside the tree for later ones.
func (s *Store) Manifest(ctx context.Context, key string) (*Manifest, error) {
	m, _, err := s.inside(ctx, key)
	return m, err
}

// Texts are the texts of an image's files below /etc, by path: those of at most 64 KiB, all of them as long as they come to no more than 32 MiB. Errors and
// copies are as of Manifest.
func (s *Store) Texts(ctx context.Context, key string) (map[string]string, error) {
	_, texts, err := s.inside(ctx, key)
	return texts, err
}

// inside reads the copies, or the root tree where one of them is missing or broken.
func (s *Store) inside(ctx context.Context, key string) (*Manifest, map[string]string, error) {
	img, found, err := s.Find(key)
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look into image %.12s: %w", key, err)
	}
	manifestCopy, textsCopy := filepath.Join(s.imageDir(key), "manifest.json"), filepath.Join(s.imageDir(key), "etc.json")
	var texts map[string]string
	data, err := os.ReadFile(manifestCopy)
	if err == nil {
		if m, err := parseManifest(data, key); err == nil && readJSON(textsCopy, &texts) == nil {
			return m, texts, nil
		}
	}
	data, texts, err = unpackInside(ctx, img.Artefacts[Tar].Path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look into image %.12s: %w", key, err)
	}
	m, err := parseManifest(data, key)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the manifest of image %.12s: %w", key, err)
	}
	// Without the copies the next call is slow, no more.
	if text, err := json.Marshal(texts); err == nil {
		_ = writeAtomic(textsCopy, text, 0o644)
		_ = writeAtomic(manifestCopy, data, 0o644)
	}
	return m, texts, nil
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
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

// unpackInside takes the manifest and the texts out of a root tree.
func unpackInside(ctx context.Context, tree string) (manifest []byte, texts map[string]string, err error) {
	f, err := os.Open(tree)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	var r io.Reader = contextReader{ctx, f}
	if strings.HasSuffix(tree, ".zst") {
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		defer z.Close()
		r = z
	}
	texts = map[string]string{}
	room := maxTexts
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		switch {
		case name == manifestPath && h.Size > maxManifest:
			return nil, nil, fmt.Errorf("its manifest has %d bytes; at most %d are read", h.Size, maxManifest)
		case name == manifestPath:
			if manifest, err = io.ReadAll(in); err != nil {
				return nil, nil, err
			}
		case strings.HasPrefix(name, "etc/") && h.Typeflag == tar.TypeReg && h.Size <= maxText && int(h.Size) <= room:
			text, err := io.ReadAll(in)
			if err != nil {
				return nil, nil, err
			}
			if utf8.Valid(text) && !bytes.ContainsRune(text, 0) {
				texts["/"+name] = string(text)
				room -= len(text)
			}
		}
	}
	if manifest == nil {
		return nil, nil, fmt.Errorf("%s has no %s", filepath.Base(tree), manifestPath)
	}
	return manifest, texts, nil
}
