// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/images"
)

// stored puts an image with this manifest into a new store by hand.
func stored(t *testing.T, key, manifest string) *images.Store {
	t.Helper()
	s, err := images.OpenStore(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var tree bytes.Buffer
	z, err := zstd.NewWriter(&tree)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"./etc/motd": "hello", "./usr/share/evenkeel/manifest.json": manifest} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.Dir(), "images", key)
	record, err := json.Marshal(images.Image{Key: key, Artefacts: map[images.Format]images.Artefact{images.Tar: {Path: "tree.tar.zst", Size: int64(tree.Len())}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "tree.tar.zst"), tree.Bytes(), 0o600), os.WriteFile(filepath.Join(dir, "image.json"), record, 0o600)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheManifestOfAStoredImage(t *testing.T) {
	key := strings.Repeat("a", 64)
	s := stored(t, key, `{"format":1,"recipe":"web","key":"`+key+`","packages":[{"name":"nginx","version":"1.22.1-9","arch":"amd64"}]}`)
	for _, from := range []string{"the tree", "its copy"} {
		m, err := s.Manifest(t.Context(), key)
		if err != nil || m.Recipe != "web" || len(m.Packages) != 1 {
			t.Fatalf("from %s: got %+v, %v", from, m, err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir(), "images", key, "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(t.Context(), key); err != nil {
		t.Errorf("a broken copy: got %v; want it made anew", err)
	}
	if _, err := s.Manifest(t.Context(), strings.Repeat("b", 64)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown image: got %v", err)
	}
}

func TestAManifestOfAnotherImageIsRefused(t *testing.T) {
	key := strings.Repeat("a", 64)
	s := stored(t, key, `{"format":1,"key":"`+strings.Repeat("c", 64)+`"}`)
	if _, err := s.Manifest(t.Context(), key); err == nil || !strings.Contains(err.Error(), "it is of image cccccccccccc") {
		t.Errorf("got %v", err)
	}
}
