// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/test/conformance"
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
	s, err := images.OpenStore(t.Context(), dir)
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

func built(t *testing.T, s *images.Store, r *images.Recipe, formats ...images.Format) images.Image {
	t.Helper()
	start := time.Now()
	img, err := s.Build(t.Context(), r, formats, stages(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of %s: digest %.16s after %.1fs", r.Name, r.Release(), img.Digest, time.Since(start).Seconds())
	return img
}

// treeText is a file of an image's root tree.
func treeText(t *testing.T, img images.Image, name string) string {
	t.Helper()
	f, err := os.Open(img.Artefacts[images.Tar].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if err != nil {
			t.Fatalf("the tree has no %s: %v", name, err)
		}
		if h.Name == "."+name {
			data, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
}

func TestRealBuildDoesWhatTheRecipeSays(t *testing.T) {
	s := realStore(t)
	for _, release := range []string{"debian:12", "debian:13"} {
		t.Run(release, func(t *testing.T) {
			dir := writeProject(t, map[string]string{
				"images/all.yaml": "from: " + release + `
packages: [nginx-light]
files:
  /etc/early: {content: early, early: true}
  /srv/site/index.html: {content: "<h1>hello</h1>", mode: "0640", owner: www-data, group: deploy}
services: {nginx: disabled, apt-daily.timer: masked}
users: {deploy: {shell: /bin/bash, groups: [www-data]}}
sysctl: {vm.swappiness: 10}
provision: [{shell: step.sh}]
firstboot: [{shell: first.sh}]
`,
				"images/step.sh":  "set -e\ncat /etc/early > /srv/step\nls /sys/class/net >> /srv/step\nid -un >> /srv/step\n",
				"images/first.sh": "echo first\n",
			})
			img := built(t, s, locked(t.Context(), t, s, load(t, dir, "images/all.yaml")), images.Tar)
			// The network inside has a loopback device and no other.
			if got, want := treeText(t, img, "/srv/step"), "earlylo\nroot\n"; got != want {
				t.Errorf("the step saw %q; want %q", got, want)
			}
			if got := treeText(t, img, "/usr/lib/evenkeel/firstboot.d/01-first.sh"); got != "#!/bin/sh\necho first\n" {
				t.Errorf("got first boot's step %q", got)
			}
			if got := treeText(t, img, "/etc/sysctl.d/60-recipe.conf"); got != "vm.swappiness = 10\n" {
				t.Errorf("got sysctl %q", got)
			}
			var m images.Manifest
			if err := json.Unmarshal([]byte(treeText(t, img, "/usr/share/evenkeel/manifest.json")), &m); err != nil {
				t.Fatal(err)
			}
			entries := map[string]images.Entry{}
			for _, e := range m.Files {
				entries[e.Path] = e
			}
			site, link := entries["/srv/site/index.html"], entries["/etc/systemd/system/apt-daily.timer"]
			if site.Mode != "0640" || site.UID != 33 || site.GID < 1000 {
				t.Errorf("got %+v; want mode 0640, owner www-data, group deploy", site)
			}
			if link.Link != "/dev/null" {
				t.Errorf("got %+v; want a masked timer", link)
			}
			for _, gone := range []string{
				"/etc/systemd/system/multi-user.target.wants/nginx.service", "/usr/sbin/policy-rc.d", "/usr/sbin/start-stop-daemon.evenkeel",
				"/usr/sbin/update-initramfs.evenkeel", "/etc/hostname", "/run/evenkeel", "/etc/ssh/ssh_host_ed25519_key",
			} {
				if _, there := entries[gone]; there {
					t.Errorf("the tree has %s", gone)
				}
			}
		})
	}
}

// A step is root in the tree only: neither the machine that builds nor the store is in its reach.
func TestRealStepsReachNothingBeyondTheTree(t *testing.T) {
	s := realStore(t)
	dir := writeProject(t, map[string]string{
		"images/reach.yaml": "from: debian:12\npackages: [tree]\nprovision: [{shell: reach.sh}]\nfiles: {/var/lock/reach: {content: x, early: true}}\n",
		"images/reach.sh": `set -e
could() { ! "$@" 2>> /tmp/errors || echo "$*" >> /srv/reach; }
: > /srv/reach
could mknod /srv/disk b 254 0
could mount -t tmpfs tmpfs /mnt
could mount -o remount,rw /sys
could mount -o remount,bind,rw /proc/sys
could perl -e 'chroot("/srv") or exit 1'
could sh -c 'cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern'
could sh -c 'echo h > /proc/sysrq-trigger'
could ls /proc/1/root/
for deb in /run/evenkeel/repo/*.deb; do could sh -c "echo x >> $deb"; done
could unshare --mount true
could ip link add name evil type dummy
could ip link set lo up
`,
	})
	img := built(t, s, locked(t.Context(), t, s, load(t, dir, "images/reach.yaml")), images.Tar)
	if got := treeText(t, img, "/srv/reach"); got != "" {
		t.Errorf("a step could:\n%s", got)
	}
	if _, err := os.Stat("/run/lock/reach"); err == nil {
		t.Error("an early file under /var/lock, a link to /run/lock, was laid on the machine that builds")
	}
}

// A tree that somebody made elsewhere becomes an image like any other.
func TestRealBuildStartsFromATreeBuiltElsewhere(t *testing.T) {
	s := realStore(t)
	dir := writeProject(t, map[string]string{"images/step.sh": "cat /etc/golden > /srv/step\n"})
	tree := filepath.Join(dir, "images/golden.tar.zst")
	out, err := exec.Command("mmdebstrap", "--variant=minbase", "--include=nano", "--customize-hook=echo golden > \"$1/etc/golden\"", "bookworm", tree).CombinedOutput()
	if err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	data, err := os.ReadFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	recipe := "base: {source: golden.tar.zst, sha256: \"" + hashOf(data) + "\", release: debian:12}\npackages: [tree]\nprovision: [{shell: step.sh}]\n"
	if err := os.WriteFile(filepath.Join(dir, "images/on.yaml"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	img := built(t, s, locked(t.Context(), t, s, load(t, dir, "images/on.yaml")), images.Tar, images.QCOW2, images.Kernel)
	if got := treeText(t, img, "/srv/step"); got != "golden\n" {
		t.Errorf("the step saw %q; want the tree's own file", got)
	}
	if got := treeText(t, img, "/etc/passwd"); !strings.Contains(got, "\nevenkeel:x:900:") {
		t.Errorf("got accounts without the core's:\n%s", got)
	}
	var m images.Manifest
	if err := json.Unmarshal([]byte(treeText(t, img, "/usr/share/evenkeel/manifest.json")), &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nano", "tree", "openssh-server", "linux-image-amd64"} {
		if !slices.ContainsFunc(m.Packages, func(p images.ManifestPackage) bool { return p.Name == name }) {
			t.Errorf("the manifest lacks %s", name)
		}
	}
}

// Two stores, one in memory and one on the disk, full and over a shared base: one digest. The example's database is PostgreSQL.
func TestRealBuildsOfOneLockAgree(t *testing.T) {
	s := realStore(t)
	other, err := images.OpenStore(t.Context(), filepath.Join(t.TempDir(), "a store"))
	if err != nil {
		t.Fatal(err)
	}
	images.BuildOnDisk(other)
	for _, name := range []string{"web", "db"} {
		r := locked(t.Context(), t, s, load(t, "../envs/examples/shop", "images/"+name+".yaml"))
		one, two := built(t, s, r, images.Tar), built(t, other, r, images.Tar)
		if one.Digest != two.Digest || one.Artefacts[images.Tar].SHA256 != two.Artefacts[images.Tar].SHA256 {
			t.Errorf("%s: got the digests %s and %s", name, one.Digest, two.Digest)
		}
	}
}

// $EVENKEEL_TEST_USER is a plain user with subordinate ids. Tests that run as root build as that user too.
func TestRealBuildAsAPlainUserAgrees(t *testing.T) {
	s := realStore(t)
	who, err := user.Lookup(os.Getenv("EVENKEEL_TEST_USER"))
	if err != nil || os.Geteuid() != 0 {
		conformance.Require(t, "user", errors.New("run as root with EVENKEEL_TEST_USER=NAME, a user with lines in /etc/subuid and /etc/subgid"))
	}
	r := locked(t.Context(), t, s, load(t, "../envs/examples/shop", "images/db.yaml"))
	want := built(t, s, r, images.Tar).Digest
	dir, err := os.MkdirTemp("/var/tmp", "evenkeel-test-")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := child(t, "TestRealChildBuildsTheExample", filepath.Join(dir, "store"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "digest "+want[:16]) {
		t.Errorf("as %s: %v; want the digest %s\n%s", who.Username, err, want, out)
	}
}

// child runs one test of this binary in another process, from a copy that any user may execute.
func child(t *testing.T, test, store string) *exec.Cmd {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "evenkeel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "child"), self, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "child"), "-test.run", "^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), "EVENKEEL_TEST_STORE="+store, "EVENKEEL_TEST_CHILD=1")
	return cmd
}

// TestRealChildBuildsTheExample is run by other tests, in a process of its own.
func TestRealChildBuildsTheExample(t *testing.T) {
	if os.Getenv("EVENKEEL_TEST_CHILD") == "" {
		t.Skip("run by other tests")
	}
	built(t, realStore(t), load(t, "../envs/examples/shop", "images/db.yaml"), images.Tar)
}

// Killed without warning, a build leaves no process and no mount, and nothing that the next one cannot settle.
func TestRealBuildSurvivesKill(t *testing.T) {
	realStore(t)
	dir := t.TempDir()
	for i := range 5 {
		cmd := child(t, "TestRealChildBuildsTheExample", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(2+i*4+rand.IntN(4)) * time.Second)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()                          // it was killed
		deadline := time.Now().Add(time.Minute) // a busy computer takes its time
		for len(usersOf(t, dir)) > 0 && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
		}
		if left := usersOf(t, dir); len(left) > 0 {
			t.Fatalf("after kill %d processes are left: %q", i+1, left)
		}
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil || strings.Contains(string(mounts), dir) {
			t.Fatalf("after kill %d a mount is left (%v)", i+1, err)
		}
	}
	s, err := images.OpenStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v (%v)", left, err)
	}
	built(t, s, load(t, "../envs/examples/shop", "images/db.yaml"), images.Tar)
}

// usersOf are the command lines of processes that name dir.
func usersOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		env, _ := os.ReadFile(f) // gone meanwhile, or a zombie
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(filepath.Dir(f), "cwd"))
		if filepath.Dir(f) != fmt.Sprintf("/proc/%d", os.Getpid()) && strings.Contains(string(env)+string(line)+cwd, dir) {
			out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

func TestRealLockRefuses(t *testing.T) {
	s := realStore(t)
	// An archive that anyone could have made: a Release file, and no signature.
	unsigned, _ := place(t, func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) != "Release" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "Suite: bookworm\nCodename: bookworm\nComponents: main\nArchitectures: amd64\nDate: Sat, 01 Nov 2025 00:00:00 UTC\nSHA256:\n")
	})
	key, err := os.ReadFile("/usr/share/keyrings/debian-archive-keyring.gpg")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][2]string{
		"an unsigned archive":  {"mirror: " + unsigned + "\n", "is not signed"},
		"an unsigned source":   {"sources: [{url: " + unsigned + ", suite: x, key: key.gpg}]\n", "is not signed"},
		"an unknown package":   {"packages: [no-such-package]\n", "no-such-package"},
		"a version nobody has": {"packages: [nginx=0.1]\n", "no archive has nginx=0.1; they have 1."},
		"packages that fight":  {"packages: [systemd-sysv, sysvinit-core]\n", "systemd-sysv : Conflicts: sysvinit-core but "},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\n" + c[0], "images/key.gpg": string(key)})
			_, err := s.WriteLock(t.Context(), load(t, dir, "images/web.yaml"), false, nil)
			if err == nil || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("got %v; want an error with %q", err, c[1])
			}
			if _, err := os.Stat(filepath.Join(dir, "images/web.lock")); err == nil {
				t.Error("a lock was written")
			}
		})
	}
}

func TestRealLockTakesTheWantedVersion(t *testing.T) {
	s := realStore(t)
	dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\npackages: [nginx]\n"})
	r := locked(t.Context(), t, s, load(t, dir, "images/web.yaml"))
	for _, p := range r.Lock.Packages {
		if p.Name != "nginx" {
			continue
		}
		dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\npackages: [\"nginx=" + p.Version + "\"]\n"})
		again := locked(t.Context(), t, s, load(t, dir, "images/web.yaml"))
		if !slices.Equal(again.Lock.Packages, r.Lock.Packages) {
			t.Error("got other packages for the version that was chosen anyway")
		}
		return
	}
	t.Error("the lock lacks nginx")
}

// Two builds at once make one image; the second waits and says so.
func TestRealTwoBuildsAtOnceMakeOne(t *testing.T) {
	s := realStore(t)
	dir := writeProject(t, map[string]string{"images/two.yaml": "from: debian:12\nfiles: {/etc/two: {content: \"" + fmt.Sprint(rand.Uint64()) + "\"}}\n"})
	r := locked(t.Context(), t, s, load(t, dir, "images/two.yaml"))
	var mu sync.Mutex
	packs, waits := 0, 0
	count := func(e progress.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch e.Stage {
		case "collect":
			packs++
		case "wait":
			waits++
		}
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := s.Build(t.Context(), r, []images.Format{images.Tar}, count); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if packs != 1 || waits != 1 {
		t.Errorf("got %d builds and %d waits; want 1 and 1", packs, waits)
	}
}
