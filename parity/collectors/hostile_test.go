// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/test/conformance"
)

// trap: a machine that says the same thing a million times, or never ends a line, costs no more than its bytes.
func TestOutputsWithoutMeasureAreReadInTime(t *testing.T) {
	lines := map[string][]string{
		"archives": {"file list x\n. deb http://x y z\n", "file list x\n" + strings.Repeat(". deb http://x y z\n", 100_000)}, "packages": {"dpkg\n" + strings.Repeat("ii \ta\tamd64\t1\n", 140_000)},
		"ca": {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}, "conffiles": {"changed /etc/x\n"}, "languages": {"pip a-1.egg-info\n"},
		"cmdline": {"a=b ", "\""}, "cron": {"system /etc/crontab\nline * * * * * root x\n", "runs /x\n"}, "groups": {"group a:1:b\n", "group a:1:" + strings.Repeat("b,", 1000) + "\n"},
		"firewall": {"nft\ntable ip x {\nchain y {\naccept\n}\n}\n", "saved ip\n*f\n-A x -s 1.1.1.1/32\n", "{"}, "keys": {"in a /b\nkey x AAAA\n", "other\n"}, "locale": {"set a=b\n"},
		"modules": {"a "}, "mounts": {"/ / rw ext4 /dev/a rw\n", "/ / a,b,c ext4 a:b a,b,c\n"}, "ports": {"tcp any 0016 - a\n", "range 1 2\n"}, "sshd": {"a b\n"},
		"sudoers": {"a ALL=b\n", "User_Alias A = b\n", "a\\\n", "\"#"}, "sysctl": {"/proc/sys/a:b\n", "? /proc/sys/a\n"}, "sysctl_files": {"/a.conf:b=c\n", ".conf:"}, "time": {"keeper ntpd\n"},
		"timers": {"a.timer|TimersCalendar x|Unit=b\n", "|"}, "units": {"systemd\n= a.service enabled active running simple wanted\n", "systemd\n+ /a.d/b\n"}, "users": {"user a:shadow:1:1:/:/\n", "login a:set:0:1:2\n"},
	}
	var versions strings.Builder // of one thing, each another
	for i := range 100_000 {
		fmt.Fprintf(&versions, "pip a-%d.egg-info\n", i)
	}
	lines["languages"] = append(lines["languages"], versions.String())
	for name, seeds := range lines {
		t.Run(name, func(t *testing.T) {
			for _, seed := range seeds {
				raw := []byte(strings.Repeat(seed, max(1, (2<<20)/len(seed))))
				at := time.Now()
				list, err := group(t, name).Parse(raw)
				if took := time.Since(at); took > time.Minute {
					t.Errorf("%q took %v", seed, took)
				}
				if err == nil && len(list) > 200_000 {
					t.Errorf("%q came to %d facts", seed, len(list))
				}
			}
		})
	}
}

// Alpine's programs are busybox's; what they print is to be the same.
func TestBusyboxPrintsTheSame(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	conformance.Require(t, "busybox", err)
	tree := newTree(t)
	for _, applet := range []string{"awk", "cat", "find", "grep", "head", "ls", "printf", "readlink", "sed", "sort", "tail"} {
		tree.write("/usr/local/sbin/"+applet, "-> "+busybox)
	}
	for _, name := range []string{"cmdline", "cron", "groups", "locale", "modules", "ports", "sysctl", "sysctl_files", "time", "users"} {
		t.Run(name, func(t *testing.T) {
			g := group(t, name)
			// Ports and devices of other tests come and go: what is in both readings of ours has to be in theirs.
			before, why := said(t, g, "1", "unshare", "-mr", "sh", "-c")
			if why != "" {
				t.Fatal(why)
			}
			theirs, why := said(t, g, "1", tree.at("/usr/local/sbin").run([]string{busybox, "sh", "-c"})...)
			if why != "" {
				t.Fatal(why)
			}
			after, _ := said(t, g, "1", "unshare", "-mr", "sh", "-c")
			got, last := items(t, g, theirs), items(t, g, after)
			for _, item := range items(t, g, before) {
				if itemAt(last, item.Key) == item && itemAt(got, item.Key) != item {
					t.Errorf("%+v is %+v by busybox", item, itemAt(got, item.Key))
				}
			}
		})
	}
	// What is asked of systemd is answered alike too.
	shown := shown(t, "a.service enabled enabled\n", block("b.service", "ActiveState=active", "SubState=running", "Type=simple")+block("a.service", "ActiveState=active", "SubState=running", "Type=simple", "WantedBy=x"))
	shown.write("/usr/local/sbin/awk", "-> "+busybox)
	raw, why := said(t, group(t, "units"), "1", shown.at("/usr/local/sbin").run([]string{busybox, "sh", "-c"})...)
	if want := "= a.service - active running simple wanted\n= b.service - active running simple -"; why != "" || !strings.HasSuffix(string(raw), want) {
		t.Errorf("got %q, %q", raw, why)
	}
}
