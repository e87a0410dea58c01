// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers/libvirt"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// TestConformance runs against the libvirt this user would get: the system's as root or in group libvirt, else the session's.
func TestConformance(t *testing.T) {
	conformance.Require(t, "libvirt", reach(t))
	conformance.Run(t, harness(t, `{"subnet": "10.214.7.0/24"}`))
}

// TestConformanceCloudInit runs all of it once more with the seed laid by cloud-init, as on clouds: the outcome is the same.
func TestConformanceCloudInit(t *testing.T) {
	conformance.Require(t, "libvirt", reach(t))
	conformance.Run(t, harness(t, `{"subnet": "10.214.8.0/24", "seed": "cloud-init"}`))
}

func harness(t *testing.T, config string) conformance.Harness {
	return conformance.Harness{
		Plugin: libvirt.Plugin(),
		// A boot takes 15 s in emulation on an idle computer, and many times that on a busy one.
		Config:       json.RawMessage(config),
		Image:        conformance.SmallImage(t, libvirt.Plugin().Formats),
		BootDeadline: 5 * time.Minute,
		Leaks:        func() []string { return leaks(t) },
		BadConfig: []json.RawMessage{
			json.RawMessage(`{"uri": "qemu+ssh://elsewhere/system"}`),
			json.RawMessage(`{"uri": "xen:///system"}`),
			json.RawMessage(`{"uri": 7}`),
			json.RawMessage(`{"subnet": "10.213.0.0"}`),
			json.RawMessage(`{"subnet": "10.0.2.0/25"}`),
			json.RawMessage(`{"subnet": "8.8.8.0/24"}`),
			json.RawMessage(`{"pool": "a/b"}`),
			json.RawMessage(`{"seed": "floppy"}`),
			json.RawMessage(`{} {}`),
		},
	}
}

// reach says why the tests that boot machines cannot run, or nil.
func reach(t *testing.T) error {
	if os.Getenv("EVENKEEL_TEST_REAL") == "" {
		return errors.New("EVENKEEL_TEST_REAL is not set")
	}
	p, err := libvirt.Plugin().Open(t.Context(), nil, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	return p.Close()
}

// leaks lists what could stay behind, asking libvirt by its own tool: domains, networks, volumes; and QEMUs, sockets.
func leaks(t *testing.T) (list []string) {
	for what, args := range map[string][]string{
		"domain":  {"list", "--all", "--name"},
		"network": {"net-list", "--all", "--name"},
	} {
		for _, name := range strings.Fields(virsh(t, args...)) {
			if strings.HasPrefix(name, "evenkeel_conf") {
				list = append(list, what+" "+name)
			}
		}
	}
	// The folder itself, since the pool's list may be older.
	entries, err := os.ReadDir(poolDir(t))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, e := range entries {
		for _, prefix := range []string{"evenkeel_conf", "evenkeel-data_conf", "evenkeel-snapshot_conf"} {
			if strings.HasPrefix(e.Name(), prefix) {
				list = append(list, "file "+e.Name())
			}
		}
	}
	memories, err := filepath.Glob(filepath.Join(saveDir(t), "evenkeel_conf*"))
	if err != nil {
		t.Error(err)
	}
	list = append(list, memories...)
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Error(err)
	}
	for _, c := range commands {
		b, _ := os.ReadFile(c) // it may have ended since
		if line := string(b); strings.Contains(line, "qemu") && strings.Contains(line, "evenkeel_conf") {
			list = append(list, "process "+c)
		}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		sockets, err := filepath.Glob(filepath.Join(dir, "evenkeel", "*"))
		if err != nil {
			t.Error(err)
		}
		list = append(list, sockets...)
	}
	return list
}

// saveDir is where libvirt keeps the memory of suspended machines.
func saveDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return "/var/lib/libvirt/qemu/save"
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "libvirt", "qemu", "save")
}

func uri() string {
	if os.Geteuid() == 0 {
		return "qemu:///system"
	}
	return "qemu:///session"
}

func virsh(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("virsh", append([]string{"-q", "-c", uri()}, args...)...).Output()
	if err != nil {
		t.Errorf("virsh %v: %v", args, err)
	}
	return string(out)
}

func poolDir(t *testing.T) string {
	t.Helper()
	if !slices.Contains(strings.Fields(virsh(t, "pool-list", "--all", "--name")), "evenkeel") {
		return "" // nobody made a machine here yet
	}
	text := virsh(t, "pool-dumpxml", "evenkeel")
	_, rest, _ := strings.Cut(text, "<path>")
	dir, _, ok := strings.Cut(rest, "</path>")
	if !ok {
		t.Errorf("pool without a folder: %s", text)
	}
	return dir
}
