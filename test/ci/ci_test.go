// SPDX-License-Identifier: Apache-2.0

// Package ci_test checks the templates below ci/ by the linters and schemas of the services that they are for.
package ci_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/test/conformance"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../ci", file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// lint is what actionlint says of a workflow; "": nothing. `make lint` installs it: it is no module of ours, since its YAML is another one's than our dependencies'.
func lint(t *testing.T, text []byte) string {
	t.Helper()
	program, err := exec.LookPath("actionlint")
	conformance.Require(t, "actionlint", err)
	cmd := exec.Command(program, "-no-color", "-shellcheck=", "-pyflakes=", "-") // what those say depends on whether they are here
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

func TestTheWorkflowIsOneOfGitHub(t *testing.T) {
	if said := lint(t, read(t, "github/workflow.yml")); said != "" {
		t.Error(said)
	}
	if said := lint(t, bytes.Replace(read(t, "github/workflow.yml"), []byte("steps.audit.outputs"), []byte("steps.other.outputs"), 1)); !strings.Contains(said, "other") {
		t.Errorf("of a broken one it says %q", said)
	}
}

// action is the part of GitHub's metadata syntax that a composite action has.
type action struct {
	Name, Description string
	Inputs            map[string]struct {
		Description string
		Required    bool
		Default     string
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []yaml.Node
	}
}

func loadAction(t *testing.T) action {
	t.Helper()
	var a action
	d := yaml.NewDecoder(bytes.NewReader(read(t, "github/action.yml")))
	d.KnownFields(true)
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

// The steps of a composite action are those of a job; its inputs are those of a workflow that is called. So they are linted as one.
func TestTheActionsStepsAreRightAsAJobs(t *testing.T) {
	a := loadAction(t)
	if a.Name == "" || a.Description == "" || a.Runs.Using != "composite" || len(a.Runs.Steps) == 0 {
		t.Fatalf("got %+v", a)
	}
	inputs := map[string]any{}
	for name, in := range a.Inputs {
		if in.Description == "" {
			t.Errorf("input %s says nothing", name)
		}
		inputs[name] = map[string]any{"type": "string", "default": in.Default}
	}
	var steps []any
	for _, n := range a.Runs.Steps {
		var step map[string]any
		if err := n.Decode(&step); err != nil {
			t.Fatal(err)
		}
		if step["run"] != nil && step["shell"] != "bash" {
			t.Errorf("step %v: a composite action's steps say their shell", step["name"])
		}
		steps = append(steps, step)
	}
	// What a job's steps may be: `github.action_path` is a composite action's alone, and there is no expression that stands for it.
	text, err := yaml.Marshal(map[string]any{
		"name": a.Name, "on": map[string]any{"workflow_call": map[string]any{"inputs": inputs}},
		"jobs": map[string]any{"steps": map[string]any{"runs-on": "ubuntu-24.04", "steps": steps}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if said := lint(t, text); said != "" {
		t.Error(said)
	}
	for name, out := range a.Outputs {
		id, _, _ := strings.Cut(strings.TrimPrefix(out.Value, "${{ steps."), ".")
		if !bytes.Contains(read(t, "github/action.yml"), []byte("id: "+id+"\n")) {
			t.Errorf("output %s is of step %q, which is not there", name, id)
		}
	}
	for _, file := range []string{"github/action.yml", "github/workflow.yml"} {
		for _, line := range strings.Split(string(read(t, file)), "\n") {
			if expression := regexp.MustCompile(`\$\{\{[^}]*(inputs|github\.event|github\.head_ref)`); strings.Contains(line, "run:") && expression.MatchString(line) {
				t.Errorf("%s: what others write goes into a script by a variable: %s", file, line)
			}
		}
	}
}

func TestTheTemplateIsOneOfGitLab(t *testing.T) {
	// GitLab's own schema, as gitlab-ci-local 4.75.1 (MIT) has it, without its descriptions.
	compiler := jsonschema.NewCompiler()
	text, err := os.ReadFile("testdata/gitlab-ci.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = compiler.AddResource("https://gitlab.com/.gitlab-ci.yml", doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://gitlab.com/.gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var template map[string]any
	if err := yaml.Unmarshal(read(t, "gitlab/evenkeel.gitlab-ci.yml"), &template); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(template); err != nil {
		t.Errorf("%v", err)
	}
	for name, job := range template {
		if m, ok := job.(map[string]any); ok && m["extends"] != nil && template[fmt.Sprint(m["extends"])] == nil {
			t.Errorf("%s extends %v, which is not there", name, m["extends"])
		}
	}
	template["test"] = map[string]any{"scripts": []any{"true"}}
	if err := schema.Validate(template); err == nil {
		t.Error("a broken one passes")
	}
}

func TestUnitsAreRightForSystemd(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	conformance.Require(t, "systemd", err)
	files, err := filepath.Glob("../../ci/systemd/*")
	if err != nil || len(files) != 4 {
		t.Fatalf("got %v, %v", files, err)
	}
	args := []string{"verify"}
	dir := t.TempDir()
	for _, file := range files {
		text := bytes.ReplaceAll(read(t, "systemd/"+filepath.Base(file)), []byte("/usr/local/bin/evenkeel"), []byte("/bin/true")) // it need not be installed here
		target := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(target, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, target)
	}
	if out, err := exec.Command(verify, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheCrontabIsOne(t *testing.T) {
	jobs := 0
	for line := range strings.Lines(string(read(t, "cron/evenkeel"))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || regexp.MustCompile(`^[A-Z_]+=`).MatchString(line) {
			continue
		}
		jobs++
		fields := strings.SplitN(line, " ", 7)
		if len(fields) != 7 {
			t.Errorf("got %q, want five times, a user, a command", line)
			continue
		}
		for i, most := range []int{59, 23, 31, 12, 7} {
			for word := range strings.SplitSeq(fields[i], ",") {
				word, _, _ = strings.Cut(word, "/")
				if n, err := strconv.Atoi(word); word != "*" && (err != nil || n < 0 || n > most) {
					t.Errorf("%s: got %q, want * or a number up to %d", line, fields[i], most)
				}
			}
		}
		if strings.Contains(fields[6], "%") {
			t.Errorf("%s: cron takes %% for the end of the line", line)
		}
		if out, err := exec.Command("sh", "-n", "-c", fields[6]).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", line, err, out)
		}
	}
	if jobs != 3 {
		t.Errorf("got %d jobs", jobs)
	}
}

// Templates and their page say what the command knows.
func TestEveryOptionOfTheTemplatesIsOneOfTheCommand(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "evenkeel")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/env")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := map[string]string{}
	call := regexp.MustCompile("(?m)(?:^|[ ;(`]|/)evenkeel ([a-z][a-z-]*)((?: [^\n&|;#`]*)?)")
	option := regexp.MustCompile(`(?:^|[ +])(--[a-z][a-z-]*)`)
	seen := 0
	for _, file := range []string{
		"github/action.yml", "github/workflow.yml", "gitlab/evenkeel.gitlab-ci.yml", "systemd/evenkeel-audit.service", "systemd/evenkeel-rebuild.service", "cron/evenkeel",
		"../docs/ci.md", "../docs/run.md", "../docs/envtest.md",
	} {
		for _, m := range call.FindAllStringSubmatch(string(read(t, file)), -1) {
			verb, rest := m[1], m[2]
			if _, ok := help[verb]; !ok {
				out, err := exec.Command(bin, verb, "--help").CombinedOutput()
				if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
					t.Logf("%s: %q is no call of a verb", file, strings.TrimSpace(m[0]))
				} else if err != nil {
					t.Fatal(err)
				}
				help[verb] = string(out)
			}
			if !strings.HasPrefix(help[verb], "usage:") {
				continue
			}
			own, _, _ := strings.Cut(rest, " -- ")
			for _, o := range option.FindAllStringSubmatch(own, -1) {
				seen++
				if !slices.Contains(strings.FieldsFunc(help[verb], func(r rune) bool { return strings.ContainsRune(" ,[]\n", r) }), o[1]) {
					t.Errorf("%s: evenkeel %s has no option %s", file, verb, o[1])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("got %d options; the check looked at nothing", seen)
	}
}
