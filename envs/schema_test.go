// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/envs"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(envs.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("env.json", data); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("env.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is YAML as an editor gives it to the schema.
func instance(t *testing.T, text []byte) (any, error) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	data, err := json.Marshal(texts(v))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

// texts makes the keys of all maps texts.
func texts(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = texts(v[k])
		}
	case map[any]any:
		m := map[string]any{}
		for k := range v {
			m[fmt.Sprint(k)] = texts(v[k])
		}
		return m
	case []any:
		for i := range v {
			v[i] = texts(v[i])
		}
	}
	return v
}

func TestSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	s := compiled(t)
	good := map[string][]byte{"skeleton": []byte(envs.Skeleton("shop", "7f3a9c")["env.yaml"])}
	for _, name := range envs.Examples() {
		example, err := envs.Example(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(example, "env.yaml")
		if err != nil {
			t.Fatal(err)
		}
		good["example "+name] = text
	}
	for _, file := range cases(t, "plan") {
		good[file] = archive(t, file).Files[0].Data
	}
	for name, text := range good {
		v, err := instance(t, text)
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRefusesWhatLoadRefuses(t *testing.T) {
	// These need more than one value to judge, or the file system.
	beyond := []string{"good", "access", "config", "local-file", "long-id", "recipes"}
	s := compiled(t)
	for _, file := range cases(t, "load") {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		v, err := instance(t, archive(t, file).Files[0].Data)
		if err == nil {
			err = s.Validate(v)
		}
		if refused := err != nil; refused == slices.Contains(beyond, name) {
			t.Errorf("%s: the schema says %v", name, err)
		}
	}
}

// Each known key, now or later, is in both: at every level the decoder names the keys it knows when it meets an unknown one.
func TestSchemaAndDecoderKnowTheSameKeys(t *testing.T) {
	var s struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(envs.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	top := map[string]map[string]any{}
	for key, value := range s.Properties {
		top[key] = value.(map[string]any)
	}
	const head = "evenkeel: 1\nname: shop\nid: \"7f3a9c\"\nimage: web.yaml\n"
	for level, c := range map[string]struct {
		keys map[string]map[string]any
		text string // KEY stands for a key with a null
	}{
		"top":      {top, head + "KEY: \n"},
		"access":   {s.Defs["access"].Properties, head + "access: {KEY: }\n"},
		"kind":     {s.Defs["kind"].Properties, head + "machines: {web: {KEY: }}\n"},
		"secret":   {s.Defs["secret"].Properties, head + "secrets: {A: {KEY: }}\n"},
		"data":     {s.Defs["data"].Properties, head + "machines: {web: {data: [{KEY: }]}}\n"},
		"code":     {s.Defs["code"].Properties, head + "machines: {web: {code: [{KEY: }]}}\n"},
		"rebuild":  {s.Defs["rebuild"].Properties, head + "machines: {web: {rebuild: {KEY: }}}\n"},
		"waiver":   {s.Defs["waiver"].Properties, head + "machines: {web: {}}\ntiers: {ci: {provider: fake}}\nparity: {waivers: [{KEY: }]}\n"},
		"rule":     {s.Defs["rule"].Properties, head + "machines: {web: {allow: [{KEY: }]}}\n"},
		"health":   {s.Defs["health"].Properties, head + "machines: {web: {health: {KEY: }}}\n"},
		"tier":     {s.Defs["tier"].Properties, head + "machines: {web: {}}\ntiers: {ci: {KEY: }}\n"},
		"override": {s.Defs["override"].Properties, head + "machines: {web: {}}\ntiers: {ci: {machines: {web: {KEY: }}}}\n"},
	} {
		t.Run(level, func(t *testing.T) {
			var now, later []string
			for _, key := range slices.Sorted(maps.Keys(c.keys)) {
				if c.keys[key]["$ref"] == "#/$defs/later" {
					later = append(later, key)
				} else {
					now = append(now, key)
				}
			}
			known := strings.Split(strings.TrimPrefix(hint(t, c.text, "qqqqqqqq", `unknown key "qqqqqqqq"`), "known keys are "), ", ")
			slices.Sort(known)
			if !slices.Equal(known, now) {
				t.Errorf("the decoder knows %v, the schema %v", known, now)
			}
			for _, key := range later {
				hint(t, c.text, key, "not supported yet")
			}
		})
	}
}

// hint loads text with key in it, wants a problem with message, and returns its hint.
func hint(t *testing.T, text, key, message string) string {
	t.Helper()
	inProject(t, map[string]string{"env.yaml": strings.ReplaceAll(text, "KEY", key), "web.yaml": recipe})
	_, problems, err := envs.Load("env.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Message == message {
			return p.Hint
		}
	}
	t.Errorf("key %s: got %v; want %q", key, problems, message)
	return ""
}

func TestSkeletonLoadsWithoutProblems(t *testing.T) {
	files := envs.Skeleton("shop", "7f3a9c")
	if got := strings.Join(slices.Sorted(maps.Keys(files)), " "); got != ".gitignore env.yaml images/web.yaml" {
		t.Errorf("got the files %s", got)
	}
	inProject(t, files)
	loads(t, "shop", "7f3a9c")
	if text, err := os.ReadFile(".gitignore"); err != nil || !strings.Contains(string(text), "\nenv.local.yaml\n") {
		t.Errorf("got the .gitignore %q, %v", text, err)
	}
}

func TestEveryExampleLoadsWithoutProblems(t *testing.T) {
	for _, name := range envs.Examples() {
		t.Run(name, func(t *testing.T) {
			example, err := envs.Example(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, example); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			loads(t, name, "7f3a9c")
		})
	}
	if _, err := envs.Example("nothing"); err == nil || !strings.Contains(err.Error(), "shop") {
		t.Errorf("an unknown example: got %v; want the known ones named", err)
	}
}

func TestTheShopHasLocks(t *testing.T) {
	example, err := envs.Example("shop")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, example); err != nil {
		t.Fatal(err)
	}
	def, problems, err := envs.Load(filepath.Join(dir, "env.yaml"))
	if err != nil || def == nil {
		t.Fatalf("cannot load: %v %v", err, problems)
	}
	plan, problems := envs.MakePlan(def, envs.Options{Locked: true})
	if plan == nil {
		t.Fatalf("no plan under --locked: %v", problems)
	}
	var got []string
	for _, m := range plan.Machines {
		got = append(got, m.Name)
		if len(m.ImageKey) != 64 {
			t.Errorf("%s has the image key %q", m.Name, m.ImageKey)
		}
	}
	if want := "db-1 web-1 web-2"; strings.Join(got, " ") != want {
		t.Errorf("got machines %v, want %s", got, want)
	}
}

// loads wants env.yaml of this folder without problems and with a plan.
func loads(t *testing.T, name, id string) {
	t.Helper()
	def, problems, err := envs.Load("env.yaml")
	if err != nil || len(problems) != 0 {
		t.Fatalf("cannot load: %v\n%s", err, printed(t, problems))
	}
	if def.Name != name || def.ID != id {
		t.Errorf("got %s %s, want %s %s", def.Name, def.ID, name, id)
	}
	if plan, problems := envs.MakePlan(def, envs.Options{}); plan == nil || len(problems) != 0 {
		t.Errorf("cannot plan: %v", problems)
	}
}

func TestProjectNamesAreLabels(t *testing.T) {
	for folder, want := range map[string]string{
		"shop": "shop", "My Shop": "my-shop", "2nd_try": "nd-try", "---": "project", "": "project", "日本": "project", "a.b": "a-b", "Shop (2)": "shop-2",
		"a-very-long-name-of-a-folder-that-goes-on": "a-very-long-name-of-a-fo",
	} {
		if got := envs.ProjectName(folder); got != want {
			t.Errorf("%q: got %q, want %q", folder, got, want)
		}
	}
}

func cases(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	return files
}

func archive(t *testing.T, file string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
