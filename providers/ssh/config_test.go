// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestConfigBlockIsStable(t *testing.T) {
	got := ssh.ConfigBlock([]ssh.HostEntry{
		{
			Names: []string{"web-1", "web-1.shop.laptop"}, HostName: "127.0.0.1", Port: 2222, User: "deploy", IdentityFile: "/home/me/my keys/100%",
			KnownHosts: "/home/me/.local/state/evenkeel/known_hosts", HostKeyAlias: "web-1.shop.laptop",
		},
		{Names: []string{"db-1"}, HostName: "2001:db8::1", User: "deploy", KnownHosts: "/k", HostKeyAlias: "db-1.shop.laptop", ProxyJump: "me@bastion:22"},
		{Names: []string{"*"}, HostName: "127.0.0.1", KnownHosts: "/k", HostKeyAlias: "x"},
		{Names: []string{"x"}, HostName: "127.0.0.1\nProxyCommand id", KnownHosts: "/k", HostKeyAlias: "x"},
		{Names: []string{"x"}, HostName: "127.0.0.1", KnownHosts: "/k", HostKeyAlias: "x", ProxyJump: "-oProxyCommand=id"},
		{Names: []string{"x"}, HostName: "127.0.0.1"},
	})
	golden := filepath.Join("testdata", "config", "hosts.conf")
	if *update {
		write(t, golden, got, 0o644)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func needOpenSSH(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("needs OpenSSH's client: ", err)
	}
}

func TestOpenSSHReadsTheBlockAsMeant(t *testing.T) {
	needOpenSSH(t)
	dir := t.TempDir()
	write(t, dir+"/config", ssh.ConfigBlock([]ssh.HostEntry{{
		Names: []string{"web-1", "web-1.shop.laptop"}, HostName: "127.0.0.1", Port: 2222, User: "deploy", IdentityFile: dir + "/my 100% key",
		KnownHosts: dir + "/known hosts", HostKeyAlias: "web-1.shop.laptop",
	}}), 0o600)
	for _, name := range []string{"web-1", "web-1.shop.laptop"} {
		out, err := exec.Command("ssh", "-F", dir+"/config", "-G", name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		lines := strings.Split(string(out), "\n")
		for _, want := range []string{
			"hostname 127.0.0.1", "port 2222", "user deploy", "identitiesonly yes", "stricthostkeychecking true", "updatehostkeys false",
			"hostkeyalias web-1.shop.laptop", "globalknownhostsfile /dev/null",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("%s: ssh -G lacks %q:\n%s", name, want, out)
			}
		}
	}
}

// openSSH runs the real client against the rig through a config and known_hosts of ours.
func openSSH(t *testing.T, r *rig, ca string, command ...string) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a 100% folder")
	id, err := ssh.LoadIdentity("", dir+"/id")
	if err != nil {
		t.Fatal(err)
	}
	r.identity = id
	line, err := ssh.KnownHosts(principal, ca)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/known_hosts", []byte(line), 0o600)
	host, port, err := net.SplitHostPort(r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/config", ssh.ConfigBlock([]ssh.HostEntry{{
		Names: []string{"web-1"}, HostName: host, Port: number, User: "deploy", IdentityFile: dir + "/id", KnownHosts: dir + "/known_hosts", HostKeyAlias: principal,
	}}), 0o600)
	out, err := exec.CommandContext(t.Context(), "ssh", append([]string{"-F", dir + "/config", "-o", "BatchMode=yes", "web-1"}, command...)...).CombinedOutput()
	return string(out), err
}

func TestOpenSSHConnectsByTheBlock(t *testing.T) {
	needOpenSSH(t)
	r := newRig(t, nil)
	if out, err := openSSH(t, r, r.ca.PublicKey(), "echo from OpenSSH; exit 5"); err == nil || err.Error() != "exit status 5" || out != "from OpenSSH\n" {
		t.Errorf("got %q, %v", out, err)
	}
	other, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := openSSH(t, r, other.PublicKey(), "echo reached"); err == nil || strings.Contains(out, "reached") || !strings.Contains(out, "Host key verification failed") {
		t.Errorf("another authority: got %q, %v, want a refusal", out, err)
	}
}

func TestKnownHostsRefusesWhatWouldTrustMore(t *testing.T) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "*", "a,b", "!x", "a b", "a\nb", "web-?"} {
		if line, err := ssh.KnownHosts(name, ca.PublicKey()); err == nil {
			t.Errorf("%q: got %q, want an error", name, line)
		}
	}
	if _, err := ssh.KnownHosts("web-1", "nonsense"); err == nil {
		t.Error("nonsense was taken for a key")
	}
}
