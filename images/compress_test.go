// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/evenkeel/evenkeel/images"
)

func TestAStoredTreeComesOutAsItWentIn(t *testing.T) {
	dir := t.TempDir()
	plain, stored, again := filepath.Join(dir, "tree.tar"), filepath.Join(dir, "tree.tar.zst"), filepath.Join(dir, "again")
	data := bytes.Repeat([]byte("a root tree "), 1<<16)
	if err := os.WriteFile(plain, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(images.Compress(t.Context(), plain, stored), images.Expand(t.Context(), stored, again)); err != nil {
		t.Fatal(err)
	}
	wantContent(t, again, data)
	if info, err := os.Stat(stored); err != nil || info.Size() > int64(len(data)/10) {
		t.Errorf("got %v, %v; want it small", info.Size(), err)
	}
	if err := os.Truncate(stored, 100); err != nil {
		t.Fatal(err)
	}
	if err := images.Expand(t.Context(), stored, again); err == nil {
		t.Error("a stored tree that was cut came out without an error")
	}
}

func TestStoringATreeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	name := filepath.Join(t.TempDir(), "tree.tar")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := images.Compress(ctx, name, name+".zst"); !errors.Is(err, why) {
		t.Errorf("got %v; want %v", err, why)
	}
}
