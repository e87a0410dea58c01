// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestArchives(t *testing.T)  { testGolden(t, "archives") }
func TestAuthority(t *testing.T) { testGolden(t, "ca") }
func TestBirth(t *testing.T)     { testGolden(t, "birth") }
func TestBoot(t *testing.T)      { testGolden(t, "boot") }
func TestConffiles(t *testing.T) { testGolden(t, "conffiles") }
func TestLanguages(t *testing.T) { testGolden(t, "languages") }
func TestSettled(t *testing.T)   { testGolden(t, "settled") }
func TestUpdates(t *testing.T)   { testGolden(t, "updates") }
func FuzzArchives(f *testing.F) {
	fuzz(f, "archives", "file list x\n. deb [a=b] http://x y z\nfile sources x\n. Types: deb\n. URIs: x\n. Suites: y\nfile repo x\n. [x]\n. baseurl=y\n")
}
func FuzzAuthority(f *testing.F) {
	fuzz(f, "ca", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n# beside\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
}
func FuzzBirth(f *testing.F) {
	fuzz(f, "birth", "1 2 /\n3 4 /var/lib/evenkeel/seeded\nlog +0100 2025-06-24 14:36:25 x")
}
func FuzzBoot(f *testing.F) {
	fuzz(f, "boot", "uptime 1 2\nfirst 1 (x) S 0 1 1 0 -1 4194560 31620 1052354 83 947 208 174 2125 630 20 0 1 0 25 1\nbtime 5\nboot_id x\ncontainer /.dockerenv")
}
func FuzzConffiles(f *testing.F) { fuzz(f, "conffiles", "changed /etc/x\nunread /etc/x") }
func FuzzLanguages(f *testing.F) {
	fuzz(f, "languages", "pip a-1.egg-info\nnpm /node_modules/x/package.json\nversion /node_modules/x/package.json:\"version\": \"1\"\ngem a-1")
}
func FuzzSettled(f *testing.F) { fuzz(f, "settled", "salt x\nnames -\nlaying") }
func FuzzUpdates(f *testing.F) { fuzz(f, "updates", "time 1\nlist\nupdate a:b 1 2\nnolists") }

func TestArchivesOfTheirForms(t *testing.T) {
	dir, wrap := etcOf(t, `
-- apt/sources.list --
deb http://a.example/debian stable main
-- apt/sources.list.d/x.sources --
Types: deb
URIs: http://b.example/
Suites: stable
Components: main
-- apt/sources.list.d/ignored.save --
deb http://c.example/ stable main
-- apt/preferences.d/x.pref --
Package: *
Pin: release a=stable
Pin-Priority: 900
-- apt/preferences.d/y.bak --
Package: *
Pin: release a=testing
Pin-Priority: 900
-- yum.repos.d/z.repo --
[z]
enabled=1
-- apk/repositories --
https://d.example/main
`)
	if err := os.Chmod(filepath.Join(dir, "apt/sources.list"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"deb http://a.example/debian stable": "main", "deb http://b.example stable": "main", "pin * release a=stable": "900", "repo z": "[enabled=1]", "apk https://d.example/main": "untagged",
	}
	eachWay(t, "archives", func(t *testing.T, r read) { same(t, r.known(t), want) }, wrap...)
	reachable(t, dir)
	delete(want, "deb http://a.example/debian stable")
	want["/etc/apt/sources.list"] = ""
	eachWay(t, "archives", func(t *testing.T, r read) {
		got := r.known(t)
		same(t, got, want)
		if itemAt(got, "/etc/apt/sources.list").Unknown == "" {
			t.Error("what only root may read is not unknown")
		}
	}, append(wrap, asNobody()...)...)
}

// reachable lets everybody into a folder of a test.
func reachable(t *testing.T, dir string) {
	t.Helper()
	for at := dir; len(at) > len(os.TempDir()); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func asNobody() []string { return []string{"/usr/sbin/chroot", "--userspec=65534:65534", "/"} }

func TestOfThisMachine(t *testing.T) {
	for name, least := range map[string]int{"archives": 0, "birth": 0, "languages": 0, "settled": 0, "os_own": 1, "updates": 1, "ca": 0, "conffiles": 0, "boot": 2} {
		t.Run(name, func(t *testing.T) {
			var first []byte
			eachWay(t, name, func(t *testing.T, r read) {
				if r.unknown != "" && !r.root {
					return
				}
				if got := r.known(t); len(got) < least {
					t.Errorf("got %v", got)
				}
				if name == "boot" || !r.root {
					return
				}
				if first == nil {
					first = append([]byte{}, r.raw...)
				} else if string(first) != string(r.raw) && name != "birth" { // busybox's stat does not know when a file was made
					t.Errorf("two shells print\n%.2000s\nand\n%.2000s", first, r.raw)
				}
			})
		})
	}
}

// Traps of /proc/uptime: it is the host's in a container, unless lxcfs stands over it, which may say 0.
func TestUptimeIsTheMachinesOwn(t *testing.T) {
	first := func(ticks string) string {
		return "first 1 (init) S 0 1 1 0 -1 4194560 31620 1052354 83 947 208 174 2125 630 20 0 1 0 " + ticks + " 104857600\n"
	}
	const over = "612 601 0:50 /proc/uptime /proc/uptime rw - fuse.lxcfs lxcfs rw\n"
	for name, test := range map[string]struct{ raw, uptime, boot string }{
		"a machine":                            {"uptime 1000.5 1\n" + first("20") + "btime 1000000\nboot_id b\n", "1000", "b"},
		"a machine that hides its processes":   {"uptime 1000.5 1\nbtime 1000000\nboot_id b\n", "1000", "b"},
		"a container":                          {"uptime 1000000 1\n" + first("99900000") + "btime 1000000\nboot_id b\n", "1000", ""},
		"a container with lxcfs":               {over + "uptime 1000 1\n" + first("99900000") + "boot_id b\n", "1000", ""},
		"a container whose lxcfs fails":        {over + "uptime 0.00 0\n" + first("99900000") + "boot_id b\n", "", ""},
		"a container that sees its host":       {"uptime 1000000 1\n" + first("20") + "btime 1000000\nboot_id b\ncontainer /.dockerenv\n", "", ""},
		"a clock that was set back by restore": {"uptime 1000 1\n" + first("99900000") + "boot_id b\n", "", ""},
	} {
		got := items(t, group(t, "boot"), []byte(test.raw))
		up, id := itemAt(got, "uptime"), itemAt(got, "boot_id")
		if up.Value != test.uptime || (up.Unknown == "") != (test.uptime != "") || id.Value != test.boot || (id.Unknown == "") != (test.boot != "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got, err := group(t, "boot").Parse([]byte("uptime many\n")); err == nil {
		t.Errorf("got %v", got)
	}
}

func TestTheSaltOfARecordStaysOnTheMachine(t *testing.T) {
	_, wrap := etcOf(t, "-- evenkeel/settled --\nsalt 0123456789abcdef0123456789abcdef\nnames -\nsecrets "+strings.Repeat("a", 64)+"\n")
	eachWay(t, "settled", func(t *testing.T, r read) {
		if strings.Contains(string(r.raw), "0123456789abcdef") {
			t.Error("it left")
		}
		same(t, r.known(t), map[string]string{"state": "settled", "names": "-", "secrets": strings.Repeat("a", 64)})
	}, wrap...)
	_, wrap = etcOf(t, "-- evenkeel/settled --\nlaying\n")
	eachWay(t, "settled", func(t *testing.T, r read) { same(t, r.known(t), map[string]string{"state": "laying"}) }, wrap...)
}

func TestASecurityUpdateIsNewerThanWhatIsInstalled(t *testing.T) {
	const raw = "time 1795262205\nlist\nupdate curl:amd64 7.88.1-10+deb12u14 7.88.1-10+deb12u5\nupdate libc6:amd64 2.36-9+deb12u7 2.36-9+deb12u14\nupdate libc6:i386 2.36-9+deb12u7 2.36-9+deb12u10\nupdate x y\n"
	same(t, items(t, group(t, "updates"), []byte(raw)), map[string]string{"lists_time": "2026-11-21T11:56:45Z", "libc6": "2.36-9+deb12u7 -> 2.36-9+deb12u14"})
}

// rpmRoot is a folder with rpm's database, and what was installed by it, made with Debian's rpm.
func rpmRoot(t *testing.T) string {
	t.Helper()
	var missing error
	for _, name := range []string{"rpm", "rpmbuild"} {
		_, err := exec.LookPath(name)
		missing = errors.Join(missing, err)
	}
	if os.Geteuid() != 0 {
		missing = errors.Join(missing, errors.New("not root"))
	}
	conformance.Require(t, "rpm", missing)
	dir := t.TempDir()
	reachable(t, dir)
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
	}
	build := []string{"--define", "_topdir " + dir + "/build", "--define", "_build_id_links none", "-bb"}
	for i, p := range []struct{ name, epoch, version string }{{"kernel", "", "6.12.96"}, {"kernel", "", "6.12.100"}, {"bind", "32", "9.16.23"}} {
		epoch := ""
		if p.epoch != "" {
			epoch = "Epoch: " + p.epoch + "\n"
		}
		files := filepath.Join(dir, "root", p.name, p.version)
		spec := filepath.Join(dir, p.name+p.version+".spec")
		text := "Name: " + p.name + "\nVersion: " + p.version + "\n" + epoch + "Release: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%install\nmkdir -p %{buildroot}" + files +
			"\nfor f in changed gone kept ghost; do echo a >%{buildroot}" + files + "/$f; done\necho a >%{buildroot}" + files + "/program\n%files\n%config " + files + "/changed\n%config " + files + "/gone\n%config " + files +
			"/kept\n%ghost %config " + files + "/ghost\n" + files + "/program\n"
		if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run("rpmbuild", append(build, spec)...)
		run("rpm", "--dbpath", dir+"/db", "-i", "--nodeps", "--force-debian", dir+"/build/RPMS/noarch/"+p.name+"-"+p.version+"-1.noarch.rpm")
		if i == 0 {
			err := errors.Join(os.WriteFile(files+"/changed", []byte("b\n"), 0o644), os.Remove(files+"/gone"), os.WriteFile(files+"/program", []byte("b\n"), 0o755))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestRPMIsAskedWithoutAWrite(t *testing.T) {
	dir := rpmRoot(t)
	before := treeOf(t, dir)
	for name, want := range map[string]map[string]string{
		"packages":  {"bind:noarch": "32:9.16.23-1", "kernel:noarch": "6.12.96-1, 6.12.100-1"},
		"conffiles": {dir + "/root/kernel/6.12.96/changed": "changed", dir + "/root/kernel/6.12.96/gone": "missing"},
	} {
		g := group(t, name)
		g.Script = strings.NewReplacer("/var/lib/rpm", dir+"/db", "/var/lib/dpkg/status", "/nowhere").Replace(g.Script)
		for _, shell := range factstest.Shells(t) {
			for _, plain := range []bool{false, true} {
				raw, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell, Plain: plain})
				if unknown != "" {
					t.Fatalf("%s under %v, plain %t: %s", name, shell, plain, unknown)
				}
				same(t, items(t, g, raw), want)
			}
		}
	}
	if after := treeOf(t, dir); after != before {
		t.Errorf("rpm's database was\n%s\nand is\n%s", before, after)
	}
}

// treeOf are the files of a folder with their sizes and times.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "find", dir, "-printf", "%p %s %T@ %C@\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAnAuthorityInAFileWithoutALastLineEndIsSeen(t *testing.T) {
	const first, second = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nMAE=\n-----END CERTIFICATE-----"
	dir := t.TempDir()
	reachable(t, dir)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a.crt"), []byte(first), 0o644), os.WriteFile(filepath.Join(dir, "b.crt"), []byte(second), 0o644)); err != nil {
		t.Fatal(err)
	}
	g := moved(group(t, "ca"), "/usr/local/share/ca-certificates", dir)
	for _, shell := range factstest.Shells(t) {
		beside := 0
		for _, item := range factstest.Run(t, g, factstest.Options{Shell: shell}).Items {
			if strings.HasSuffix(item.Value, "not taken into the bundle") {
				beside++
			}
		}
		if beside != 2 {
			t.Errorf("%s: of two certificates %d are seen", shell[0], beside)
		}
	}
}

func TestLoginsOfArchivesAreInNoKey(t *testing.T) {
	const raw = "file list x\n. deb https://deploy:p/w@rd@repo.example:8443/a/ stable main\nfile sources y\n. Types: deb\n. URIs: https://tok:canary@b.example\n. Suites: s\nfile apk z\n. https://tok:canary@c.example/main"
	got := items(t, group(t, "archives"), []byte(raw))
	for _, item := range got {
		if strings.Contains(item.Key, "canary") || strings.Contains(item.Key, "deploy:") && !strings.Contains(item.Key, "p/w") {
			t.Errorf("got %+v", item)
		}
	}
	if item := itemAt(got, "deb https://b.example s"); item.Value != "[uri=https://tok:canary@b.example]" {
		t.Errorf("got %+v", got)
	}
}

// A stanza of three lines may stand for as many archives as the product of its words.
func TestArchivesWithoutMeasureAreUnknown(t *testing.T) {
	words := strings.Repeat("a ", 3000)
	for _, raw := range []string{
		"file sources x\n. Types: " + words + "\n. URIs: " + words + "\n. Suites: " + words + "\n", "file list x\n" + strings.Repeat(". deb http://x y z\n", 20_000),
		"file pins x\n. Package: " + strings.Repeat(words, 10) + "\n. Pin: a\n. Pin-Priority: 1\n", "file repo x\n" + strings.Repeat(". [a]\n", 20_000),
	} {
		if got, err := group(t, "archives").Parse([]byte(raw)); err == nil {
			t.Errorf("of %.40q came %d items", raw, len(got))
		}
	}
}
