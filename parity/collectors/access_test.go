// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestSudoers(t *testing.T) { testGolden(t, "sudoers") }
func TestCron(t *testing.T)    { testGolden(t, "cron") }

func FuzzSudoers(f *testing.F) {
	fuzz(f, "sudoers", "Defaults env_reset\nUser_Alias A = b, c\nroot ALL=(ALL) ALL\n%x, y ALL = \\\n NOPASSWD: /bin/a # z\n#1000 ALL=ALL\nalone")
}
func FuzzCron(f *testing.F) {
	fuzz(f, "cron", "system /etc/crontab\nline 1 2 3 4 5 root x\nline A=b\nline @daily root y\nuser /v/x\nline 1\nanacron /a\nline 1 2 b c\nruns /x\nrests /x\nunread /y")
}
func FuzzKeys(f *testing.F) {
	fuzz(f, "keys", "in root /root/.ssh/authorized_keys\nkey from=\"a b\",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1dHRlcmZseWJ1dHRlcmZseWJ1dHRlcmZseWFhYWE= me\nkey x AAAA\nother")
}

func TestSudoersReadsWhatIsIncludedAsSudoDoes(t *testing.T) {
	tree := newTree(t)
	tree.write("/etc/sudoers", "# comment\n#1000 ALL=(ALL) ALL\nDefaults env_reset # why\nDefaults secure_path=\"/a:/b#c\"\n@include local\n#includedir\t/etc/sudoers.d\nUser_Alias ADMINS = anna, \\\n\tben\nroot\tALL=(ALL:ALL) ALL\nroot ALL=(www) /bin/x\n")
	tree.write("/etc/local", "ADMINS, %ops ALL = NOPASSWD: ALL\n")
	tree.write("/etc/sudoers.d/20-b", "deploy ALL=(root) /bin/b\n")
	tree.write("/etc/sudoers.d/10-a", "deploy ALL=(root) /bin/a")
	tree.write("/etc/sudoers.d/README.txt", "trap ALL=ALL\n")
	tree.write("/etc/sudoers.d/backup~", "trap ALL=ALL\n")
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "sudoers"), "1", tree.run(words)...)
		if why != "" {
			t.Fatal(why)
		}
		same(t, items(t, group(t, "sudoers"), raw), map[string]string{
			"#1000": "ALL=(ALL) ALL", "Defaults": `env_reset; secure_path="/a:/b#c"`, "ADMINS,%ops": "ALL=NOPASSWD: ALL", "deploy": "ALL=(root) /bin/a; ALL=(root) /bin/b",
			"User_Alias ADMINS": "anna, ben", "root": "ALL=(ALL:ALL) ALL; ALL=(www) /bin/x",
		})
		if _, why = said(t, group(t, "sudoers"), "0", tree.run(words)...); !strings.Contains(why, "only root") {
			t.Errorf("%s: a plain user hears %q", words[0], why)
		}
	}
}

func TestSudoersThatIncludeThemselvesEnd(t *testing.T) {
	tree := newTree(t)
	tree.write("/etc/sudoers", "@include /etc/sudoers\nroot ALL=ALL\n")
	for _, words := range shells(t) {
		if _, why := said(t, group(t, "sudoers"), "1", tree.run(words)...); !strings.Contains(why, "levels deep") {
			t.Errorf("%s: got %q", words[0], why)
		}
	}
}

func TestCronReadsAllTables(t *testing.T) {
	tree := newTree(t)
	tree.write("/etc/crontab", "SHELL=/bin/sh\n# comment\n17 *\t* * *\troot\tcd / && run-parts /etc/cron.hourly\n@reboot root /bin/once\n")
	tree.write("/etc/cron.d/job", "MAILTO = \"ops\"\n*/5 * * * * www-data A=1 /bin/five\n*/5 * * * * www-data /bin/again")
	tree.write("/etc/anacrontab", "1 5 cron.daily run-parts /etc/cron.daily\n")
	tree.write("/etc/crontabs/anna", "0 3 * * 1 backup --all\n")
	tree.write("/etc/cron.daily/on", "x")
	tree.chmod("/etc/cron.daily/on")
	tree.write("/etc/cron.daily/off", "x")
	tree.write("/var/spool/x", "")
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "cron"), "1", tree.at("/var/spool").run(words)...)
		if why != "" {
			t.Fatal(why)
		}
		same(t, items(t, group(t, "cron"), raw), map[string]string{
			"/etc/crontab SHELL": "/bin/sh", "/etc/crontab 17 * * * *": "root: cd / && run-parts /etc/cron.hourly", "/etc/crontab @reboot": "root: /bin/once", "/etc/cron.d/job MAILTO": `"ops"`,
			"/etc/cron.d/job */5 * * * *": "www-data: A=1 /bin/five", "/etc/cron.d/job */5 * * * * (2)": "www-data: /bin/again", "/etc/anacrontab 1 5 cron.daily": "run-parts /etc/cron.daily",
			"/etc/crontabs/anna 0 3 * * 1": "anna: backup --all", "/etc/cron.daily/on": "runs", "/etc/cron.daily/off": "does not run: it is not executable",
		})
	}
	if got := itemAt(items(t, group(t, "cron"), []byte("unread /var/spool/cron/crontabs")), "/var/spool/cron/crontabs"); got.Unknown == "" {
		t.Errorf("tables that could not be read are %+v", got)
	}
}

// trap: hardened systems close the folders of cron to everybody but root.
func TestFoldersOfCronThatAreClosedAreUnknown(t *testing.T) {
	dir, wrap := etcOf(t, "-- cron.d/job --\n* * * * * root x\n-- cron.daily/x --\nx\n-- cron.hourly/y --\ny\n")
	reachable(t, dir)
	if err := errors.Join(os.Chmod(filepath.Join(dir, "cron.d"), 0o700), os.Chmod(filepath.Join(dir, "cron.daily"), 0o744)); err != nil {
		t.Fatal(err)
	}
	eachWay(t, "cron", func(t *testing.T, r read) {
		got := r.known(t)
		if itemAt(got, "/etc/cron.d").Unknown == "" || itemAt(got, "/etc/cron.daily").Unknown == "" || itemAt(got, "/etc/cron.hourly").Key != "" {
			t.Errorf("got %+v", got)
		}
	}, append(wrap, asNobody()...)...)
}

// newKey makes a key with OpenSSH's own program, and its fingerprint by the same.
func newKey(t *testing.T, comment string) (line, fingerprint string) {
	t.Helper()
	_, err := exec.LookPath("ssh-keygen")
	conformance.Require(t, "ssh-keygen", err)
	file := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", "-lf", file+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), strings.Fields(string(out))[1]
}

func TestKeysWhereSSHDLooksForThem(t *testing.T) {
	one, first := newKey(t, "anna@work laptop")
	two, second := newKey(t, "ci")
	tree := newTree(t)
	tree.write("/usr/local/sbin/sshd", "#!/bin/sh\nprintf 'port 22\\nauthorizedkeysfile /etc/laid/%%u %%h/.ssh/authorized_keys own/%%%%%%U\\nusepam yes\\n'\n")
	tree.chmod("/usr/local/sbin/sshd")
	home := "/etc/home" // below a folder that stands in for the machine's
	tree.write("/etc/passwd", "root:x:0:0::"+home+"/root:/bin/sh\nanna:x:1000:1000:Anna, B:"+home+"/anna:/bin/bash\nnobody:x:65534:65534::"+home+"/nobody:/usr/sbin/nologin\nmuch:x:1001:1001::"+home+"/much:")
	tree.write("/etc/laid/anna", "# laid\n"+one+"\n\n")
	tree.write(home+"/anna/.ssh/authorized_keys", `from="10.0.0.0/8",command="echo \"a b\"" `+two+"\n"+one+"\nnonsense\n")
	tree.write(home+"/nobody/.ssh/authorized_keys", one+"\n")
	tree.write(home+"/much/own/%1001", one)
	// trap: root follows a link that a user made, and must bring nothing of it out.
	tree.write("/etc/shadow", "root:$6$canary$hash:1::::::\n")
	tree.write(home+"/root/.ssh/authorized_keys", "-> /etc/shadow")
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "keys"), "1", tree.at("/usr/local/sbin").run(words)...)
		if why != "" {
			t.Fatal(why)
		}
		if strings.Contains(string(raw), "canary") {
			t.Fatalf("%s: a link to /etc/shadow was read out: %s", words[0], raw)
		}
		if got := itemAt(items(t, group(t, "keys"), append(raw, "\nunread ben /home/ben/.ssh/authorized_keys"...)), "ben /home/ben/.ssh/authorized_keys"); got.Unknown == "" {
			t.Errorf("a file that could not be read is %+v", got)
		}
		same(t, items(t, group(t, "keys"), raw), map[string]string{
			"anna " + first: "ssh-ed25519 anna@work laptop", "anna " + second: `from="10.0.0.0/8",command="echo \"a b\"" ssh-ed25519 ci`, "much " + first: "ssh-ed25519 anna@work laptop",
			"anna " + home + "/anna/.ssh/authorized_keys": "1 lines that hold no key", "root " + home + "/root/.ssh/authorized_keys": "1 lines that hold no key",
		})
	}
}

// trap: a pipe in the place of the file would hold up the reader for ever.
func TestKeysDoesNotWaitForAPipe(t *testing.T) {
	tree := newTree(t)
	tree.write("/usr/local/sbin/sshd", "#!/bin/sh\necho port 22\n")
	tree.chmod("/usr/local/sbin/sshd")
	tree.write("/etc/passwd", "anna:x:1:1::/etc/anna:/bin/sh\n")
	tree.write("/etc/anna/.ssh/x", "")
	if out, err := exec.Command("mkfifo", filepath.Join(tree.dir, "etc/anna/.ssh/authorized_keys")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, why := said(t, group(t, "keys"), "1", tree.at("/usr/local/sbin").run([]string{"sh", "-c"})...)
	if why != "" || len(raw) != 0 {
		t.Errorf("got %q, %q", raw, why)
	}
}

// A plain user is told why, or sees what he may; nothing is taken for absent.
func TestAPlainUserIsToldWhatHeMayNotSee(t *testing.T) {
	if !isRoot() {
		t.Skip("root's view is what a plain user's is held against")
	}
	for _, name := range []string{"cmdline", "cron", "firewall", "groups", "keys", "locale", "modules", "mounts", "ports", "sshd", "sudoers", "sysctl", "sysctl_files", "time", "users"} {
		t.Run(name, func(t *testing.T) {
			g := group(t, name)
			for _, words := range shells(t) {
				raw, why := said(t, g, "1", words...)
				if strings.HasPrefix(why, "sshd -T") { // where it was never started it lacks a folder
					conformance.Require(t, "sshd", errors.New(why))
				}
				if why != "" {
					t.Fatalf("%s: root hears %q", words[0], why)
				}
				all := items(t, g, raw)
				raw, why = said(t, g, "0", plain(t, words)...)
				if why != "" {
					continue
				}
				seen := items(t, g, raw)
				for _, item := range all {
					if name != "ports" && itemAt(seen, item.Key).Key == "" { // ports come and go
						t.Errorf("%s: %q is absent to a plain user", words[0], item.Key)
					}
				}
			}
		})
	}
}
