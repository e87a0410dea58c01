// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/images"
)

const givenStatus = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-2\n\n" +
	"Package: old\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n" +
	"Package: apt\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2.6.1\n"

// givenEntries are a small tree built elsewhere.
func givenEntries(more ...tar.Header) []tar.Header {
	return append([]tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "dev/", Mode: 0o755},
		{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeSymlink, Name: "etc/os-release", Linkname: "../usr/lib/os-release"},
		regular("etc/ssh/ssh_host_ed25519_key", "secret", 0o600, lockTime),
		regular("usr/lib/os-release", "PRETTY_NAME=x\nID=debian\nVERSION_ID=\"12\"\n", 0o644, lockTime),
		regular("var/lib/dpkg/status", givenStatus, 0o644, lockTime),
	}, more...)
}

func given(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tree")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAGivenTreeIsReadInEveryForm(t *testing.T) {
	plain := treeOf(t, givenEntries()...)
	forms := map[string][]byte{"tar": plain}
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	forms["gz"], forms["zst"] = gz.Bytes(), zst.Bytes()
	xz := exec.Command("xz", "-c")
	xz.Stdin = bytes.NewReader(plain)
	if forms["xz"], err = xz.Output(); err != nil {
		t.Fatal(err)
	}
	for form, data := range forms {
		var out bytes.Buffer
		release, packages, err := images.ReadGiven(t.Context(), given(t, data), &out)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		want := []images.ManifestPackage{{Name: "apt", Version: "2.6.1", Arch: "amd64"}, {Name: "bash", Version: "5.2-2", Arch: "amd64"}}
		if release != "debian:12" || !slices.Equal(packages, want) {
			t.Errorf("%s: got %s with %v; want debian:12 with %v", form, release, packages, want)
		}
		for in := tar.NewReader(&out); ; {
			h, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(h.Name, "ssh_host") || strings.HasPrefix(h.Name, "./dev/n") {
				t.Errorf("%s: %s was copied, which belongs to one machine", form, h.Name)
			}
		}
	}
}

func TestAGivenTreeThatReachesOutOrIsNoneIsRefused(t *testing.T) {
	whole := treeOf(t, givenEntries()...)
	cases := map[string]struct {
		data []byte
		want string
	}{
		"a device":           {treeOf(t, givenEntries(tar.Header{Typeflag: tar.TypeBlock, Name: "srv/disk", Devmajor: 254})...), "/srv/disk is a device"},
		"a hidden device":    {treeOf(t, givenEntries(tar.Header{Typeflag: tar.TypeBlock, Name: "dev/../srv/disk", Devmajor: 254})...), "/srv/disk is a device"},
		"a link for /proc":   {treeOf(t, givenEntries(tar.Header{Typeflag: tar.TypeSymlink, Name: "./proc", Linkname: "/etc"})...), "/proc is no folder"},
		"no system":          {treeOf(t, regular("etc/motd", "x", 0o644, lockTime)), "no /var/lib/dpkg/status"},
		"another processor":  {treeOf(t, regular("var/lib/dpkg/status", "Package: x\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n", 0o644, lockTime)), `is for "arm64"`},
		"half installed":     {treeOf(t, regular("var/lib/dpkg/status", "Package: x\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n", 0o644, lockTime)), "half-configured"},
		"a bad name":         {treeOf(t, regular("var/lib/dpkg/status", "Package: ../x\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n", 0o644, lockTime)), "no name and version"},
		"a qcow2":            {[]byte("QFI\xfb\x00\x00\x00\x03"), "disk image (qcow2); allowed is a root tree"},
		"nothing":            {nil, "less than 6 bytes"},
		"half a tar":         {whole[:len(whole)-1400], "unexpected EOF"},
		"a truncated zstd":   {[]byte("\x28\xb5\x2f\xfd\x04" + "\x00"), "EOF"},
		"what is no archive": {bytes.Repeat([]byte("x"), 4096), "it is no tar; allowed is a root tree"},
	}
	for what, c := range cases {
		_, _, err := images.ReadGiven(t.Context(), given(t, c.data), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", what, err, c.want)
		}
	}
}

func FuzzReadGiven(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("\xfd7zXZ")) {
			t.Skip("a program's to read")
		}
		name := filepath.Join(dir, "tree")
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, packages, err := images.ReadGiven(t.Context(), name, io.Discard)
		if err != nil && len(packages) > 0 {
			t.Errorf("got %d packages beside %v", len(packages), err)
		}
	})
}
