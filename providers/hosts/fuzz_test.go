// SPDX-License-Identifier: Apache-2.0

package hosts_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers/hosts"
)

// harmless holds for every name that gets in: it can stand in a terminal, in a shell's line and in OpenSSH's files.
func harmless(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if n == "" || n[0] == '-' || strings.Trim(n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") != "" {
			t.Errorf("the name %q got in", n)
		}
	}
}

func fuzzInventory(f *testing.F, form string, seeds ...string) {
	for _, s := range append(seeds, "", "\x00", strings.Repeat("[", 100), strings.Repeat("{", 1000)) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := hosts.ParseInventory(form, data)
		if err == nil {
			harmless(t, names...)
		}
		if len(names) > 100_000 {
			t.Errorf("got %d hosts", len(names))
		}
	})
}

func FuzzINI(f *testing.F) {
	fuzzInventory(f, "ini", ini, "[a:children]\nb\n[b]\n[a:vars]\nx=1\n", "a[1:3]b[x:z]:22 v='q' # c\n", "[2001:db8::1]:22\n[::1]\n")
}

func FuzzYAML(f *testing.F) {
	fuzzInventory(f, "yaml", yamlForm, "a: &a {hosts: {x: }}\nb: *a\n", "all: {children: {a: {children: b}, b: {hosts: x}}}\n", "a: {vars: {ansible_port: !vault x}}\n", "<<: {a: b}\n")
}

func FuzzJSON(f *testing.F) {
	fuzzInventory(f, "json", jsonForm, `{"a": ["x"], "b": {"children": ["a", "b"]}}`, `{"_meta": {"hostvars": {"x": {"ansible_port": {}}}}}`)
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"web[01:20:2].example", "[a:c]", "x[1:9][1:9][1:9][1:9][1:9][1:9]", "[:", "[0:000000000]", "[1:5:99999]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if got, err := hosts.ExpandRanges(pattern); err == nil && (len(got) == 0 || len(got) > 100_000) {
			t.Errorf("%q comes to %d hosts", pattern, len(got))
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a", "u@h:22", "ssh://u@[::1]:22", "[::1]", "::1", "@", "a@b@c:1", "h:", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, host, port, err := hosts.ParseEndpoint(text)
		if err != nil {
			return
		}
		harmless(t, host)
		if port < 0 || port > 65535 || strings.ContainsAny(user, " \t\n'\"`;|&<>\\(){}!*?~#%\x1b") || strings.HasPrefix(user, "-") {
			t.Errorf("%q gives %q at port %d", text, user, port)
		}
	})
}

func FuzzSSHConfig(f *testing.F) {
	for _, s := range []string{"Host a\n  HostName %h.x\n  Port 22\n", "Match all\nUser x\n", "Host *\n\tProxyJump a,b\n", "HostName=\"x\"\n", "Host \"a\n", "Port abc", "=\n", "IdentityFile %d/%Q\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") { // it would read this computer's files
			return
		}
		_, _, _, _ = hosts.SSHConfig(text, "a")
	})
}

func FuzzConfig(f *testing.F) {
	for _, s := range []string{`{}`, `{"addresses": ["a"], "known_hosts": []}`, `{"names": {"a": "b"}, "kinds": {"web": ["x"]}}`, `{"inventory": {"command": ["x"], "output": "{}"}}`, `[]`, `{"ca": ["ssh-ed25519 AAAA"]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil || m["ssh_config"] != nil || m["known_hosts"] != nil || string(m["inventory"]) != "" && m["inventory"][0] == '"' { // files of this computer
			return
		}
		m["known_hosts"] = json.RawMessage("[]")
		raw, err := json.Marshal(m)
		if err != nil {
			return
		}
		p, err := hosts.Plugin.Open(t.Context(), raw, hclog.NewNullLogger())
		if err != nil {
			return
		}
		list, err := p.ListMachines(t.Context(), "a.b")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			harmless(t, m.Name)
			if err := m.Labels.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
