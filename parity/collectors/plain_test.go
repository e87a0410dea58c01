// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

func TestMounts(t *testing.T) { testGolden(t, "mounts") }
func TestTime(t *testing.T)   { testGolden(t, "time") }
func TestLocale(t *testing.T) { testGolden(t, "locale") }

func FuzzMounts(f *testing.F) {
	fuzz(f, "mounts", `/a\040b / rw,relatime ext4 /dev/vda rw,size=3`, "/ / rw overlay o rw\n/ / rw nfs4 h:/x rw,addr=1\n/\\9 x")
}
func FuzzTime(f *testing.F) {
	fuzz(f, "time", "zone ../usr/share/zoneinfo/UTC\nname UTC\nadjtime LOCAL\nkeeper chronyd\nrule UTC0")
}
func FuzzTimeOwn(f *testing.F) { fuzz(f, "time_own", "yes", "no") }
func FuzzLocale(f *testing.F) {
	fuzz(f, "locale", "set LANG=\"C.UTF-8\"\nset export LC_ALL='C'\nset #x=y")
}
func FuzzModules(f *testing.F) { fuzz(f, "modules", "ext4\nvirtio_net\next4") }
func FuzzCmdline(f *testing.F) {
	fuzz(f, "cmdline", `BOOT_IMAGE=/vmlinuz console=tty0 console=ttyS0 dyndbg="file a +p" -- x y`)
}

func TestModulesAreNamesOnly(t *testing.T) {
	same(t, items(t, group(t, "modules"), []byte("ext4\nvirtio_net\next4\n")), map[string]string{"ext4": "loaded", "virtio_net": "loaded"})
	everyShell(t, "modules", func(t *testing.T, r read) {
		text, err := os.ReadFile("/proc/modules")
		if got := r.known(t); err == nil && len(got) != strings.Count(string(text), "\n") || err != nil && len(got) != 0 {
			t.Errorf("got %v of %d bytes", got, len(text))
		}
	})
}

func TestCmdlineIsSplitAsTheKernelDoes(t *testing.T) {
	same(t, items(t, group(t, "cmdline"), []byte(`BOOT_IMAGE=/vmlinuz root=UUID=7 ro console=tty0 console=ttyS0,115200 dyndbg="file a.c +p" "quoted=a b" -- single x=y`)), map[string]string{
		"BOOT_IMAGE": "/vmlinuz", "root": "UUID=7", "ro": "set", "console": "tty0, ttyS0,115200", "dyndbg": "file a.c +p", "quoted": "a b", "--": "single x=y",
	})
	everyShell(t, "cmdline", func(t *testing.T, r read) {
		if len(r.known(t)) == 0 {
			t.Error("nothing was read")
		}
	})
}

// trap: sizes are computed from the memory of the moment, and what a session or a container mounts comes and goes.
func TestMountsWithoutWhatIsEachMachinesOwn(t *testing.T) {
	same(t, items(t, group(t, "mounts"), []byte(`/ / rw,relatime ext4 /dev/vda1 rw,discard,errors=remount-ro,stripe=4
/run / rw,nosuid,nodev,noexec,relatime tmpfs tmpfs rw,size=98304k,nr_inodes=819200,mode=755,inode64
/data\040disk / ro,noatime ext4 /dev/vdb rw
/mnt/nfs / rw,relatime nfs4 files.example:/export rw,vers=4.2,rsize=262144,clientaddr=10.0.0.7,addr=10.0.0.1
/proc/sys/fs/binfmt_misc / rw,relatime autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,minproto=5,maxproto=5,direct,pipe_ino=1234
/proc/sys/fs/binfmt_misc / rw binfmt_misc binfmt_misc rw
/a /sub rw ext4 /dev/vdb rw
/srv /sub rw ext4 /dev/vdb rw
`)), map[string]string{
		"/": "ext4 discard,errors=remount-ro,rw", "/dev/vda1": "/", "/run": "tmpfs mode=755,nodev,noexec,nosuid,rw", "/data disk": "ext4 noatime,ro", "/dev/vdb": "/a, /data disk, /srv", "/a": "ext4 rw (a part of it)",
		"/mnt/nfs": "nfs4 rsize=262144,rw,vers=4.2", "/mnt/nfs from": "files.example:/export", "/proc/sys/fs/binfmt_misc": "autofs rw", "/srv": "ext4 rw (a part of it)",
	})
	if lane := parity.LaneOf("mounts", "/mnt/nfs from"); lane != parity.Place {
		t.Errorf("a server is %q", lane)
	}
	if got, err := group(t, "mounts").Parse(nil); err == nil {
		t.Errorf("no mount at all is %v", got)
	}
	var first string
	everyShell(t, "mounts", func(t *testing.T, r read) {
		if got := r.known(t); value(got, "/proc") == "" || value(got, "/") == "" {
			t.Errorf("got %v", got)
		}
		if first == "" {
			first = string(r.raw)
		} else if first != string(r.raw) {
			t.Errorf("another shell printed\n%s\nthis one\n%s", first, r.raw)
		}
	})
}

func TestTimeZonesOfAllForms(t *testing.T) {
	for raw, want := range map[string]string{
		"zone /usr/share/zoneinfo/Europe/Berlin\nname Etc/UTC": "Europe/Berlin", "zone ../usr/share/zoneinfo/UTC": "UTC", "name Europe/Paris": "Europe/Paris", "rule CET-1CEST,M3.5.0": "by the rule CET-1CEST,M3.5.0",
		"": "UTC",
	} {
		if got := value(items(t, group(t, "time"), []byte(raw)), "zone"); got != want {
			t.Errorf("%q is %q, want %q", raw, got, want)
		}
	}
	same(t, items(t, group(t, "time"), []byte("zone /usr/share/zoneinfo/UTC\nadjtime 0.0 0 0.0\nadjtime 0\nadjtime LOCAL\nkeeper systemd-timesyn\nkeeper chronyd")),
		map[string]string{"zone": "UTC", "hardware_clock": "LOCAL", "kept_by": "chronyd, systemd-timesyncd"})
	everyShell(t, "time", func(t *testing.T, r read) {
		if value(r.known(t), "zone") == "" {
			t.Errorf("got %s", r.raw)
		}
	})
	if got := itemAt(items(t, group(t, "time"), []byte("zone UTC\nblind")), "kept_by"); got.Unknown == "" {
		t.Errorf("who may not see processes says %+v", got)
	}
	same(t, items(t, group(t, "time_own"), []byte("no\n")), map[string]string{"synchronised": "no"})
	everyShell(t, "time_own", func(t *testing.T, r read) { r.known(t) })
}

func TestLocaleOfBothKinds(t *testing.T) {
	tree := newTree(t)
	tree.write("/etc/default/locale", "# comment\nLANG=\"C.UTF-8\"\nexport LC_TIME='de_DE.UTF-8'\nTRAP=a=b\n")
	tree.write("/etc/vconsole.conf", "KEYMAP=de\n")
	for _, words := range shells(t) {
		raw, _ := said(t, group(t, "locale"), "1", tree.run(words)...)
		same(t, items(t, group(t, "locale"), raw), map[string]string{"LANG": "C.UTF-8", "LC_TIME": "de_DE.UTF-8", "TRAP": "a=b", "KEYMAP": "de"})
	}
}

// trap: what is mounted side by side stands in an order of chance, and machines in one state would seem to be many.
func TestMountsStandInOneOrder(t *testing.T) {
	newTree(t)
	for _, words := range shells(t) {
		var first string
		for _, order := range []string{"mount -t tmpfs a /srv && mount -t tmpfs b /opt", "mount -t tmpfs b /opt && mount -t tmpfs a /srv"} {
			raw, why := said(t, group(t, "mounts"), "1", append([]string{"unshare", "-mr", "sh", "-c", order + ` && exec "$@"`, "sh"}, words...)...)
			if why != "" || !strings.Contains(string(raw), "/srv ") {
				t.Fatalf("%s: %q of %s", words[0], why, raw)
			}
			if first == "" {
				first = string(raw)
			} else if first != string(raw) {
				t.Errorf("%s: got\n%s\nbefore\n%s", words[0], raw, first)
			}
		}
	}
}
