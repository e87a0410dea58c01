// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

// harness is the fake in a world of its own. What it leaves is every file of the world but images, and every process that names it.
func harness(t *testing.T) conformance.Harness {
	world := t.TempDir()
	config, err := json.Marshal(map[string]any{"world": world, "latency": map[string]string{"put_machine": "100ms"}})
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Harness{
		Plugin:       fake.Plugin,
		Config:       config,
		Image:        images.Image{Key: strings.Repeat("ab", 32), Digest: strings.Repeat("cd", 32), Recipe: "web", DiskSize: 2 << 30},
		BootDeadline: 30 * time.Second,
		Leaks:        func() []string { return append(files(t, world), processes(t, world)...) },
		BadConfig: []json.RawMessage{
			json.RawMessage(`{}`),
			json.RawMessage(`{"world": "relative"}`),
			json.RawMessage(`{"world": 7}`),
			json.RawMessage(`{"world": "/x", "latency": {"put_machin": "1s"}}`),
			json.RawMessage(`{"world": "/x", "latency": {"put_machine": "soon"}}`),
			json.RawMessage(`{"world": "/x", "fail": {"check": {"code": "tired"}}}`),
			json.RawMessage(`{"world": "/x"} {}`),
		},
	}
}

func files(t *testing.T, world string) (list []string) {
	err := filepath.WalkDir(filepath.Join(world, "envs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != filepath.Join(world, "envs") {
			list = append(list, path)
		}
		return nil // what vanishes meanwhile is no leak
	})
	if err != nil {
		t.Error(err)
	}
	return list
}

func processes(t *testing.T, world string) (list []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Error(err)
	}
	for _, file := range lines {
		b, _ := os.ReadFile(file) // it may have ended since
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, world) {
			list = append(list, fmt.Sprintf("%s: %s", filepath.Dir(file), line))
		}
	}
	return list
}

func TestFakeDirectly(t *testing.T) { conformance.Run(t, harness(t)) }
