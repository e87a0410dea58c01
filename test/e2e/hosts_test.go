// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// fleet is machines that exist already, on loopback, and a project whose tier prod lists them.
type fleet struct {
	*site
	ports []string // of web-1, web-2 and, behind web-1, db-1
	known []string // their lines of known_hosts
	keys  [3]atomic.Pointer[sshtest.HostKey]
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	dir := t.TempDir()
	private, public, err := ssh.GenerateKey("login")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "login")
	if err := os.WriteFile(key, private, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fleet{}
	for i, user := range []string{"deploy", "root", "dba"} {
		hostPrivate, hostPublic, err := ssh.GenerateKey("")
		if err != nil {
			t.Fatal(err)
		}
		f.keys[i].Store(&sshtest.HostKey{Private: hostPrivate})
		s, err := sshtest.Serve(t.Context(), sshtest.Config{
			HostKeys: func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{*f.keys[i].Load()}, nil },
			Authorized: func(as string) []string {
				if as != user {
					return nil
				}
				return []string{string(public)}
			},
			Exec: sshtest.Shell(dir), Dial: new(net.Dialer).DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		f.ports = append(f.ports, port)
		f.known = append(f.known, "[127.0.0.1]:"+port+" "+strings.TrimSpace(string(hostPublic))+"\n")
	}
	inventory := fmt.Sprintf("[all:vars]\nansible_host=127.0.0.1\nansible_ssh_private_key_file=%s\n[web]\nweb-1.example ansible_port=%s ansible_user=deploy\nweb-2.example ansible_port=%s ansible_user=root\n"+
		"[db]\ndb-1.example ansible_port=%s ansible_user=dba ansible_ssh_common_args='-o ProxyJump=deploy@127.0.0.1:%s'\n", key, f.ports[0], f.ports[1], f.ports[2], f.ports[0])
	f.site = newSite(t, map[string]string{
		"hosts.ini":   inventory,
		"ssh_config":  "Host *\n  IdentityFile " + key + "\n",
		"known_hosts": f.known[0] + f.known[1] + f.known[2],
		"inventory":   "#!/bin/sh\ntouch \"$HOME/ran\"\necho '{\"web\": [\"web-1.example\"]}'\n",
		"env.yaml": `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
secrets: {TOKEN: {command: "touch $HOME/secret-read; echo x"}}
machines:
  web: {count: 2, stateless: true}
  db: {}
tiers:
  laptop: {provider: fake, config: {world: WORLD}}
  prod: {provider: hosts, config: {inventory: hosts.ini, ssh_config: ssh_config, known_hosts: known_hosts}}
  dynamic: {provider: hosts, config: {inventory: {command: [sh, ./inventory, --list]}, known_hosts: known_hosts}}
`,
	})
	return f
}

func (f *fleet) project(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMachinesThatExistAreReadAndNeverChanged(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	p := f.run(0, "status", "--tier", "prod")
	for _, want := range []string{"shop.prod on hosts", "web-1", "web-2", "db-1"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("status says\n%s\nwant %s in it", p.stdout, want)
		}
	}
	if p := f.run(0, "status", "--check", "--tier", "prod"); strings.Count(p.stdout.String(), "ready") != 3 {
		t.Errorf("status --check says\n%s\nwant three machines ready", p.stdout)
	}
	f.run(0, "plan", "--tier", "prod")
	for name, user := range map[string]string{"web-1": "deploy", "web-2": "root", "db-1": "dba"} {
		f.run(0, "ssh", name, "--tier", "prod", "--", "true")
		f.run(7, "ssh", name, "--tier", "prod", "--", "exit 7")
		f.run(1, "ssh", name, "--tier", "prod", "--user", user+"x", "--", "true")
	}
	for _, verb := range [][]string{
		{"up"}, {"down"}, {"down", "web-1"}, {"rebuild", "web"}, {"refresh"}, {"start"}, {"stop"}, {"suspend"}, {"resume"}, {"sync"}, {"snapshot", "save"}, {"access"},
	} {
		p := f.run(1, append(verb, "--tier", "prod")...)
		if !strings.Contains(p.stderr.String(), "exist already and are only read") {
			t.Errorf("%v says %s, want why it is refused", verb, p.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(f.home, "secret-read")); err == nil {
		t.Error("a verb that is refused has read a secret")
	}
}

// What the hint says is typed as it stands; then the machine is known.
func TestUnknownAndChangedKeysAreUntrustedUntilAPersonSaysOtherwise(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.project(t, "known_hosts", f.known[1]+f.known[2])
	p := f.run(1, "ssh", "web-1", "--tier", "prod", "--", "touch $HOME/in")
	text := p.stderr.String()
	if !strings.Contains(text, "no key of 127.0.0.1 is known") {
		t.Fatalf("got %s, want the unknown key named", text)
	}
	p = f.run(3, "status", "--check", "--tier", "prod", "--json")
	if got := strings.Count(p.stdout.String(), `"unreachable": true`); got != 2 { // web-1, and db-1 behind it
		t.Errorf("got %d machines unreachable in\n%s\nwant 2", got, p.stdout)
	}
	p = f.run(3, "facts", "--tier", "prod", "--section", "os")
	for _, want := range []string{"prod/web-1: unreachable: untrusted: cannot reach machine web-1: host key not trusted", "ssh-keyscan", "prod/web-2: "} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("got\n%s\nwant %s in it", p.stdout, want)
		}
	}
	p = f.run(1, "doctor", "--tier", "prod")
	if got := strings.Count(p.stdout.String(), "type: ssh-keyscan "); got != 2 {
		t.Errorf("got\n%s\nwant two machines, each with what to type", p.stdout)
	}
	_, err := exec.LookPath("ssh-keyscan")
	conformance.Require(t, "ssh-keyscan", err)
	hint := regexp.MustCompile(`hint: (ssh-keyscan [^;]*); (ssh-keygen -lf [^;]*); .*: (cat .*)`).FindStringSubmatch(text)
	if hint == nil {
		t.Fatalf("got %s, want a hint to type", text)
	}
	for _, line := range hint[1:] {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = f.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	f.run(0, "ssh", "web-1", "--tier", "prod", "--", "true")
	f.run(0, "facts", "--tier", "prod", "--section", "os")

	f.keys[0].Store(f.keys[1].Swap(f.keys[0].Load()))
	p = f.run(1, "ssh", "web-2", "--tier", "prod", "--", "true")
	if text := p.stderr.String(); !strings.Contains(text, "which is none of the 1 expected") || !strings.Contains(text, "another key than the known one") {
		t.Errorf("got %s, want the changed key named, and what it may mean", text)
	}
	// Typed as it stands, the new key takes the old one's place: the old one is not believed beside it.
	hint = regexp.MustCompile(`on purpose, take the old one away: (ssh-keygen -f [^;]*); then (ssh-keyscan [^;]*); .*: (cat .*)`).FindStringSubmatch(p.stderr.String())
	if hint == nil {
		t.Fatalf("got %s, want a hint to type", p.stderr)
	}
	for _, line := range hint[1:] {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = f.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	f.run(0, "ssh", "web-2", "--tier", "prod", "--", "true")
	known, err := os.ReadFile(filepath.Join(f.dir, "known_hosts"))
	if err != nil || strings.Contains(string(known), f.known[1]) {
		t.Errorf("got %s, %v; want the old key of web-2 gone", known, err)
	}
}

func TestOpenSSHReachesMachinesThatExist(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ssh")
	conformance.Require(t, "ssh", err)
	f := newFleet(t)
	config := filepath.Join(f.home, "config")
	if err := os.WriteFile(config, []byte(f.run(0, "ssh-config", "--tier", "prod").stdout.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string) (string, error) {
		cmd := exec.Command(program, "-F", config, "-o", "BatchMode=yes", name, "echo here")
		cmd.Env = append(os.Environ(), "HOME="+f.home, "SSH_AUTH_SOCK=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, name := range []string{"web-1", "web-2.shop.prod", "db-1"} {
		if out, err := run(name); err != nil || strings.TrimSpace(out) != "here" {
			text, _ := os.ReadFile(config)
			t.Errorf("ssh %s: %v: %s\n%s", name, err, out, text)
		}
	}
	f.run(0, "ssh-config", "--install", "--tier", "prod")
	config = filepath.Join(f.home, ".ssh", "config")
	if out, err := run("db-1.shop.prod"); err != nil || strings.TrimSpace(out) != "here" {
		t.Errorf("ssh db-1.shop.prod by the installed file: %v: %s", err, out)
	}
	f.keys[0].Store(f.keys[1].Swap(f.keys[0].Load()))
	if out, err := run("web-2.shop.prod"); err == nil || !strings.Contains(out, "REMOTE HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("ssh believes a changed key: %s", out)
	}
}

func TestInventoryOfACommandNeedsConsent(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ran := func() bool {
		_, err := os.Stat(filepath.Join(f.home, "ran"))
		return err == nil
	}
	p := f.run(1, "status", "--tier", "dynamic")
	if text := p.stderr.String(); ran() || !strings.Contains(text, "tiers.dynamic.config.inventory: its command may not run here yet: `sh ./inventory --list`") || !strings.Contains(text, "evenkeel trust") {
		t.Fatalf("got %s, it ran: %v", text, ran())
	}
	f.run(0, "gc")
	f.run(1, "doctor", "--tier", "dynamic")
	if ran() {
		t.Fatal("it ran without consent")
	}
	f.run(0, "trust", "--yes")
	if p := f.run(0, "status", "--tier", "dynamic"); !ran() || !strings.Contains(p.stdout.String(), "web-1") || !strings.Contains(p.stdout.String(), "absent") {
		t.Errorf("got\n%s, want web-1, and that machines are missing", p.stdout)
	}
	f.project(t, "inventory", "echo changed; touch $HOME/ran-changed\n")
	f.run(1, "status", "--tier", "dynamic")
	if _, err := os.Stat(filepath.Join(f.home, "ran-changed")); err == nil {
		t.Error("a changed command ran without consent")
	}
	f.project(t, "inventory", "#!/bin/sh\necho no json\n")
	f.run(0, "trust", "--yes")
	if p := f.run(1, "status", "--tier", "dynamic"); !strings.Contains(p.stderr.String(), "it is no JSON of the form that ansible-inventory --list prints") {
		t.Errorf("got %s", p.stderr)
	}
}
