// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

func TestEtc(t *testing.T) {
	testGolden(t, "etc")
	testGolden(t, "etc_own")
}

func TestEtcOfThisMachine(t *testing.T) {
	eachWay(t, "etc", func(t *testing.T, r read) {
		list := r.known(t)
		if got := value(list, "/etc/passwd"); !strings.HasPrefix(got, "0644 root:root sha256:") || itemAt(list, "/etc/passwd").Body == "" {
			t.Errorf("/etc/passwd is %+v", itemAt(list, "/etc/passwd"))
		}
		for _, item := range list {
			if item.Unknown != "" && r.root {
				t.Errorf("root could not read %s: %s", item.Key, item.Unknown)
			}
			if strings.HasSuffix(item.Key, "shadow") {
				t.Errorf("there is %+v", item)
			}
		}
	})
	eachWay(t, "etc_own", func(t *testing.T, r read) {
		for _, item := range r.known(t) {
			if strings.Contains(item.Key, "shadow") && (strings.Contains(item.Value, "sha256") || item.Body != "") {
				t.Errorf("password hashes were read: %+v", item)
			}
		}
	})
}

// made is an /etc with what is hard about one.
func made(t *testing.T) (dir string, wrap []string) {
	dir, wrap = etcOf(t, `
-- motd --
	hello
 
# tab before, blank line, no comment
-- ssh/sshd_config --
Port 22
-- ssh/ssh_host_ed25519_key --
CANARY
-- ssh/ssh_host_ed25519_key.pub --
ssh-ed25519 AAAA
-- shadow --
root:CANARY:1::::::
-- shadow- --
root:CANARY:1::::::
-- ssl/private/web.key --
CANARY
-- ssl/certs/web.pem --
PEM
-- evenkeel/secrets/PIN --
CANARY
-- evenkeel/settings.env --
TITLE=x
-- ppp/chap-secrets --
CANARY
-- app/token.txt --
CANARY
-- app/mine.ini --
[a]
b=CANARY
-- closed/world.ini --
CANARY
-- closed/in/world.conf --
CANARY
-- credstore/db --
CANARY
-- app/everybodys.ini --
[a]
b=c
-- machine-id --
0123456789abcdef
-- hosts --
127.0.1.1 web-1
-- .git/HEAD --
CANARY
-- fstab --
UUID=1 / ext4 defaults 0 1
-- a b'c"d\e --
odd
-- empty --
`)
	link := func(to, name string) error { return os.Symlink(to, filepath.Join(dir, name)) }
	err := errors.Join(
		os.Chmod(filepath.Join(dir, "app/mine.ini"), 0o640), os.Lchown(filepath.Join(dir, "app/mine.ini"), 33, 33), os.Lchown(filepath.Join(dir, "motd"), 1234, 33),
		os.WriteFile(filepath.Join(dir, "no-newline"), []byte("text"), 0o644), os.WriteFile(filepath.Join(dir, "binary"), []byte("a\x00b"), 0o644),
		os.WriteFile(filepath.Join(dir, "latin1"), []byte("\xe4\n"), 0o644), os.WriteFile(filepath.Join(dir, "carriage"), []byte("a\r\nb\r\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "escape"), []byte("\x1b[31mT\t/etc/motd\n\t\tforged\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "forged\nf\t644\troot:root\t\t5\t", ""), nil, 0o644),
		os.Mkdir(filepath.Join(dir, "tab\there"), 0o755), os.WriteFile(filepath.Join(dir, "tab\there/x"), nil, 0o644),
		os.Chmod(filepath.Join(dir, "closed"), 0o750),
		link("../usr/share/zoneinfo/Etc/UTC", "localtime"), link("a' -> 'b", "quoted"), link("gone", "dangling"),
		os.Chmod(filepath.Join(dir, "ssl/private"), 0o710), os.Chmod(filepath.Join(dir, "empty"), 0o755|os.ModeSetuid), os.Mkdir(filepath.Join(dir, "folder"), 0o777), os.Chmod(filepath.Join(dir, "folder"), 0o777|os.ModeSticky),
		os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("x\n", 40<<10)), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir, wrap
}

func TestEtcWithAllThatIsHard(t *testing.T) {
	_, wrap := made(t)
	eachWay(t, "etc", func(t *testing.T, r read) {
		if strings.Contains(string(r.raw), "CANARY") {
			t.Error("a secret left the machine")
		}
		got := r.known(t)
		body := func(key string) string { return itemAt(got, key).Body }
		for key, want := range map[string]string{
			"/etc/motd": "\thello\n \n# tab before, blank line, no comment\n", "/etc/ssh/sshd_config": "Port 22\n", "/etc/no-newline": "text", "/etc/carriage": "a\r\nb\r\n",
			"/etc/escape": "\x1b[31mT\t/etc/motd\n\t\tforged\n", "/etc/binary": "", "/etc/latin1": "", "/etc/app/mine.ini": "", "/etc/app/everybodys.ini": "[a]\nb=c\n", "/etc/app/token.txt": "",
			"/etc/closed/world.ini": "", "/etc/closed/in/world.conf": "",
			"/etc/ssl/certs/web.pem": "", `/etc/a b'c"d\e`: "odd\n", "/etc/large": "",
		} {
			if body(key) != want || !strings.Contains(value(got, key), " sha256:") {
				t.Errorf("%s is %q with %q, want %q", key, value(got, key), body(key), want)
			}
		}
		for key, want := range map[string]string{
			"/etc/localtime": "0777 root:root -> ../usr/share/zoneinfo/Etc/UTC", "/etc/dangling": "0777 root:root -> gone", "/etc/folder": "1777 root:root", "/etc/ssl/private": "0710 root:root",
			"/etc/empty": "4755 root:root sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "/etc/evenkeel/secrets/PIN": "0644 root:root", "/etc/ppp/chap-secrets": "0644 root:root", "/etc/credstore/db": "0644 root:root",
		} {
			if value(got, key) != want {
				t.Errorf("%s is %q, want %q", key, value(got, key), want)
			}
		}
		for key, want := range map[string]string{"/etc/app/mine.ini": "0640 www:www sha256:", "/etc/motd": "0644 1234:www sha256:"} {
			if !strings.HasPrefix(value(got, key), want) {
				t.Errorf("%s is %q, want %q", key, value(got, key), want)
			}
		}
		for _, own := range []string{"/etc", "/etc/shadow", "/etc/shadow-", "/etc/machine-id", "/etc/hosts", "/etc/.git/HEAD", "/etc/fstab", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssl/private/web.key"} {
			if itemAt(got, own).Key != "" {
				t.Errorf("%s is not what machines have alike", own)
			}
		}
		if itemAt(got, "/etc/(odd name)").Unknown == "" {
			t.Error("names that cannot be told went without a word")
		}
	}, wrap...)
}

func TestWhatAMachineHasOfItsOwnBelowEtc(t *testing.T) {
	_, wrap := made(t)
	eachWay(t, "etc_own", func(t *testing.T, r read) {
		if strings.Contains(string(r.raw), "CANARY") {
			t.Error("a secret left the machine")
		}
		got := r.known(t)
		if itemAt(got, "/etc/hosts").Body != "127.0.1.1 web-1\n" || itemAt(got, "/etc/fstab").Body == "" || itemAt(got, "/etc/machine-id").Body != "" || itemAt(got, "/etc/.git/HEAD").Key != "" {
			t.Errorf("got %+v", got)
		}
		for key, want := range map[string]parity.Item{
			"/etc/machine-id":                   {Value: "0644 root:root sha256:"},
			"/etc/fstab":                        {Value: "0644 root:root sha256:"},
			"/etc/ssh/ssh_host_ed25519_key.pub": {Value: "0644 root:root sha256:"},
			"/etc/ssh/ssh_host_ed25519_key":     {Value: "0644 root:root", Lane: parity.Place},
			"/etc/ssl/private/web.key":          {Value: "0644 root:root", Lane: parity.Place},
			"/etc/shadow":                       {Value: "0644 root:root"},
		} {
			item := itemAt(got, key)
			if !strings.HasPrefix(item.Value, want.Value) || strings.Contains(item.Value, "sha256:") != strings.Contains(want.Value, "sha256:") || item.Lane != want.Lane || item.Unknown != "" {
				t.Errorf("%s is %+v, want %+v", key, item, want)
			}
		}
	}, wrap...)
}

// Absence of a file in a folder that a plain user cannot look into is not known: the folder says so.
func TestAFolderThatCannotBeLookedInto(t *testing.T) {
	dir, wrap := made(t)
	reachable(t, dir)
	if err := os.Chmod(filepath.Join(dir, "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	wrap = append(wrap, asNobody()...)
	eachWay(t, "etc", func(t *testing.T, r read) {
		got := r.known(t)
		if item := itemAt(got, "/etc/app"); item.Unknown == "" || item.Value != "0700 root:root" {
			t.Errorf("got %+v", item)
		}
		if item := itemAt(got, "/etc/app/mine.ini"); item.Key != "" {
			t.Errorf("got %+v", item)
		}
		if item := itemAt(got, "/etc/motd"); item.Unknown != "" || item.Body == "" {
			t.Errorf("got %+v", item)
		}
	}, wrap...)
}

func TestAMachineWithoutAnyFileIsUnknown(t *testing.T) {
	if got, err := group(t, "etc").Parse([]byte("d\t755\troot:root\t\t\t/etc\n")); err == nil {
		t.Errorf("got %v", got)
	}
	if got, err := group(t, "etc_own").Parse(nil); err != nil || len(got) > 0 {
		t.Errorf("of a machine that has nothing of its own came %v, %v", got, err)
	}
}

func FuzzEtc(f *testing.F) {
	fuzz(f, "etc", "f\t644\troot:root\t\t6\t/etc/motd\n5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  /etc/motd\nT\t/etc/motd\n\t\thello\n",
		"l\t777\troot:root\t0:0\t\t'/etc/x' -> 'y'", "o\t/etc", "u\t700\tUNKNOWN:UNKNOWN\t1:2\t\t/etc/x", "\\"+strings.Repeat("0", 64)+"  /etc/a\\\\b")
}

func TestWhatChangedBelowEtcAfterFirstBootHasItsTime(t *testing.T) {
	dir, wrap := etcOf(t, "-- service/x --\n-- old.conf --\na\n-- new.conf --\nb\n-- evenkeel/settings.env --\nA=1\n-- hostname --\nweb-1\n")
	lib := t.TempDir()
	if err := os.Mkdir(filepath.Join(lib, "evenkeel"), 0o755); err != nil {
		t.Fatal(err)
	}
	wrap = append([]string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /var/lib && exec "$@"`, lib}, wrap...)
	eachWay(t, "etc", func(t *testing.T, r read) {
		for _, item := range r.known(t) {
			if item.Since != "" || item.Key == parity.FirstBootItem {
				t.Errorf("without a first boot: %+v", item)
			}
		}
	}, wrap...)
	if err := os.WriteFile(filepath.Join(lib, "evenkeel", "firstboot.done"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // a tick of the file system's clock
	before := time.Now().Add(-time.Second)
	// trap: who may write below /etc may give a file a name of several lines, which say something of other files.
	if err := os.WriteFile(filepath.Join(dir, "service", "x\nf\t666\troot:root\t\t0\t"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{"x\nd\t777\troot:root\t\t\t", "x\nn\t99\t"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "service", lines, "etc"), 0o755), os.WriteFile(filepath.Join(dir, "service", lines, "etc", "old.conf"), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"new.conf", "evenkeel/settings.env", "hostname"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eachWay(t, "etc", func(t *testing.T, r read) {
		list := r.known(t)
		if itemAt(list, parity.FirstBootItem).Key == "" {
			if strings.Contains(t.Name(), "busybox") {
				return // its find cannot tell
			}
			t.Error("it is not said that first boot has ended")
		}
		for _, item := range list {
			if (item.Since != "") != (item.Key == "/etc/new.conf") || item.Key == "/etc/old.conf" && !strings.HasPrefix(item.Value, "0644 ") {
				t.Errorf("got %+v", item)
			}
		}
		if at, err := time.Parse(time.RFC3339, itemAt(list, "/etc/new.conf").Since); err != nil || at.Before(before.Truncate(time.Second)) || at.After(time.Now()) {
			t.Errorf("new.conf changed at %v, %v", at, err)
		}
	}, wrap...)
}
