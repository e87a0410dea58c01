// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

func contextThatEnds(t *testing.T, after time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), after)
}

var lockTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// treeOf is a tar as the sandbox gives it.
func treeOf(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		body := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(body)), ""
		}
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// regular is a file; treeOf takes its content from Linkname.
func regular(name, content string, mode int64, at time.Time) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content, Mode: mode, ModTime: at}
}

func finish(t *testing.T, tree []byte) (digest string, files map[string]string, headers map[string]*tar.Header) {
	t.Helper()
	var out bytes.Buffer
	m := &images.Manifest{Format: 1, Recipe: "web", Time: lockTime}
	digest, err := images.FinishTree(bytes.NewReader(tree), &out, m)
	if err != nil {
		t.Fatal(err)
	}
	files, headers = map[string]string{}, map[string]*tar.Header{}
	for in := tar.NewReader(&out); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return digest, files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], headers[h.Name] = string(body), h
	}
}

func TestTheTreeKeepsWhatPackagesMadeAndLosesIdentity(t *testing.T) {
	at := lockTime.Add(-time.Hour)
	_, files, _ := finish(t, treeOf(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755, ModTime: at},
		regular("./etc/machine-id", "0123456789abcdef", 0o444, at),
		regular("./etc/ssh/ssh_host_ed25519_key", "secret", 0o600, at),
		regular("./etc/ssh/ssh_host_rsa_key.pub", "public", 0o644, at),
		regular("./etc/ssh/sshd_config", "config", 0o644, at),
		regular("./etc/ssl/private/ssl-cert-snakeoil.key", "secret", 0o640, at),
		tar.Header{Typeflag: tar.TypeSymlink, Name: "./etc/ssl/certs/62742064.0", Linkname: "ssl-cert-snakeoil.pem", ModTime: at},
		regular("./etc/shadow-", "old", 0o600, at),
		regular("./etc/shadow", "now", 0o640, at),
		tar.Header{Typeflag: tar.TypeDir, Name: "./dev/", Mode: 0o755, ModTime: at},
		tar.Header{Typeflag: tar.TypeChar, Name: "./dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3, ModTime: at},
		regular("./var/cache/ldconfig/aux-cache", "x", 0o600, at),
		regular("./var/lib/apt/lists/lock", "", 0o644, at),
		regular("./var/lib/systemd/random-seed", "x", 0o600, at),
		tar.Header{Typeflag: tar.TypeSymlink, Name: "./var/lib/dbus/machine-id", Linkname: "/etc/machine-id", ModTime: at},
		regular("./var/log/nginx/access.log", "a request", 0o640, at),
		regular("./var/log/dpkg.log", "x", 0o640, at),
	))
	want := map[string]string{
		"./": "", "./etc/machine-id": "", "./etc/ssh/sshd_config": "config", "./etc/shadow": "now", "./dev/": "",
		"./var/lib/dbus/machine-id": "", "./var/log/nginx/access.log": "", "./usr/share/evenkeel/": "",
	}
	manifest := files["./usr/share/evenkeel/manifest.json"]
	delete(files, "./usr/share/evenkeel/manifest.json")
	if !maps.Equal(files, want) {
		t.Errorf("got %v\nwant %v", slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(want)))
	}
	var m images.Manifest
	if err := json.Unmarshal([]byte(manifest), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 7 || m.Recipe != "web" {
		t.Errorf("the manifest has %d files of %q; want 7 of web", len(m.Files), m.Recipe)
	}
}

func TestTheDigestIsBlindToTimesAndOrderAndSeesAllElse(t *testing.T) {
	a, b := regular("./a", "one", 0o644, lockTime), regular("./b", "two", 0o755, lockTime)
	digest, _, headers := finish(t, treeOf(t, a, b))
	later := a
	later.ModTime = lockTime.Add(time.Hour)
	for what, tree := range map[string][]byte{"another time": treeOf(t, later, b), "another order": treeOf(t, b, a)} {
		got, _, headers := finish(t, tree)
		if got != digest {
			t.Errorf("%s: got another digest", what)
		}
		if at := headers["./a"].ModTime; at.After(lockTime) {
			t.Errorf("%s: ./a bears %s; want nothing later than %s", what, at, lockTime)
		}
	}
	if len(headers) != 4 {
		t.Errorf("got %d entries; want a, b, the manifest and its folder", len(headers))
	}
	change := map[string]func(h *tar.Header){
		"content": func(h *tar.Header) { h.Linkname = "uno" },
		"mode":    func(h *tar.Header) { h.Mode = 0o4755 },
		"owner":   func(h *tar.Header) { h.Uid = 33 },
		"group":   func(h *tar.Header) { h.Gid = 33 },
		"name":    func(h *tar.Header) { h.Name = "./A" },
		"type":    func(h *tar.Header) { h.Typeflag = tar.TypeSymlink },
		"xattr": func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}
		},
	}
	for what, f := range change {
		changed := a
		f(&changed)
		if got, _, _ := finish(t, treeOf(t, changed, b)); got == digest {
			t.Errorf("another %s: got the same digest", what)
		}
	}
}

func TestRandomNamesInDebconfsAnswersAreTakenOut(t *testing.T) {
	const name = "./var/cache/debconf/config.dat"
	one, files, _ := finish(t, treeOf(t, regular(name, "Variables:\n BASENAME = x\n NEW = /tmp/a.1\nName: y\n", 0o644, lockTime)))
	two, _, _ := finish(t, treeOf(t, regular(name, "Variables:\n BASENAME = x\n NEW = /tmp/b.22\nName: y\n", 0o644, lockTime)))
	if one != two {
		t.Errorf("got two digests")
	}
	if got, want := files[name], "Variables:\n BASENAME = x\n NEW = /tmp/gone\nName: y\n"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestCapabilitiesAndLinksSurvive(t *testing.T) {
	ping := regular("./usr/bin/ping", "elf", 0o755, lockTime)
	ping.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20"}
	_, _, headers := finish(t, treeOf(t, ping,
		tar.Header{Typeflag: tar.TypeLink, Name: "./usr/bin/ping4", Linkname: "./usr/bin/ping", Mode: 0o755, ModTime: lockTime},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "./bin", Linkname: "usr/bin", Mode: 0o777, ModTime: lockTime}))
	if got := headers["./usr/bin/ping"].PAXRecords["SCHILY.xattr.security.capability"]; got != "\x01\x00\x00\x02\x00\x20" {
		t.Errorf("got capability %q", got)
	}
	if h := headers["./usr/bin/ping4"]; h == nil || h.Typeflag != tar.TypeLink || h.Linkname != "./usr/bin/ping" {
		t.Errorf("got %+v; want a hard link", h)
	}
	if h := headers["./bin"]; h == nil || h.Linkname != "usr/bin" {
		t.Errorf("got %+v; want a symbolic link", h)
	}
}

func TestATornTreeIsAnError(t *testing.T) {
	tree := treeOf(t, regular("./a", strings.Repeat("x", 4096), 0o644, lockTime))
	if _, err := images.FinishTree(bytes.NewReader(tree[:2048]), io.Discard, &images.Manifest{Time: lockTime}); err == nil {
		t.Error("half a tree was taken for a whole one")
	}
}
