// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

// harness is the fake in a world of its own. What it leaves is every file of the world but images, and every process that names it.
func harness(t *testing.T) conformance.Harness {
	world := t.TempDir()
	config, err := json.Marshal(map[string]any{"world": world, "latency": map[string]string{"put_machine": "100ms", "save_snapshot": "300ms"}})
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

func TestFakeDirectly(t *testing.T) {
	t.Parallel()
	conformance.Run(t, harness(t))
}

func TestFakeThroughMemory(t *testing.T) {
	t.Parallel()
	h := harness(t)
	h.Plugin = plugin.InMemory(h.Plugin)
	conformance.Run(t, h)
}

func TestFakeAsAProcess(t *testing.T) {
	t.Parallel()
	binaries := t.TempDir()
	if !conformance.Child() {
		build(t, binaries)
	}
	h := harness(t)
	h.Plugin.Open = launch
	leaks := h.Leaks
	h.Leaks = func() []string { return append(leaks(), processes(t, binaries)...) }
	conformance.Run(t, h)
}

// pathVariable is where plugin.Launch looks; a child process inherits it.
const pathVariable = "EVENKEEL_PLUGIN_PATH"

func build(t *testing.T, dir string) {
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "env-provider-fake"), "../../cmd/env-provider-fake")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	before, was := os.LookupEnv(pathVariable)
	if err := os.Setenv(pathVariable, dir); err != nil { // t.Setenv forbids parallel tests; no other test here reads it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Setenv(pathVariable, before)
		if !was {
			_ = os.Unsetenv(pathVariable)
		}
	})
}

// launch opens the fake in a plugin process of its own, which ends with the provider.
func launch(ctx context.Context, config json.RawMessage, log hclog.Logger) (providers.Provider, error) {
	launched, err := plugin.Launch(ctx, "fake", nil, log)
	if err != nil {
		return nil, err
	}
	p, err := launched.Open(ctx, config, log)
	if err != nil {
		return nil, errors.Join(err, launched.Close())
	}
	return process{p, launched}, nil
}

type process struct {
	providers.Provider
	launched *plugin.Launched
}

func (p process) Unwrap() providers.Provider { return p.Provider }

func (p process) Close() error { return errors.Join(p.Provider.Close(), p.launched.Close()) }
