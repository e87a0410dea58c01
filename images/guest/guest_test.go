// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"bytes"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/images/guest"
)

func TestFilesAreCleanSortedAndUnique(t *testing.T) {
	files := guest.Files()
	seen := map[string]bool{}
	for i, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			t.Errorf("%q is no clean absolute path", f.Path)
		}
		if seen[f.Path] {
			t.Errorf("%s is listed twice", f.Path)
		}
		seen[f.Path] = true
		if i > 0 && files[i-1].Path > f.Path {
			t.Errorf("%s stands after %s", f.Path, files[i-1].Path)
		}
		if isLink := f.Mode&fs.ModeSymlink != 0; isLink != (f.Link != "") {
			t.Errorf("%s: mode %v with link %q", f.Path, f.Mode, f.Link)
		}
	}
}

func TestModesFollowWhatAFileIs(t *testing.T) {
	want := map[string]fs.FileMode{
		"/usr/lib/evenkeel/seed":                              0o755,
		"/etc/systemd/system-generators/cloud-init-generator": 0o755,
		"/etc/initramfs-tools/hooks/evenkeel":                 0o755,
		"/etc/sudoers.d/evenkeel":                             0o440,
		"/etc/systemd/system/evenkeel-seed.service":           0o644,
		"/etc/evenkeel/authorized_keys":                       fs.ModeDir | 0o755,
		"/etc/resolv.conf":                                    fs.ModeSymlink | 0o777,
	}
	for _, f := range guest.Files() {
		if mode, ok := want[f.Path]; ok && f.Mode != mode {
			t.Errorf("%s: got mode %v, want %v", f.Path, f.Mode, mode)
		}
		delete(want, f.Path)
	}
	for p := range want {
		t.Errorf("%s is not among the files", p)
	}
}

func TestScriptsAreValidForASmallShell(t *testing.T) {
	sh, err := exec.LookPath("dash")
	if err != nil {
		sh = "/bin/sh"
	}
	for _, f := range guest.Files() {
		if !bytes.HasPrefix(f.Data, []byte("#!/bin/sh\n")) {
			continue
		}
		cmd := exec.Command(sh, "-n")
		cmd.Stdin = bytes.NewReader(f.Data)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f.Path, err, out)
		}
	}
}

func TestEveryUnitOfOursIsEnabled(t *testing.T) {
	enable, mask := guest.Services()
	for _, f := range guest.Files() {
		dir, name := path.Split(f.Path)
		byTimer := slices.Contains(enable, strings.TrimSuffix(name, ".service")+".timer")
		if dir == "/etc/systemd/system/" && !slices.Contains(enable, name) && !byTimer {
			t.Errorf("%s is not enabled", name)
		}
	}
	for _, unit := range enable {
		if slices.Contains(mask, unit) {
			t.Errorf("%s is enabled and masked", unit)
		}
	}
}

func TestTheBootLoaderUsesTheOneCommandLine(t *testing.T) {
	for _, f := range guest.Files() {
		if bytes.Contains(f.Data, []byte("@KERNEL_ARGS@")) {
			t.Errorf("%s still holds the placeholder", f.Path)
		}
		if f.Path == "/boot/grub/grub.cfg" && !bytes.Contains(f.Data, []byte("vmlinuz "+guest.KernelArgs+"\n")) {
			t.Errorf("%s does not hold the kernel command line:\n%s", f.Path, f.Data)
		}
	}
}

func TestPackagesByRelease(t *testing.T) {
	for release, kernel := range map[string]string{"debian:12": "linux-image-amd64", "debian:13": "linux-image-amd64", "ubuntu:24.04": "linux-image-generic"} {
		got := guest.Packages(release)
		if !slices.Contains(got, kernel) || !slices.IsSorted(got) {
			t.Errorf("%s: got %s, want it sorted and with %s", release, strings.Join(got, " "), kernel)
		}
	}
	if slices.Contains(guest.Packages("ubuntu:22.04"), "systemd-resolved") {
		t.Error("ubuntu:22.04 has no package systemd-resolved")
	}
}

func TestDigestIsStableAndTellsReleasesApart(t *testing.T) {
	if a, b := guest.Digest("debian:12"), guest.Digest("debian:12"); a != b || len(a) != 64 {
		t.Errorf("got %q and %q, want one digest of 64 digits", a, b)
	}
	if guest.Digest("debian:12") == guest.Digest("ubuntu:24.04") {
		t.Error("two releases have one digest")
	}
}
