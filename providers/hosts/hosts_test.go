// SPDX-License-Identifier: Apache-2.0

package hosts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/hosts"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func expand(pattern string) ([]string, error) { return hosts.ExpandRanges(pattern) }

// open opens the provider; known_hosts is an empty file unless config says another.
func open(t *testing.T, config map[string]any) (providers.Provider, error) {
	t.Helper()
	if _, ok := config["known_hosts"]; !ok {
		config["known_hosts"] = []string{}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return hosts.Plugin.Open(t.Context(), raw, hclog.NewNullLogger())
}

func listed(t *testing.T, config map[string]any) []providers.Machine {
	t.Helper()
	p, err := open(t, config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.ListMachines(t.Context(), "shop.prod")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Env != "shop.prod" || m.State != providers.Running || m.Labels.Validate() != nil {
			t.Errorf("got %+v, want a running machine of shop.prod with good labels", m)
		}
	}
	return list
}

func TestAllThatIsWrongWithTheConfigurationIsToldAtOnce(t *testing.T) {
	_, err := open(t, map[string]any{
		"adresses": []string{"x"}, "addresses": []any{"web 1", "a@b@", "ok.example", 7, "h:0", "[::1", "-x"}, "user": "a b", "via": "x;y",
		"known_hosts": "relative", "ca": []string{"no key"}, "names": "long", "kinds": map[string]any{"Web": []string{"x"}, "db": []string{"a b"}},
		"ssh_config": map[string]any{"hosts": []string{"x"}}, "inventory": map[string]any{"command": []string{"inv"}},
	})
	if providers.CodeOf(err) != providers.Invalid {
		t.Fatalf("got %v, want Invalid", err)
	}
	for _, want := range []string{
		`unknown key "adresses"`, "did you mean addresses?", "config.addresses[3]", `config.user: got "a b"`, "config.via: jump host",
		"config.known_hosts: got \"relative\"", "config.ca[0]", `config.names: got "long"`, `got the kind "Web"`, "config.kinds.db[0]", "config.ssh_config: names no file",
		"config.inventory: its command was not run", "evenkeel trust",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got\n%v\nwant %s in it", err, want)
		}
	}
	_, err = open(t, map[string]any{"addresses": []string{"web 1", "a@b@", "h:0", "[::1", "-x", "a..b", "web-1\x1b[2J", "u;x@h", "h:", "::1%eth0"}})
	for i := range 10 {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("config.addresses[%d]: got", i)) {
			t.Errorf("got %v, want a problem with address %d", err, i)
		}
	}
}

func TestNamesAndKinds(t *testing.T) {
	addresses := []string{"web-1.eu.example", "jo@web-2.eu.example:2222", "10.0.0.5", "2001:db8::7", "[2001:db8::8]:2200"}
	got := lines(listed(t, map[string]any{"addresses": addresses, "kinds": map[string]any{"web": []string{"web-*"}}, "user": "ops"}))
	const want = `10.0.0.5  ops@10.0.0.5:22 []
2001-db8--7  ops@[2001:db8::7]:22 []
2001-db8--8  ops@[2001:db8::8]:2200 []
web-1 web ops@web-1.eu.example:22 []
web-2 web jo@web-2.eu.example:2222 []
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	list := listed(t, map[string]any{"addresses": []string{"web-1.eu.example", "web-1.us.example"}, "names": "full"})
	if list[0].Name != "web-1.eu.example" || list[1].Name != "web-1.us.example" {
		t.Errorf("got %s and %s, want full names", list[0].Name, list[1].Name)
	}
	list = listed(t, map[string]any{"addresses": []string{"127.0.0.1:2201", "127.0.0.1:2202"}, "names": map[string]string{"127.0.0.1:2201": "web-1", "127.0.0.1:2202": "web-2"}})
	if list[0].Name != "web-1" || list[1].SSH != "127.0.0.1:2202" {
		t.Errorf("got %+v", list)
	}
	for what, config := range map[string]map[string]any{
		"would both be machine web-1":    {"addresses": []string{"web-1.eu.example", "web-1.us.example"}},
		`there is no host "web-9"`:       {"addresses": []string{"web-1"}, "names": map[string]string{"web-9": "x"}},
		"is of the kinds db and web":     {"addresses": []string{"web-1"}, "kinds": map[string]any{"web": "web-*", "db": "*-1"}},
		"names no machine":               {"user": "jo"},
		"named twice, with the login":    {"addresses": []string{"a@web-1", "b@web-1"}},
		"got the name \"Web\" for \"a\"": {"addresses": []string{"a"}, "names": map[string]string{"a": "Web"}},
	} {
		if _, err := open(t, config); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want: %s", err, what)
		}
	}
}

// A name that ends in a digit and a b is no second machine of a role here: nobody surges these.
func TestNameThatLooksLikeASurgeIsAName(t *testing.T) {
	list := listed(t, map[string]any{"addresses": []string{"db-1", "db-1b"}})
	if list[1].Role() != "db-1b" {
		t.Errorf("got the role %s, want db-1b", list[1].Role())
	}
}

func TestSSHConfigSaysHowHostsAreReached(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "more"), []byte("Host included\n  HostName 10.9.9.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, "ssh_config", `Include `+filepath.Join(home, ".ssh", "more")+`
Host web-* !web-9
  HostName %h.prod.example
  User deploy
  IdentityFile ~/.ssh/prod
  ProxyJump hop@bastion:2222,inner
Host bastion
  HostName gate.example
  ProxyJump outer
Host web-1 web-9
  Port 2200
  HostKeyAlias one
Host cmd
  ProxyCommand nc %h %p
Host odd
  HostName %Z
Host *
  User nobody
`)
	way := func(m providers.Machine) string {
		if m.Host.Trouble != "" {
			return "trouble: " + m.Host.Trouble
		}
		var all []string
		for _, h := range m.Host.Hops {
			all = append(all, fmt.Sprintf("%s@%s(%s)", h.User, h.Address, h.Name))
		}
		return strings.Join(all, " ")
	}
	list := listed(t, map[string]any{"ssh_config": map[string]any{"file": file, "hosts": []string{"web-*", "included", "cmd", "odd"}}, "via": "other"})
	got := map[string]string{}
	for _, m := range list {
		got[m.Name] = way(m)
	}
	jumps := "nobody@outer:22(outer) hop@gate.example:2222(gate.example) nobody@inner:22(inner) "
	for name, want := range map[string]string{
		"web-1":    jumps + "deploy@web-1.prod.example:2200(one)",
		"web-9":    "nobody@other:22(other) nobody@web-9:2200(one)",
		"included": "nobody@other:22(other) nobody@10.9.9.9:22(10.9.9.9)",
	} {
		if got[name] != want {
			t.Errorf("%s: got  %s\nwant %s", name, got[name], want)
		}
	}
	if !strings.Contains(got["cmd"], "ProxyCommand for cmd, which is not run") || !strings.Contains(got["odd"], "HostName for odd cannot be used") {
		t.Errorf("got %q and %q, want what cannot be honoured said", got["cmd"], got["odd"])
	}
	if ids := list[len(list)-2].Host.Hops[3].Identities; len(ids) != 1 || ids[0] != home+"/.ssh/prod" {
		t.Errorf("got the keys %v, want ~/.ssh/prod", ids)
	}
}

func TestAJumpHostOfTheTierIsReachedByThoseBeforeIt(t *testing.T) {
	list := listed(t, map[string]any{"addresses": []string{"outer", "inner", "web-1"}, "via": "outer,inner"})
	for i, want := range []string{"inner by outer", "outer by", "web-1 by outer inner"} {
		got := list[i].Name + " by"
		for _, h := range list[i].Host.Hops[:len(list[i].Host.Hops)-1] {
			got += " " + h.Name
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAJumpHostsProxyCommandIsSaidAndNotPassedOver(t *testing.T) {
	file := write(t, "ssh_config", "Host web-1\n  ProxyJump gate\nHost gate\n  ProxyCommand nc %h %p\n")
	list := listed(t, map[string]any{"addresses": []string{"web-1", "gate"}, "ssh_config": file, "via": "none"})
	for _, m := range list {
		if !strings.Contains(m.Host.Trouble, "ProxyCommand for gate, which is not run") {
			t.Errorf("%s: got %+v, want the command of the jump host named", m.Name, m.Host)
		}
	}
}

func TestSSHConfigThatCannotBeHonouredIsRefused(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, text := range []string{"Match exec \"touch /tmp/x\"\n User a\n", "Include /dev/zero\n", "Include /proc/self/mem\n", "Host\n", "Match\n", "Include " + strings.Repeat("[", 5) + "\n"} {
		_, err := open(t, map[string]any{"addresses": []string{"a"}, "ssh_config": write(t, "ssh_config", text)})
		if err == nil && text != "Host\n" {
			t.Errorf("%q is accepted", text)
		}
	}
	loop := write(t, "loop", "")
	if err := os.WriteFile(loop, []byte("Include "+loop+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, map[string]any{"addresses": []string{"a"}, "ssh_config": loop}); err == nil {
		t.Error("a file that includes itself is accepted")
	}
	jumps := write(t, "jumps", "Host a\nProxyJump b\nHost b\nProxyJump a\n")
	list := listed(t, map[string]any{"addresses": []string{"a"}, "ssh_config": jumps})
	if !strings.Contains(list[0].Host.Trouble, "lead to each other") {
		t.Errorf("got %+v, want the circle named", list[0].Host)
	}
}

func TestKnownKeysOfEachHost(t *testing.T) {
	key := func() string {
		_, public, err := ssh.GenerateKey("")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(public))
	}
	plain, port, ca, revoked, tier := key(), key(), key(), key(), key()
	known := write(t, "known_hosts", strings.Join([]string{
		"web-1.example " + plain, "[web-2.example]:2222 " + port, "@cert-authority *.example,!web-3.example " + ca, "@revoked * " + revoked, "nonsense", "",
	}, "\n"))
	list := listed(t, map[string]any{"addresses": []string{"web-1.example", "web-2.example:2222", "web-3.example"}, "known_hosts": known, "ca": tier})
	hop := func(i int) providers.Hop { return list[i].Host.Hops[0] }
	for i, want := range [][2][]string{{{plain}, {tier, ca}}, {{port}, {tier, ca}}, {nil, {tier}}} {
		if got := hop(i); fmt.Sprint(got.Keys, got.Authorities, got.Revoked) != fmt.Sprint(want[0], want[1], []string{revoked}) {
			t.Errorf("%s: got %v, want %v", list[i].Name, got, want)
		}
	}
	if list[0].Host.KnownHosts != known {
		t.Errorf("got %s, want %s", list[0].Host.KnownHosts, known)
	}
	if _, err := open(t, map[string]any{"addresses": []string{"a"}, "known_hosts": write(t, "bad", "@revoked a\n")}); err == nil {
		t.Error("a revocation that cannot be read is passed over")
	}
}

func TestNothingIsMadeOrDeleted(t *testing.T) {
	p, err := open(t, map[string]any{"addresses": []string{"web-1"}})
	if err != nil {
		t.Fatal(err)
	}
	d, ok := providers.As[providers.Doctor](p)
	if !ok {
		t.Fatal("there is no doctor")
	}
	found, err := d.Diagnose(t.Context())
	if err != nil || len(found) != 2 || found[1].OK || !strings.Contains(found[1].Remedy, "ssh-keyscan web-1 >web-1.keys; ssh-keygen -lf web-1.keys") {
		t.Errorf("got %+v, %v, want the machine without a known key, and what to type", found, err)
	}
	if err := p.DeleteEnv(t.Context(), "shop.prod", true); providers.CodeOf(err) != providers.Unsupported {
		t.Errorf("got %v, want Unsupported", err)
	}
	if e, ok := errors.AsType[*providers.Error](p.DeleteMachine(t.Context(), "web-1")); !ok || e.Code != providers.Unsupported || e.Hint == "" {
		t.Errorf("got %v, want Unsupported with a hint", e)
	}
}
