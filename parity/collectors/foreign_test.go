// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// busyboxTree is a system whose programs are all busybox's, as Alpine's are, with these files; it has no /proc.
func busyboxTree(t *testing.T, archive string) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("not root")
	}
	conformance.Require(t, "busybox", err)
	dir := t.TempDir()
	files := append(txtar.Parse([]byte(archive)).Files, txtar.File{Name: "bin/busybox", Data: busybox}, txtar.File{Name: "dev/null"}, txtar.File{Name: "etc/passwd", Data: []byte("root:x:0:0::/:/bin/sh\n")},
		txtar.File{Name: "etc/group", Data: []byte("root:x:0:\n")})
	for _, f := range files {
		at := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, f.Data, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "chroot", dir, "/bin/busybox", "--install", "-s", "/bin").CombinedOutput(); err != nil {
		conformance.Require(t, "busybox", fmt.Errorf("%w: %s", err, out)) // not a static one
	}
	return dir
}

func TestASystemOfBusybox(t *testing.T) {
	dir := busyboxTree(t, `
-- etc/os-release --
NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.20.3
-- etc/motd --
hello
-- etc/machine-id --
0123456789abcdef
-- etc/apk/repositories --
https://dl-cdn.alpinelinux.org/alpine/v3.20/main
-- lib/apk/db/installed --
C:Q1MzH2QiRHtgOhqAEv9Z2IXz3NzEQ=
P:musl
V:1.2.5-r0
A:aarch64
F:lib
R:ld-musl-aarch64.so.1

P:busybox
V:1.36.1-r29
A:aarch64
f:s

`)
	section := func(name string) parity.Section {
		return factstest.Run(t, group(t, name), factstest.Options{Root: dir})
	}
	same(t, section("packages").Items, map[string]string{"musl:aarch64": "1.2.5-r0", "busybox:aarch64": "1.36.1-r29 broken"})
	same(t, section("archives").Items, map[string]string{"apk https://dl-cdn.alpinelinux.org/alpine/v3.20/main": "untagged"})
	if got := section("os"); value(got.Items, "id") != "alpine" || value(got.Items, "version_id") != "3.20.3" {
		t.Errorf("got %+v", got)
	}
	if got := itemAt(section("etc").Items, "/etc/motd"); got.Body != "hello\n" || !strings.HasPrefix(got.Value, "0755 root:root sha256:5891b5b5") {
		t.Errorf("got %+v", got)
	}
	if got := section("etc_own"); !strings.HasPrefix(value(got.Items, "/etc/machine-id"), "0755 root:root sha256:") {
		t.Errorf("got %+v", got)
	}
	for name, want := range map[string]string{"updates": "only apt", "conffiles": "only dpkg and rpm", "boot": "/proc/uptime"} {
		if got := section(name); !strings.Contains(got.Unknown, want) {
			t.Errorf("%s is %+v, want it unknown: %s", name, got, want)
		}
	}
	for _, g := range collectors.All() { // whatever is missing, each ends as a group should
		factstest.Run(t, g, factstest.Options{Root: dir})
	}
}

// moved is a group that looks into other places.
func moved(g collectors.Group, fromTo ...string) collectors.Group {
	g.Script = strings.NewReplacer(fromTo...).Replace(g.Script)
	return g
}

func TestSecurityUpdatesAreThoseOfSecurityArchives(t *testing.T) {
	const packages = "Package: a\nArchitecture: amd64\nVersion: 1.0-1+deb12u1\nDescription: x\n Package: forged\n\nPackage: b\nArchitecture: all\nVersion: 2\n\nPackage: other\nArchitecture: amd64\nVersion: 9\n"
	status := "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\nPackage: b\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\n\n" +
		"Package: c\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
	const held = "Package: b\nArchitecture: all\nVersion: 3\n\nPackage: c\nArchitecture: amd64\nVersion: 2\n"
	write := func(at, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	release := func(suite, label string) string {
		return "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: Debian\nLabel: " + label + "\nSuite: " + suite + "\nCodename: bookworm\n"
	}
	for name, test := range map[string]struct {
		lay  func(dir string)
		want map[string]string
	}{
		"none": {func(string) {}, map[string]string{"lists_time": ""}},
		"main alone": {func(dir string) {
			write(dir, "m_dists_bookworm_InRelease", release("stable", "Debian"))
			write(dir, "m_dists_bookworm_main_binary-amd64_Packages", packages)
		}, map[string]string{"lists_time": "T", "security": ""}},
		"security": {func(dir string) {
			write(dir, "m_dists_bookworm_InRelease", release("stable", "Debian"))
			write(dir, "m_dists_bookworm_main_binary-amd64_Packages", held)
			write(dir, "s_dists_bookworm-security_InRelease", release("stable-security", "Debian-Security"))
			write(dir, "s_dists_bookworm-security_main_binary-amd64_Packages", packages)
		}, map[string]string{"lists_time": "T", "a": "1.0-1 -> 1.0-1+deb12u1"}},
		"Ubuntu's": {func(dir string) {
			write(dir, "u_dists_jammy-security_Release", "Origin: Ubuntu\nLabel: Ubuntu\nSuite: jammy-security\n")
			write(dir, "u_dists_jammy-security_main_binary-amd64_Packages", held)
		}, map[string]string{"lists_time": "T", "b": "2 -> 3"}},
		"nothing unpacks them": {func(dir string) {
			write(dir, "s_dists_bookworm-security_InRelease", release("stable-security", "Debian-Security"))
			write(dir, "s_dists_bookworm-security_main_binary-amd64_Packages.gz", "x")
		}, map[string]string{"lists_time": "T", "security": ""}},
		"a name with commands in it": {func(dir string) {
			write(dir, "s_dists_bookworm-security_InRelease", release("stable-security", "Debian-Security"))
			write(dir, "s_dists_bookworm-security_x; echo Package: a; echo Architecture: amd64; echo Version: 7;_Packages.gz", "")
			write(dir, "s_dists_bookworm-security_main_binary-amd64_Packages", packages)
		}, map[string]string{"lists_time": "T", "a": "1.0-1 -> 1.0-1+deb12u1", "security": ""}},
		"compressed": {func(dir string) {
			write(dir, "s_dists_bookworm-security_InRelease", release("stable-security", "Debian-Security"))
			f, err := os.Create(filepath.Join(dir, "s_dists_bookworm-security_main_binary-amd64_Packages.gz"))
			if err != nil {
				t.Fatal(err)
			}
			z := gzip.NewWriter(f)
			_, err = z.Write([]byte(packages))
			if err := errors.Join(err, z.Close(), f.Close()); err != nil {
				t.Fatal(err)
			}
		}, map[string]string{"lists_time": "T", "a": "1.0-1 -> 1.0-1+deb12u1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/usr/lib/apt/apt-helper"); name == "compressed" {
				conformance.Require(t, "apt", err)
			}
			dir := t.TempDir()
			reachable(t, dir)
			test.lay(dir)
			write(t.TempDir(), "x", "")
			at := filepath.Join(t.TempDir(), "status")
			write(filepath.Dir(at), "status", status)
			g := moved(group(t, "updates"), "/var/lib/apt/lists", dir, "/var/lib/dpkg/status", at)
			if name == "nothing unpacks them" {
				g = moved(g, "/usr/lib/apt/apt-helper", "/nowhere/apt-helper")
			}
			for _, shell := range factstest.Shells(t) {
				raw, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell})
				got := items(t, g, raw)
				for i := range got {
					if got[i].Key == "lists_time" && got[i].Value != "" {
						got[i].Value = "T"
					}
				}
				if unknown != "" {
					t.Fatalf("unknown: %s", unknown)
				}
				same(t, got, test.want)
			}
		})
	}
}

func TestConffilesAreThoseOfInstalledPackages(t *testing.T) {
	dir := t.TempDir()
	reachable(t, dir)
	const sum = "b1946ac92492d2347c6235b4d2611184" // md5 of "hello\n"
	for name, text := range map[string]string{"kept": "hello\n", "changed": "x\n", "with space": "x\n", "obsolete": "x\n", "removed": "x\n", "new": "x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(name, rest string) string { return " " + dir + "/" + name + " " + rest + "\n" }
	status := "Package: a\nStatus: install ok installed\nVersion: 1\nConffiles:\n" + line("kept", sum) + line("changed", sum) + line("with space", sum) + line("gone", sum) + line("mine", sum) +
		line("obsolete", sum+" obsolete") + line("new", "newconffile") + "Description: x\n " + dir + "/kept " + strings.Repeat("0", 32) + "\n\nPackage: b\nStatus: deinstall ok config-files\nConffiles:\n" + line("removed", sum) + "\n"
	at := filepath.Join(dir, "status")
	if err := os.WriteFile(at, []byte(status), 0o644); err != nil {
		t.Fatal(err)
	}
	g := moved(group(t, "conffiles"), "/var/lib/dpkg/status", at)
	for _, shell := range factstest.Shells(t) {
		for _, plain := range []bool{false, true} {
			if plain && os.Geteuid() != 0 {
				continue
			}
			raw, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell, Plain: plain})
			if unknown != "" {
				t.Fatal(unknown)
			}
			want := map[string]string{dir + "/changed": "changed", dir + "/with space": "changed", dir + "/gone": "missing", dir + "/mine": "changed"}
			if plain {
				want[dir+"/mine"] = ""
			}
			got := items(t, g, raw)
			same(t, got, want)
			if mine := itemAt(got, dir+"/mine"); (mine.Unknown != "") != plain {
				t.Errorf("got %+v", mine)
			}
		}
	}
}

func TestNamesOfGroupsAreTheirSections(t *testing.T) {
	var names []string
	for _, g := range collectors.All() {
		names = append(names, g.Name)
		if g.Parse == nil || g.Lane == "" || g.About == "" || strings.ContainsAny(g.Name, "/ -") {
			t.Errorf("%+v is not a group", g.Name)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("got %v", names)
	}
}
