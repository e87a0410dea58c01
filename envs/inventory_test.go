// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
)

// existing is a plan whose tier lists machines that exist already, by config.
func existing(t *testing.T, config string) (*envs.Definition, *envs.Plan) {
	t.Helper()
	def := &envs.Definition{
		File: "/project/env.yaml", Dir: "/project", Name: "shop", ID: "a1b2c3", Machines: map[string]envs.Kind{"web": {Count: 1}},
		Tiers: map[string]envs.Tier{"prod": {Provider: "hosts", Config: json.RawMessage(config)}, "dev": {Provider: "fake", Config: json.RawMessage(config)}},
	}
	plan, problems := envs.MakePlan(def, envs.Options{Tier: "prod"})
	if plan == nil {
		t.Fatal(problems)
	}
	return def, plan
}

func TestFilesOfExistingMachinesAreRelativeToTheDefinition(t *testing.T) {
	def, plan := existing(t, `{"inventory": "hosts.ini", "ssh_config": {"file": "conf/ssh", "hosts": ["x"]}, "known_hosts": ["known", "~/.ssh/known_hosts", "/etc/x"], "user": "jo"}`)
	const want = `{"inventory":"/project/hosts.ini","known_hosts":["/project/known","~/.ssh/known_hosts","/etc/x"],"ssh_config":{"file":"/project/conf/ssh","hosts":["x"]},"user":"jo"}`
	if string(plan.Config) != want {
		t.Errorf("got  %s\nwant %s", plan.Config, want)
	}
	dev, _ := envs.MakePlan(def, envs.Options{Tier: "dev"})
	if string(dev.Config) != string(def.Tiers["dev"].Config) {
		t.Errorf("another provider's block was changed: %s", dev.Config)
	}
	for _, odd := range []string{`{"inventory": 7, "ssh_config": [1], "known_hosts": {"a": 1}}`, `{"known_hosts": ""}`} {
		if _, plan := existing(t, odd); !json.Valid(plan.Config) {
			t.Errorf("%s became %s", odd, plan.Config)
		}
	}
}

func TestInventoryOfACommandIsReadWithConsentOnly(t *testing.T) {
	def, plan := existing(t, `{"inventory": {"command": ["printf", "%s", "it's {\"web\": []}"]}, "user": "jo"}`)
	const line = `printf %s 'it'\''s {"web": []}'`
	if got := plan.InventoryCommand(); got != line {
		t.Fatalf("got %s, want %s", got, line)
	}
	if got := def.Commands(); !slices.Equal(got, []string{line}) {
		t.Errorf("got %q, want what needs consent", got)
	}
	if got := plan.Commands(); len(got) > 0 {
		t.Errorf("got %q, want none: no secret comes from it", got)
	}
	reader := envs.SecretReader{Dir: t.TempDir(), Env: os.Environ()}
	if config, problems := envs.ReadInventory(t.Context(), plan, reader); config != nil || !strings.Contains(problems[0].Message, "may not run here yet") {
		t.Errorf("got %s, %v, want it refused", config, problems)
	}
	reader.Allowed = func(command string) bool { return command == line }
	config, problems := envs.ReadInventory(t.Context(), plan, reader)
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	var got struct {
		User      string
		Inventory struct {
			Command []string
			Output  string
		}
	}
	if err := json.Unmarshal(config, &got); err != nil || got.Inventory.Output != `it's {"web": []}` || len(got.Inventory.Command) != 3 || got.User != "jo" {
		t.Errorf("got %s, %v", config, err)
	}
	reader.Allowed = func(string) bool { return true }
	for command, want := range map[string]string{
		`["false"]`:                      "ended with exit status 1",
		`["true"]`:                       "its command printed nothing",
		`["yes"]`:                        "printed more than 14MiB",
		`["/nowhere"]`:                   "ended with exit status 127",
		`["touch", "$(touch expanded)"]`: "printed nothing",
	} {
		_, plan := existing(t, `{"inventory": {"command": `+command+`}}`)
		if _, problems := envs.ReadInventory(t.Context(), plan, reader); problems.Err() == nil || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: got %v, want %s", command, problems, want)
		}
	}
	if _, err := os.Stat(filepath.Join(reader.Dir, "expanded")); err == nil {
		t.Error("a word was read by the shell")
	}
	_, plain := existing(t, `{"addresses": ["a"]}`)
	if config, problems := envs.ReadInventory(t.Context(), plain, envs.SecretReader{}); problems != nil || string(config) != string(plain.Config) {
		t.Errorf("got %s, %v, want the configuration as it is", config, problems)
	}
}

// Where nothing is made for a machine there may be as many as a site has.
func TestTiersOfExistingMachinesMayHaveThousands(t *testing.T) {
	inProject(t, map[string]string{"images/web.yaml": "from: debian:12\n", "env.yaml": `evenkeel: 1
name: shop
id: a1b2c3
image: images/web.yaml
machines: {web: {}}
tiers:
  prod: {provider: hosts, config: {inventory: hosts.ini}, machines: {web: {count: 5000}}}
  laptop: {provider: fake, machines: {web: {count: 5000}}}
`})
	_, problems, err := envs.Load("env.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "tiers.laptop: the tier comes to 5000 machines; allowed are 1000") {
		t.Errorf("got %v, want only the tier refused whose machines would be made", problems)
	}
}
