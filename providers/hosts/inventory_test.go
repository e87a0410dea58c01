// SPDX-License-Identifier: Apache-2.0

package hosts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
)

const ini = `# a comment
bare.example:2222 ansible_user=root   # behind a host

[web]
web[01:05:2].example
alias ansible_host=10.0.0.9 ansible_port=2200 ansible_ssh_private_key_file='/keys/a b'

[db]
db-[a:c].example ansible_user="dba"

[site:children]
web
db

[site:vars]
ansible_user=deploy
ansible_port = 22 # as everywhere

[all:vars]
ansible_user=everybody
`

const yamlForm = `all:
  vars: {ansible_user: everybody}
  children:
    ungrouped:
      hosts:
        bare.example: {ansible_port: 2222, ansible_user: root}
    site:
      vars: {ansible_user: deploy, ansible_port: 22}
      children:
        web:
          hosts:
            web[01:05:2].example:
            alias: {ansible_host: 10.0.0.9, ansible_port: 2200, ansible_ssh_private_key_file: /keys/a b}
        db:
          hosts:
            db-[a:c].example: {ansible_user: dba}
`

const jsonForm = `{
  "_meta": {"hostvars": {
    "bare.example": {"ansible_port": 2222, "ansible_user": "root"},
    "web01.example": {"ansible_user": "deploy"}, "web03.example": {"ansible_user": "deploy"}, "web05.example": {"ansible_user": {"__ansible_unsafe": "deploy"}},
    "alias": {"ansible_host": "10.0.0.9", "ansible_port": "2200", "ansible_user": "deploy", "ansible_ssh_private_key_file": "/keys/a b"},
    "db-a.example": {"ansible_user": "dba"}, "db-b.example": {"ansible_user": "dba"}, "db-c.example": {"ansible_user": "dba"}}},
  "all": {"children": ["ungrouped", "site"]},
  "ungrouped": {"hosts": ["bare.example"]},
  "site": {"children": ["web", "db"]},
  "web": {"hosts": ["web01.example", "web03.example", "web05.example", "alias"]},
  "db": ["db-a.example", "db-b.example", "db-c.example"]
}`

// line is a machine in one line: name, kind, login, address, key files.
func line(m providers.Machine) string {
	hop := m.Host.Hops[len(m.Host.Hops)-1]
	return fmt.Sprintf("%s %s %s@%s %v", m.Name, m.Host.Kind, hop.User, hop.Address, hop.Identities)
}

func lines(list []providers.Machine) string {
	var all []string
	for _, m := range list {
		all = append(all, line(m))
	}
	return strings.Join(all, "\n") + "\n"
}

func TestInventoriesOfAllFormsSayTheSame(t *testing.T) {
	const want = `alias web deploy@10.0.0.9:2200 [/keys/a b]
bare  root@bare.example:2222 []
db-a db dba@db-a.example:22 []
db-b db dba@db-b.example:22 []
db-c db dba@db-c.example:22 []
web01 web deploy@web01.example:22 []
web03 web deploy@web03.example:22 []
web05 web deploy@web05.example:22 []
`
	for _, f := range []struct{ file, text string }{{"hosts", ini}, {"hosts.ini", ini}, {"hosts.yml", yamlForm}, {"hosts.json", jsonForm}} {
		t.Run(f.file, func(t *testing.T) {
			file := write(t, f.file, f.text)
			if got := lines(listed(t, map[string]any{"inventory": file})); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	t.Run("a command's output", func(t *testing.T) {
		config := map[string]any{"inventory": map[string]any{"command": []string{"ansible-inventory", "--list"}, "output": jsonForm}}
		if got := lines(listed(t, config)); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

func TestRangesOfInventories(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"web[01:03].example", "web01.example web02.example web03.example"},
		{"web[1:10:4]", "web1 web5 web9"},
		{"web[:2]", "web0 web1 web2"},
		{"web[8:10]", "web8 web9 web10"},
		{"[a:c]-db", "a-db b-db c-db"},
		{"x[a:b][1:2]", "xa1 xa2 xb1 xb2"},
		{"plain", "plain"},
		{"x[y:A]", "xy xz xA"},
	} {
		got, err := expand(c.pattern)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.pattern, got, err, c.want)
		}
	}
	for _, bad := range []string{"web[3:1]", "web[01:3]", "web[1:2", "web[1]", "web[a:2]", "web[1:2:0]", "web[1:2:3:4]", "w[1:1000000]", "w[0:999][0:999]", "w[c:a]", "w[1:99999999999]"} {
		if got, err := expand(bad); err == nil {
			t.Errorf("%s: got %d hosts, want a refusal", bad, len(got))
		}
	}
}

// Each is refused with its place, and nothing of it is guessed.
func TestBadInventoriesAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"a.ini", "web-1\nweb-2 ansible_port=abc\n", `a.ini:2:1: web-2: ansible_port: got the port "abc"`},
		{"a.ini", "web-1 nonsense\n", `a.ini:1:1: got "nonsense" behind the host`},
		{"a.ini", "web-1 x='open\n", "a.ini:1:1: a quotation mark"},
		{"a.ini", "\n[web:child]\nweb-1\n", `a.ini:2:1: got the section "[web:child]"`},
		{"a.ini", "[web:children]\nnowhere\n", "a.ini:1:1: the group web has a child nowhere that is nowhere"},
		{"a.ini", "[a:children]\nb\n[b:children]\na\n", "is among its own children"},
		{"a.ini", "web-1;reboot\n", `got the host "web-1;reboot"`},
		{"a.ini", "web-1\x1b[31m\n", `a.ini:1:1: got`},
		{"a.ini", "-oProxyCommand=x\n", `got the host "-oProxyCommand=x"`},
		{"a.ini", "web-1 ansible_user='a;b'\n", `has ansible_user "a;b"`},
		{"a.ini", "web-1 ansible_host=$(id)\n", `has ansible_host "$(id)"`},
		{"a.ini", "localhost ansible_connection=local\n", "a.ini:1:1: localhost has ansible_connection=local; machines are read over SSH alone"},
		{"a.ini", "web[1:2\n", "a.ini:1:1: got \"web[1:2\", with [ that nothing closes"},
		{"a.ini", "w[1:90000]\nv[1:90000]\n", `a.ini:2:1: got "v[1:90000]": it comes to more than 100000 hosts`},
		{"a.ini", "\xff\xfe\n", "it is no UTF-8 text"},
		{"a.yml", "all:\n  hosts:\n    - web-1\n", "a.yml:3:5: here stand hosts, as a map"},
		{"a.yml", "all: {hosts: {web-1: {ansible_port: [1]}}}\n", "a.yml:1:23: ansible_port is a text or a number"},
		{"a.yml", "all: [\n", "a.yml: "},
		{"a.yml", "", "it is empty"},
		{"a.yml", "all:\n  children:\n    'a b': {}\n", `a.yml:3:5: got the group "a b"`},
		{"a.json", "{\n  \"web\": {\"hosts\": [1]}\n}", "the group web: allowed are hosts and children"},
		{"a.json", "{\n  \"web\": [\n", "a.json:3:"},
		{"a.json", `{"web": ["a b"]}`, `has the host "a b"`},
		{"a.json", `{} {}`, "something follows the inventory"},
		{"a.ini", "#!/bin/sh\necho hi\n", "is a program; say inventory: {command: ["},
	} {
		_, err := open(t, map[string]any{"inventory": write(t, c.file, c.text)})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestWhatOnlyAnsibleCanFillInIsNamedAndKeepsNobodyElse(t *testing.T) {
	file := write(t, "hosts", "web-1 ansible_host='{{ addresses.web }}'\nweb-2\nweb-3 ansible_ssh_common_args='-o ProxyCommand=\"nc x\"'\nweb-4 ansible_ssh_common_args='-o ProxyJump=jo@bastion:2222 -o Foo=bar'\n")
	list := listed(t, map[string]any{"inventory": file})
	if len(list) != 4 || !strings.Contains(list[0].Host.Trouble, "template") || list[1].Host.Trouble != "" || !strings.Contains(list[2].Host.Trouble, "ProxyCommand") {
		t.Fatalf("got %+v", list)
	}
	if hops := list[3].Host.Hops; len(hops) != 2 || hops[0].Address != "bastion:2222" || hops[0].User != "jo" {
		t.Errorf("got the way %+v, want it by jo@bastion:2222", hops)
	}
}

// What clouds' inventories print: a group for each tag, and each machine in dozens of them.
func TestAHostInManyGroupsIsOneHost(t *testing.T) {
	var names []string
	for i := range 6_000 {
		names = append(names, fmt.Sprintf("web-%d", i))
	}
	groups := map[string]any{"_meta": map[string]any{"hostvars": map[string]any{"web-7": map[string]any{"ansible_user": "deploy"}}}}
	for i := range 20 {
		groups[fmt.Sprintf("tag_%d", i)] = names
	}
	text, err := json.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	list := listed(t, map[string]any{"inventory": write(t, "a.json", string(text)), "only": []string{"group:tag_19"}})
	if len(list) != 6_000 {
		t.Fatalf("got %d machines, want 6000", len(list))
	}
	if i := slices.IndexFunc(list, func(m providers.Machine) bool { return m.Name == "web-7" }); list[i].Host.Hops[0].User != "deploy" {
		t.Errorf("got %+v, want the login deploy", list[i].Host)
	}
}

// Each group has all before it above it, which is a square of them.
func TestGroupsThatStandInEachOtherWithoutEndAreRefused(t *testing.T) {
	var b strings.Builder
	for i := range 3_000 {
		fmt.Fprintf(&b, "[g%d:children]\ng%d\n", i, i+1)
	}
	b.WriteString("[g3000]\nweb-1\n")
	if _, err := open(t, map[string]any{"inventory": write(t, "a.ini", b.String())}); err == nil || !strings.Contains(err.Error(), "stand in each other") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestKeysOfAnInventoryMayBeInTheHomeFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	list := listed(t, map[string]any{"inventory": write(t, "hosts", "web-1 ansible_ssh_private_key_file=~/.ssh/prod\n")})
	if got := list[0].Host.Hops[0].Identities; !slices.Equal(got, []string{home + "/.ssh/prod"}) {
		t.Errorf("got %v, want ~/.ssh/prod", got)
	}
}

func TestOnlyAndExceptTakeHostsAndGroups(t *testing.T) {
	file := write(t, "hosts", "localhost ansible_connection=local\n"+ini)
	names := func(config map[string]any) (all []string) {
		config["inventory"] = file
		for _, m := range listed(t, config) {
			all = append(all, m.Name)
		}
		return all
	}
	if got, want := names(map[string]any{"only": "group:site", "except": []string{"alias", "group:db"}}), []string{"web01", "web03", "web05"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := names(map[string]any{"except": []string{"localhost", "web*", "db-*"}}), []string{"alias", "bare"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// write puts text into a file of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
