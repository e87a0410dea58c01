// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"os"
	"strings"
	"testing"
)

func TestUsers(t *testing.T)  { testGolden(t, "users") }
func TestGroups(t *testing.T) { testGolden(t, "groups") }

func TestUsersOfThisMachine(t *testing.T) {
	everyShell(t, "users", func(t *testing.T, r read) {
		got := r.known(t)
		if v := value(got, "root"); !strings.HasPrefix(v, "uid=0 gid=0 home=/root shell=") {
			t.Errorf("root is %q", v)
		}
	})
	everyShell(t, "groups", func(t *testing.T, r read) {
		if v := value(r.known(t), "root"); !strings.HasPrefix(v, "gid=0") {
			t.Errorf("root is %q", v)
		}
	})
}

// trap: password hashes are never read out, wherever they stand.
func TestNoHashLeavesTheMachine(t *testing.T) {
	const hash = "$6$canary$hash"
	tree := newTree(t)
	tree.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nold:"+hash+":1:1::/:/bin/sh\nopen::2:2::/:/bin/sh\nlast:x:3:3:Last, User:/home/last:/bin/bash")
	tree.write("/etc/shadow", "root:*:19000:0:99999:7:::\nlast:"+hash+":0:0:90:7::20000:\n")
	tree.write("/etc/group", "root:x:0:\nstaff:"+hash+":50:last,root,last\n")
	for _, words := range shells(t) {
		for _, name := range []string{"users", "groups"} {
			for _, root := range []string{"0", "1"} {
				raw, unknown := said(t, group(t, name), root, tree.run(words)...)
				if unknown != "" || len(raw) == 0 || strings.Contains(string(raw), "canary") {
					t.Errorf("%s under %s printed %q (%s)", name, words[0], raw, unknown)
				}
			}
		}
		raw, _ := said(t, group(t, "users"), "1", tree.run(words)...)
		same(t, items(t, group(t, "users"), raw), map[string]string{
			"root": "uid=0 gid=0 home=/root shell=/bin/sh login=locked", "old": "uid=1 gid=1 home=/ shell=/bin/sh login=set", "open": "uid=2 gid=2 home=/ shell=/bin/sh login=none",
			"last": "uid=3 gid=3 home=/home/last shell=/bin/bash login=set must-change max-days=90 until=2024-10-04",
		})
		raw, _ = said(t, group(t, "groups"), "0", tree.run(words)...)
		same(t, items(t, group(t, "groups"), raw), map[string]string{"root": "gid=0", "staff": "gid=50 members=last,root"})
	}
}

func TestAPlainUserDoesNotKnowWhetherPasswordsLetIn(t *testing.T) {
	got := items(t, group(t, "users"), []byte("user root:shadow:0:0:/root:/bin/sh\nuser a:none:1:1:/:/bin/sh"))
	if root := itemAt(got, "root"); root.Unknown == "" || root.Value != "uid=0 gid=0 home=/root shell=/bin/sh" {
		t.Errorf("got %+v", root)
	}
	if a := itemAt(got, "a"); a.Unknown != "" || !strings.HasSuffix(a.Value, "login=none") {
		t.Errorf("got %+v", a)
	}
}

func TestTwoAccountsOfOneNameAreTwoFacts(t *testing.T) {
	got := items(t, group(t, "users"), []byte("user root:set:0:0:/root:/bin/sh\nuser root:none:0:0:/:/bin/sh\nuser root:none:0:0:/:/bin/sh\nshadowless"))
	if len(got) != 3 || value(got, "root (2)") != "uid=0 gid=0 home=/ shell=/bin/sh login=none" {
		t.Errorf("got %v", got)
	}
}

func TestUsersThatAreNoneMakeTheSectionUnknown(t *testing.T) {
	for name, raw := range map[string]string{"users": "user root", "groups": "group root"} {
		if got, err := group(t, name).Parse([]byte(raw)); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func FuzzUsers(f *testing.F) {
	fuzz(f, "users", "user root:shadow:0:0:/root:/bin/sh\nuser root:set:0:0:/root:/bin/sh\nlogin root:set:0:90:20000", "shadowless\nuser a:shadow::::")
}

func FuzzGroups(f *testing.F) { fuzz(f, "groups", "group root:0:\ngroup root:0:b,a") }

func isRoot() bool { return os.Geteuid() == 0 }
