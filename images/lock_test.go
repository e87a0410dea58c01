// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

func someLock(wants string) *images.Lock {
	return &images.Lock{
		From: "debian:12", Arch: "amd64", Wants: wants, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Archives: []images.LockedArchive{
			{Name: "main", URL: "http://deb.example/debian", Suite: "bookworm", Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Snapshot: "http://snap.example/20260102T000000Z"},
			{Name: "apt.example/x", URL: "https://apt.example", Suite: "x/", Date: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		},
		Packages: []images.LockedPackage{
			{Base: true, Archive: "main", Name: "libstdc++6", Version: "1:12.2.0-14+deb12u1~x", Arch: "amd64", Size: 5, SHA256: strings.Repeat("0", 64), Path: "pool/main/g/gcc-12/libstdc++6_12.2.0_amd64.deb"},
			{Archive: "apt.example/x", Name: "zz", Version: "2", Arch: "all", Size: 7, SHA256: strings.Repeat("b", 64), Path: "zz_2_all.deb"},
		},
	}
}

func TestALockIsReadAsItWasWritten(t *testing.T) {
	// A digest of digits only, or one that looks like a float, must not become a number on the way.
	for _, wants := range []string{strings.Repeat("0", 64), "1e" + strings.Repeat("3", 62), strings.Repeat("a", 64)} {
		want := someLock(wants)
		got, problems := images.ParseLock("web.lock", want.Bytes())
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

func TestALockOfABaseNamesWhatTheTreeHolds(t *testing.T) {
	want := someLock(strings.Repeat("a", 64))
	want.Base, want.Tree = strings.Repeat("1", 64), []images.ManifestPackage{{Name: "bash", Version: "5.2-2", Arch: "amd64"}}
	got, problems := images.ParseLock("web.lock", want.Bytes())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for name, version := range map[string]string{"bash": "5.2-2", "zz": "2", "libstdc++6": "1:12.2.0-14+deb12u1~x", "systemd": ""} {
		if v := got.Version(name); v != version {
			t.Errorf("the version of %s is %q, want %q", name, v, version)
		}
	}
	for spoilt, wrong := range map[string]string{"base: \"1": "base: \"x", "- bash 5.2-2 amd64": "- bash ../.. amd64", "tree:": "trees:"} {
		text := strings.Replace(string(want.Bytes()), spoilt, wrong, 1)
		if l, problems := images.ParseLock("web.lock", []byte(text)); l != nil || problems.Err() == nil {
			t.Errorf("%s: got %+v; want a problem", wrong, l)
		}
	}
}

func TestTheBaseIsPartOfTheImage(t *testing.T) {
	key := func(sum string) string {
		dir := writeProject(t, map[string]string{
			"web.yaml": "base: {source: x.tar, sha256: \"" + sum + "\", release: debian:12}\n", "x.tar": "",
		})
		r := load(t, dir, "web.yaml")
		r.Lock = &images.Lock{From: "debian:12", Arch: "amd64", Wants: images.WantsOf(r), Base: sum}
		return r.Key() + r.Lock.Wants
	}
	if one, other := key(strings.Repeat("1", 64)), key(strings.Repeat("2", 64)); one == other {
		t.Errorf("got %s for two trees", one)
	}
}

func TestALockHasOneLineForEachPackage(t *testing.T) {
	var lines int
	for line := range strings.Lines(string(someLock(strings.Repeat("a", 64)).Bytes())) {
		if strings.Contains(line, "deb") && strings.Contains(line, " pool/") || strings.Contains(line, " zz ") {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("got %d lines for 2 packages", lines)
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add(someLock(strings.Repeat("a", 64)).Bytes())
	f.Add([]byte("evenkeel-lock: 1\npackages: [base main a 1 all 1 x y]\narchives: [a b c d e]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, problems := images.ParseLock("f.lock", data)
		if (l == nil) != (problems.Err() != nil) {
			t.Fatalf("got lock %v, problems %v", l, problems)
		}
		if l == nil {
			return
		}
		for _, p := range l.Packages {
			if !filepath.IsLocal(p.Path) || len(p.SHA256) != 64 || p.Size <= 0 {
				t.Errorf("accepted %+v", p)
			}
		}
		again, problems := images.ParseLock("f.lock", l.Bytes())
		if problems.Err() != nil || !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Errorf("printed and read again, the lock is another one: %v", problems.Err())
		}
	})
}

// lockedRecipe is a recipe with a lock that fits and no network behind it.
func lockedRecipe(t *testing.T, text string, change func(*images.Lock)) *images.Recipe {
	t.Helper()
	dir := writeProject(t, map[string]string{"images/web.yaml": text, "images/x.conf": "x"})
	lock := someLock(images.WantsOf(load(t, dir, "images/web.yaml")))
	if change != nil {
		change(lock)
	}
	if err := os.WriteFile(filepath.Join(dir, "images/web.lock"), lock.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	r := load(t, dir, "images/web.yaml")
	if r.Lock == nil {
		t.Fatal("the lock does not fit its recipe")
	}
	return r
}

func TestTheKeyHangsOnWhatIsBuiltAndOnNothingElse(t *testing.T) {
	const text = "from: debian:12\nfiles: {/etc/x: {source: x.conf}}\nservices: {a: enabled, b: masked}\n"
	key := lockedRecipe(t, text, nil).Key()
	if len(key) != 64 {
		t.Fatalf("got key %q; want 64 hex digits", key)
	}
	same := map[string]*images.Recipe{
		"another folder":       lockedRecipe(t, text, nil),
		"another order":        lockedRecipe(t, "services: {b: masked, a: enabled}\nfrom: debian:12\nfiles: {/etc/x: {source: x.conf}} # comment\n", nil),
		"content for source":   lockedRecipe(t, "from: debian:12\nfiles: {/etc/x: {content: x}}\nservices: {a: enabled, b: masked}\n", nil),
		"another archive host": lockedRecipe(t, text, func(l *images.Lock) { l.Archives[0].URL = "http://else.example/debian" }),
	}
	for what, r := range same {
		if r.Key() != key {
			t.Errorf("%s: got another key", what)
		}
	}
	other := map[string]*images.Recipe{
		"another file":    lockedRecipe(t, "from: debian:12\nfiles: {/etc/x: {content: y}}\nservices: {a: enabled, b: masked}\n", nil),
		"another service": lockedRecipe(t, "from: debian:12\nfiles: {/etc/x: {source: x.conf}}\nservices: {a: disabled, b: masked}\n", nil),
		"another package": lockedRecipe(t, text, func(l *images.Lock) { l.Packages[1].SHA256 = strings.Repeat("c", 64) }),
		"another time":    lockedRecipe(t, text, func(l *images.Lock) { l.Time = l.Time.Add(time.Second) }),
	}
	for what, r := range other {
		if r.Key() == key {
			t.Errorf("%s: got the same key", what)
		}
	}
}

func TestWithoutALockThereIsNoKeyAndNoBuild(t *testing.T) {
	dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\n"})
	r := load(t, dir, "images/web.yaml")
	if r.Key() != "" {
		t.Errorf("got key %q; want none", r.Key())
	}
	s := openStore(t, t.TempDir())
	_, err := s.Build(context.Background(), r, []images.Format{images.Tar}, nil)
	if err == nil || !strings.Contains(err.Error(), "evenkeel image lock web") {
		t.Errorf("got %v; want an error that says how to make a lock", err)
	}
}

func TestALockThatFitsIsKeptWithoutNetwork(t *testing.T) {
	r := lockedRecipe(t, "from: debian:12\n", nil)
	got, err := openStore(t, t.TempDir()).WriteLock(t.Context(), r, false, nil)
	if err != nil || got.Key() != r.Key() {
		t.Errorf("got %v, %v; want the recipe as it was", got, err)
	}
}

func TestAMissingKeyringIsToldWithWhatToInstall(t *testing.T) {
	if _, err := os.Stat("/usr/share/keyrings/ubuntu-archive-keyring.gpg"); err == nil {
		t.Skip("this machine has the keyring")
	}
	dir := writeProject(t, map[string]string{"images/web.yaml": "from: ubuntu:24.04\n"})
	_, err := openStore(t, t.TempDir()).WriteLock(t.Context(), load(t, dir, "images/web.yaml"), false, nil)
	if err == nil || !strings.Contains(err.Error(), "apt-get install ubuntu-archive-keyring") {
		t.Errorf("got %v; want an error that names the package to install", err)
	}
}

func FuzzEachStanza(f *testing.F) {
	f.Add([]byte("Package: a\nVersion: 1\n more\n\n\nPackage: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = images.EachStanza(bytes.NewReader(data), func(stanza []byte) error {
			if len(bytes.TrimSpace(stanza)) == 0 {
				t.Error("got an empty paragraph")
			}
			return nil
		})
	})
}

func TestAnIndexIsReadParagraphByParagraph(t *testing.T) {
	var got []string
	err := images.EachStanza(strings.NewReader("Package: a\nDescription: x\n y\n\n\nPackage: b\n"), func(s []byte) error {
		got = append(got, string(s))
		return nil
	})
	want := []string{"Package: a\nDescription: x\n y\n", "Package: b\n"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestAptsChoiceNeedsSizeAndHash(t *testing.T) {
	sum := strings.Repeat("a", 64)
	u, file, sha, size, err := images.ParseURILine(fmt.Sprintf("'http://d/pool/x_1%%2b2_all.deb' x_1+2_all.deb 12 SHA256:%s", sum))
	if err != nil || u != "http://d/pool/x_1%2b2_all.deb" || file != "x_1+2_all.deb" || sha != sum || size != 12 {
		t.Errorf("got %q %q %q %d %v", u, file, sha, size, err)
	}
	for _, bad := range []string{"", "x", "'u' f 12 MD5Sum:00", "'u' f -1 SHA256:" + sum, "'u' f 12 SHA256:00"} {
		if _, _, _, _, err := images.ParseURILine(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestProxiesOfAptAreUsed(t *testing.T) {
	got := images.ProxyRules("Acquire::http::Proxy \"http://p:3128\";\nAcquire::http::Proxy::direct.example \"DIRECT\";\nAcquire::Retries \"3\";\n")
	want := map[string]string{"http": "http://p:3128", "http::direct.example": "DIRECT"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
}
