// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestPackages(t *testing.T) { testGolden(t, "packages") }

func TestPackagesOfThisMachine(t *testing.T) {
	eachWay(t, "packages", func(t *testing.T, r read) {
		if got := r.known(t); len(got) < 10 {
			t.Errorf("got %v", got)
		}
	})
}

func TestPackagesThatAreNotPlainlyInstalledSaySo(t *testing.T) {
	const raw = "dpkg\nii \ta\tamd64\t1\nhi \tb\tamd64\t1\niF \tc\tamd64\t1\nhU \td\tall\t1:2~x\nrc \te\tamd64\t1\nun \tf\t\t\npn \tg\tamd64\t\niW \th\tamd64\t1\nit \ti\tamd64\t1\n" +
		"iHR\tj\tamd64\t1\nri \tk\tamd64\t1\npi \tl\tamd64\t1\nii \ta\ti386\t1\n"
	got := items(t, group(t, "packages"), []byte(raw))
	want := map[string]string{
		"a:amd64": "1", "a:i386": "1", "b:amd64": "1 hold", "c:amd64": "1 half-configured", "d:all": "1:2~x hold unpacked", "h:amd64": "1 triggers-awaited", "i:amd64": "1 triggers-pending",
		"j:amd64": "1 half-installed reinstall-required", "k:amd64": "1 to-be-removed", "l:amd64": "1 to-be-purged",
	}
	same(t, got, want)
}

func TestRPMsEpochsVersionsAndKeys(t *testing.T) {
	const raw = "rpm\nkernel\tx86_64\t0:6.12.100-1\nkernel\tx86_64\t0:6.12.96-1\nbind\tx86_64\t32:9.16-1\ngpg-pubkey\t(none)\t0:fd431d51-4ae0493b\ngpg-pubkey\t(none)\t0:8d9a1c2b-5c0a\n"
	same(t, items(t, group(t, "packages"), []byte(raw)), map[string]string{
		"kernel:x86_64": "6.12.96-1, 6.12.100-1", "bind:x86_64": "32:9.16-1", "gpg-pubkey-fd431d51:key": "4ae0493b", "gpg-pubkey-8d9a1c2b:key": "5c0a",
	})
}

func TestAMachineWithoutPackagesIsUnknown(t *testing.T) {
	for _, raw := range []string{"", "dpkg\n", "rpm\n", "pacman\nx\n", "dpkg\nwarning: something\n"} {
		if got, err := group(t, "packages").Parse([]byte(raw)); err == nil {
			t.Errorf("of %q came %v", raw, got)
		}
	}
}

func TestAPackageDatabaseThatIsReadInPartIsUnknown(t *testing.T) {
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		conformance.Require(t, "dpkg", err)
	}
	tree := newTree(t)
	tree.write("/usr/local/sbin/dpkg-query", "#!/bin/sh\nprintf 'ii \\ta\\tamd64\\t1\\n'\nexit 2\n")
	tree.chmod("/usr/local/sbin/dpkg-query")
	for _, words := range shells(t) {
		if raw, why := said(t, group(t, "packages"), "1", tree.at("/usr/local/sbin").run(words)...); !strings.Contains(why, "dpkg-query") {
			t.Errorf("%s: got %q, %q", words[0], raw, why)
		}
	}
}

func FuzzPackages(f *testing.F) {
	fuzz(f, "packages", "dpkg\nii \ta\tamd64\t1\n", "rpm\na\tb\t0:1-2\na\tb\t1:1-2\n", "apk\nP:a\nV:1\nA:b\nf:f\n\nP:a\nV:2\nA:b\n")
}

func TestWhenAPackageCameIsToldOfThoseThatCameAfterTheMachineWasMade(t *testing.T) {
	const raw = "dpkg\nii \ta\tamd64\t1\nii \tb\tamd64\t1\nii \tb\ti386\t1\nii \tc\tall\t1\nsince\t1795262205.1230000000\tb:i386.list\nsince\t1795262205.0\tc.list\nsince\t1e99\ta.list\n"
	got := items(t, group(t, "packages"), []byte(raw))
	for key, want := range map[string]string{"a:amd64": "", "b:amd64": "", "b:i386": "2026-11-21T11:56:45Z", "c:all": "2026-11-21T11:56:45Z"} {
		if since := itemAt(got, key).Since; since != want {
			t.Errorf("%s is there since %q, want %q", key, since, want)
		}
	}
	dir := t.TempDir()
	for name, at := range map[string]time.Time{"info/old.list": time.Unix(1795262200, 0), "seeded": time.Unix(1795262205, 0), "info/bash.list": time.Unix(1795262210, 0)} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "info"), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	_, err := exec.LookPath("dpkg-query")
	conformance.Require(t, "dpkg", err)
	g := moved(group(t, "packages"), "/var/lib/dpkg/info", dir+"/info", "/var/lib/evenkeel/seeded", dir+"/seeded")
	said, _ := factstest.Raw(t, g, factstest.Options{})
	if got := string(said); !strings.HasSuffix(strings.TrimSpace(got), "since\t1795262210.0000000000\tbash.list") || strings.Contains(got, "old.list") {
		t.Errorf("got %.200q", got[max(0, len(got)-200):])
	}
}
