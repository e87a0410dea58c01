// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

// Each case: a file, and texts; those of one group mean the same, those of different groups do not.
func TestFilesMeanTheSameOrNot(t *testing.T) {
	for _, c := range []struct {
		file   string
		groups [][]string
	}{
		{"/etc/ssh/sshd_config", [][]string{
			{"Port 22\nPermitRootLogin no\n", "# c\npermitrootlogin no\n\n  PORT\t22", "Port=22\nPermitRootLogin no\nPermitRootLogin yes\n"}, // the first counts
			{"Port 22\nPermitRootLogin yes\n"},
			{"Port 22\nPort 2222\nPermitRootLogin no\n"},
			{"Port 2222\nPort 22\nPermitRootLogin no\n"},
			{"Port 22\nInclude x\nPermitRootLogin no\n"},
			{"Port 22\nMatch User a\nPermitRootLogin no\n"},
			{"Port 22\nMatch User b\nPermitRootLogin no\n"},
			{"AcceptEnv A\nAcceptEnv B\n", "AcceptEnv A\nacceptenv   B\n"},
			{"PerSourcePenalties crash:90s\nPerSourcePenalties authfail:5s\n"}, // it adds up
			{"PerSourcePenalties crash:90s\n"},
		}},
		{"/etc/sysctl.d/99-x.conf", [][]string{
			{"vm.swappiness=10\nnet.core.somaxconn = 4096\n", "; c\nnet/core/somaxconn=4096\nvm.swappiness = 60\nvm.swappiness = 10\n"},
			{"vm.swappiness=11\nnet.core.somaxconn = 4096\n"},
			{"-vm.swappiness\nnet.core.somaxconn = 4096\n"},
			{"net.ipv4.ip_forward=1\nnet.ipv4.conf.all.rp_filter=1\n"},
			{"net.ipv4.conf.all.rp_filter=1\nnet.ipv4.ip_forward=1\n"}, // forwarding sets others
		}},
		{"/etc/default/grub", [][]string{
			{"A=1\nB=\"x y\"\n", "# c\nB='x y'\n\nA=1 # one\n", "A=2\nB='x y'\nA=1\n"},
			{"A=1\nexport B=\"x y\"\n", "export B='x y'\nA=1\n"}, // other programs see it
			{"A=~/x\n"},
			{"A=\"~/x\"\n"}, // the shell's home, and a tilde
			{"A=1\nB=\"x  y\"\n"},
			{"A=1\nB=\"$A y\"\n"},
			{"B=\"$A y\"\nA=1\n"},
		}},
		{"/etc/x.ini", [][]string{
			{"[a]\nx=1\ny = 2\n", "; c\n[a]\ny=2\n\nx=1\n"},
			{"[a]\nx=1\n[b]\ny=2\n"},
			{"[a]\nx=1\n[a]\ny=2\n"},
		}},
		{"/etc/systemd/system/x.service", [][]string{
			{"[Service]\nExecStart=/bin/a \\\n  -b\nUser=x\n", "# c\n[Service]\nUser=x\nExecStart=/bin/a \\\n# c\n -b\n"},
			{"[Service]\nExecStart=/bin/a\nUser=x\n"},
			{"[Service]\nEnvironment=A\nEnvironment=\nEnvironment=B\n"},
			{"[Service]\nEnvironment=\nEnvironment=A\nEnvironment=B\n"},
		}},
		{"/etc/systemd/network/10.network", [][]string{
			{"[Route]\nGateway=a\nDestination=x\n[Route]\nDestination=y\n"},
			{"[Route]\nDestination=x\n[Route]\nGateway=a\nDestination=y\n"},
		}},
		{"/etc/fstab", [][]string{
			{"UUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs\n", "# c\nUUID=1\t/\text4\tdefaults\t0\t1\n\ntmpfs /tmp tmpfs defaults 0 0\n"},
			{"UUID=1 / ext4 defaults 0 2\ntmpfs /tmp tmpfs\n"},
		}},
		{"/etc/hosts", [][]string{
			{"127.0.0.1 localhost\n", "127.0.0.1\tlocalhost # c\n127.0.1.1 web-1\n# evenkeel: machines\n10.0.0.2 db\n# evenkeel: end\n", "127.0.0.1 localhost\n127.0.1.1 web-2.example.org web-2\n127.0.1.1 web-2\n"},
			{"127.0.0.1 localhost\n127.0.1.1 web-1 updates.example\n", "127.0.0.1 localhost\n127.0.1.1 web-2\n127.0.1.1 updates.example\n"},
			{"127.0.0.1 localhost evil\n"},
			{"127.0.0.1 localhost\n10.0.0.9 updates.example\n"},
		}},
		{"/etc/cron.d/x", [][]string{
			{"PATH=/bin\n* *\t* * * root  run  a\n", "# c\nPATH = /bin\n* * * * *   root run  a\n"},
			{"* * * * * root run  a\nPATH=/bin\n"},
			{"PATH=/bin\n* * * * * root run a\n"},
			{"@daily root x=1 run\n"},
		}},
		{"/etc/apt/sources.list", [][]string{
			{"deb http://a/debian/ bookworm main contrib\n", "# c\ndeb  http://a/debian bookworm contrib main # x\n", "deb http://a/debian bookworm main\ndeb http://a/debian bookworm contrib\n"},
			{"deb [trusted=yes] http://a/debian bookworm main contrib\n"},
			{"deb [arch=amd64 signed-by=/k] http://a/debian bookworm main\n", "deb [ signed-by=/k arch=amd64 ] http://a/debian bookworm main\n"},
			{"deb-src http://a/debian bookworm main contrib\n"},
		}},
		{"/etc/apt/sources.list.d/x.sources", [][]string{
			{"Types: deb deb-src\nURIs: http://a\nSuites: b c\nComponents: main\n", "# c\nsuites: c b\nURIs: http://a/\nTypes: deb-src\n deb\nComponents: main\n\nTypes: deb\nURIs: http://no\nSuites: x\nEnabled: no\n"},
			{"Types: deb\nURIs: http://a\nSuites: b c\nComponents: main\n"},
			{"Types: deb deb-src\nURIs: http://a\nSuites: b c\nComponents: main\nTrusted: yes\n"},
		}},
		{"/etc/x.json", [][]string{
			{`{"a":1,"b":[1,2]}`, "{\n  \"b\": [1, 2],\n  \"a\": 1\n}\n"},
			{`{"a":"1","b":[1,2]}`}, {`{"a":1,"b":[2,1]}`}, {`{"a":1.0,"b":[1,2]}`}, {`{"a.b":1}`}, {`{"a":{"b":1}}`}, {`{"a":[]}`}, {`{"a":{}}`}, {`{"a":null}`}, {`{}`}, {`[]`},
		}},
		{"/etc/x.yaml", [][]string{
			{"a: 1\nb: [x, 'y']\n", "# c\nb:\n- \"x\"\n- y\na: 1\n", "b: &k [x, y]\na: 1"},
			{"a: yes\n"}, {"a: 'yes'\n", "a: \"yes\"\n"}, {"a: 1:30\n"}, {"a: '1:30'\n"}, // to YAML 1.1 the plain ones are truth and 90
			{"a: '1'\nb: [x, y]\n"}, {"a: 1\nb: [x, true]\n"}, {"a: 1\n---\nb: [x, y]\n"}, {"a: []\n"}, {"a: {}\n"}, {"a:\n"},
		}},
		{"/etc/x.toml", [][]string{
			{"a = 1\nb = \"x # y\"\n[t]\nc = [1,\n  2] # c\n", "# c\nb=\"x # y\"\na=1\n\n[t]\nc = [ 1, 2 ]\n"},
			{"a = 1\nb = \"x # z\"\n[t]\nc = [1, 2]\n"},
			{"[t]\na = 1\nb = \"x # y\"\nc = [1,2]\n"},
			{"[[t]]\na = 1\n[[t]]\nb = 1\n"}, {"[[t]]\nb = 1\n[[t]]\na = 1\n"},
			{"[[t]]\n[t.x]\na=1\n[[t]]\n"}, {"[[t]]\n[[t]]\n[t.x]\na=1\n"},
		}},
	} {
		t.Run(strings.TrimPrefix(c.file, "/etc/"), func(t *testing.T) {
			for i, group := range c.groups {
				for _, a := range group {
					if _, ok := parity.Meaning(c.file, a); !ok {
						t.Errorf("%q cannot be read", a)
					}
					for j, other := range c.groups {
						for _, b := range other {
							ma, _ := parity.Meaning(c.file, a)
							mb, _ := parity.Meaning(c.file, b)
							if (ma == mb) != (i == j) {
								t.Errorf("%q and %q: same %v, want %v:\n%q\n%q", a, b, ma == mb, i == j, ma, mb)
							}
						}
					}
				}
			}
		})
	}
}

// What has not the form is not guessed at: such texts are compared line by line.
func TestWhatHasNotTheFormHasNoMeaning(t *testing.T) {
	for file, texts := range map[string][]string{
		"/etc/ssh/sshd_config":              {"Port\n", "Port 22 # c\n"},
		"/etc/sysctl.conf":                  {"vm.swappiness\n", "net.ipv4.conf.*.x = 1\n"},
		"/etc/default/x":                    {"A=1\nif true; then B=2; fi\n", "A='x\ny'\n", "A=\"x\" y\n", "A=a\\\nb\n", "A= x\n", "A=1\nexport A=2\n"},
		"/etc/fstab":                        {"/dev/x /\n"},
		"/etc/hosts":                        {"# evenkeel: machines\n10.0.0.1 evil\n"},
		"/etc/crontab":                      {"* * * root x\n"},
		"/etc/apt/sources.list":             {"deb [a http://x y z\n", "rpm x y\n"},
		"/etc/apt/sources.list.d/x.sources": {"Types: deb\n", " x\n", "Types: deb\nTypes: deb\nURIs: a\nSuites: b\n"},
		"/etc/systemd/x.conf":               {"[a\nb=1\n", "[a]\nb\n", "[a]\nb=1 \\"},
		"/etc/x.json":                       {"{", `{"a":1}{}`, `{"a":1,"a":2}`, strings.Repeat("[", 200) + strings.Repeat("]", 200)},
		"/etc/x.yaml":                       {"a: [", "a: 1\na: 2\n", "<<: {a: 1}\n", "a: &a [*a]\n", "a: &x [1,1,1,1,1,1,1,1,1]\nb: &y [*x,*x,*x,*x,*x,*x,*x,*x]\nc: &z [*y,*y,*y,*y,*y,*y,*y,*y]\nd: &w [*z,*z,*z,*z,*z,*z,*z]\ne: [*w,*w,*w,*w,*w,*w]\n"},
		"/etc/x.toml":                       {"a", "a = [1", "a = \"x\n", "[a\nb=1\n", "a = '''x"},
		"/etc/motd":                         {"hello\n"},
	} {
		for _, text := range append(texts, "x\x00y", strings.Repeat("a=1\n", 1<<17)) {
			if m, ok := parity.Meaning(file, text); ok {
				t.Errorf("%s: %.60q was read as %.100q", file, text, m)
			}
		}
	}
}

func FuzzLenses(f *testing.F) {
	files := []string{
		"/etc/ssh/sshd_config", "/etc/sysctl.conf", "/etc/default/x", "/etc/fstab", "/etc/hosts", "/etc/crontab", "/etc/apt/sources.list",
		"/etc/apt/sources.list.d/x.sources", "/etc/systemd/x.conf", "/etc/x.json", "/etc/x.yaml", "/etc/x.toml", "/etc/x.ini",
	}
	for i, text := range []string{
		"Port 22\nMatch User a\n X y\n", "a.b=1\n-c/d = 2\n", "A=\"x y\" # c\n", "UUID=1 / ext4 defaults 0 1\n", "::1 localhost\n# evenkeel: machines\n# evenkeel: end\n",
		"@daily root x\n1 2 3 4 5 root y\n", "deb [a=b] http://a b c\n", "Types: deb\nURIs: a\n b\nSuites: c\n", "[a]\nb=c \\\n d\n", `{"a":[1,{"b":null}]}`,
		"a: &x [1, *y]\n---\nb: !!str 1\n", "a=\"\"\"x\"\"\"\n[[b]]\nc={d=1}\n", "[a]\nb=c\n",
	} {
		f.Add(i, text)
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		file := files[uint(i)%uint(len(files))]
		m, ok := parity.Meaning(file, text)
		again, ok2 := parity.Meaning(file, text)
		if m != again || ok != ok2 {
			t.Fatalf("%s: %q is read in two ways", file, text)
		}
		// More empty lines mean nothing where each statement stands on a line of its own.
		if more, ok2 := parity.Meaning(file, "\n\n"+text); ok && !strings.Contains(file, "x.yaml") && (!ok2 || more != m) {
			t.Fatalf("%s: empty lines before %q change its meaning:\n%q\n%q", file, text, m, more)
		}
		if d := parity.DiffTexts(file, text, text+"\nx"); len(d) > 20<<10 {
			t.Fatalf("%s: a diff of %d bytes", file, len(d))
		}
	})
}

func TestDiffsAreBounded(t *testing.T) {
	for _, file := range []string{"/etc/motd", "/etc/x.json", "/etc/sysctl.conf"} {
		a, b := strings.Repeat("x.y = 1\n", 7000), strings.Repeat("z = 2\nq = 3\n", 5000)
		if d := parity.DiffTexts(file, a, b); len(d) > 17<<10 || d == "" {
			t.Errorf("%s: %d bytes", file, len(d))
		}
		if d := parity.DiffTexts(file, strings.Repeat(a, 20), b); len(d) > 17<<10 || d == "" {
			t.Errorf("%s: %d bytes of a huge one", file, len(d))
		}
	}
}
