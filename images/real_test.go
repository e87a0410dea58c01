// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
)

// Real builds need an archive, mmdebstrap and minutes. `make test-all` asks for them.
func realStore(t *testing.T) *images.Store {
	t.Helper()
	if os.Getenv("EVENKEEL_TEST_BUILD") == "" {
		t.Skip("set EVENKEEL_TEST_BUILD=1 to build real images")
	}
	dir := os.Getenv("EVENKEEL_TEST_STORE") // keeps packages and stages from one run to the next
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := images.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stages logs each new stage with the time since the start.
func stages(t *testing.T) progress.Func {
	start, last := time.Now(), ""
	return func(e progress.Event) {
		if e.Stage != last {
			last = e.Stage
			t.Logf("%5.1fs %s %s", time.Since(start).Seconds(), e.Stage, e.Detail)
		}
	}
}

func writeProject(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, dir, name string) *images.Recipe {
	t.Helper()
	r, problems, err := images.LoadRecipe(filepath.Join(dir, name), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

func locked(ctx context.Context, t *testing.T, s *images.Store, r *images.Recipe) *images.Recipe {
	t.Helper()
	r, err := s.WriteLock(ctx, r, false, stages(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRealBuildOfARecipe(t *testing.T) {
	s := realStore(t)
	dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\npackages: [nginx]\nservices: {nginx: enabled}\n"})
	r := locked(t.Context(), t, s, load(t, dir, "images/web.yaml"))
	img, err := s.Build(t.Context(), r, []images.Format{images.Tar, images.QCOW2, images.Kernel, images.Initrd}, stages(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", img)
}

// TestRealExample builds what `make demo` runs.
func TestRealExample(t *testing.T) {
	s := realStore(t)
	for _, name := range []string{"web", "db"} {
		r := locked(t.Context(), t, s, load(t, "../envs/examples/shop", "images/"+name+".yaml"))
		img, err := s.Build(t.Context(), r, []images.Format{images.Tar}, stages(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", img)
	}
}
