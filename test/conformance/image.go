// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
)

// imageVariable hands the key of the image to the process that the suite kills.
const imageVariable = "EVENKEEL_TEST_IMAGE"

// SmallImage builds the smallest image there is, with the artefacts that are asked for.
func SmallImage(t *testing.T, formats []images.Format) images.Image {
	t.Helper()
	img := BuildImage(t, "from: debian:12\n", formats)
	t.Setenv(imageVariable, img.Key)
	return img
}

// BuildImage builds the image of a recipe in the user's own store: the next run finds it there.
func BuildImage(t *testing.T, text string, formats []images.Format) images.Image {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	store, err := images.OpenStore(t.Context(), filepath.Join(dir, "evenkeel"))
	if err != nil {
		t.Fatal(err)
	}
	if key := os.Getenv(imageVariable); key != "" {
		img, ok, err := store.Find(key)
		if err != nil || !ok {
			t.Fatalf("image %s: found %v, %v", key, ok, err)
		}
		return img
	}
	project := t.TempDir()
	file := filepath.Join(project, "base.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	recipe, problems, err := images.LoadRecipe(file, project)
	if err := errors.Join(err, problems.Err()); err != nil {
		t.Fatal(err)
	}
	if recipe, err = store.WriteLock(t.Context(), recipe, false, nil); err != nil {
		t.Fatal(err)
	}
	last := ""
	img, err := store.Build(t.Context(), recipe, formats, func(e progress.Event) {
		if e.Stage != last {
			last = e.Stage
			t.Logf("image: %s", e.Stage)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}
