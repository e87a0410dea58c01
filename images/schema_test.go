// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/images"
)

func TestSchemaAgreesWithLoadRecipe(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(images.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("recipe.json")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filepath.Glob("testdata/recipe/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	for _, name := range cases {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := true // a recipe that only its lock is wrong with is a good one here
		for _, word := range []string{"bad", "empty"} {
			want = want && !strings.HasPrefix(filepath.Base(name), word)
		}
		err = s.Validate(asJSON(t, a.Files[0].Data))
		if (err == nil) != want {
			t.Errorf("%s: the schema says %v; want accepted: %v", name, err, want)
		}
	}
}

// Every key of the schema is one that LoadRecipe names as known.
func TestSchemaAndLoadRecipeKnowTheSameKeys(t *testing.T) {
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(images.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	dir := writeProject(t, map[string]string{"web.yaml": "from: debian:12\nnonsense: 1\n"})
	_, problems, err := images.LoadRecipe(filepath.Join(dir, "web.yaml"), dir)
	if err != nil || len(problems) != 1 {
		t.Fatalf("got %v, %v; want one problem", problems, err)
	}
	_, list, _ := strings.Cut(problems[0].Hint, "known keys are ")
	known := strings.Split(list, ", ")
	if len(known) != len(s.Properties) {
		t.Errorf("LoadRecipe knows %d keys, the schema %d", len(known), len(s.Properties))
	}
	for _, key := range known {
		if _, there := s.Properties[key]; !there {
			t.Errorf("the schema lacks %s", key)
		}
	}
}

// asJSON is YAML as an editor gives it to the schema.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(withTextKeys(v))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func withTextKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = withTextKeys(v[k])
		}
	case map[any]any:
		m := map[string]any{}
		for k := range v {
			m[fmt.Sprint(k)] = withTextKeys(v[k])
		}
		return m
	case []any:
		for i := range v {
			v[i] = withTextKeys(v[i])
		}
	}
	return v
}
