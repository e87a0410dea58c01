// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// scriptOf is a script of a template below ci/, found by the keys that lead to it, an item of a list by its name.
func scriptOf(t *testing.T, file string, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../ci", file))
	if err != nil {
		t.Fatal(err)
	}
	var at any
	if err := yaml.Unmarshal(text, &at); err != nil {
		t.Fatal(err)
	}
	for _, key := range path {
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			at = nil
			for _, item := range v {
				if m, ok := item.(map[string]any); ok && m["name"] == key {
					at = m
				}
			}
		}
	}
	if list, ok := at.([]any); ok {
		var lines []string
		for _, l := range list {
			lines = append(lines, l.(string))
		}
		at = strings.Join(lines, "\n")
	}
	script, ok := at.(string)
	if !ok {
		t.Fatalf("%s has no script at %s", file, strings.Join(path, "."))
	}
	return script
}

// The scripts of the templates are run as their services run them, over the fake.
func TestScriptsOfTheTemplatesForCI(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	run := func(script string, env ...string) (string, int) {
		t.Helper()
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
		cmd.Dir = s.dir
		cmd.Env = append(append(variables(s.home), "RUNNER_TEMP="+s.home, "GITHUB_OUTPUT="+s.home+"/output", "GITHUB_STEP_SUMMARY="+s.home+"/summary"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if err := os.MkdirAll(s.home, 0o700); err != nil {
		t.Fatal(err)
	}

	github := scriptOf(t, "github/action.yml", "runs", "steps", "Run", "run")
	const command = `test -n "$EVENKEEL_WEB_1_PORT_80"; echo "in $EVENKEEL_ENV"; exit 5`
	if out, status := run(github, "COMMAND="+command, "TIER=", "TIMEOUT=5m", "ARTIFACTS="+s.home+"/kept"); status != 5 || !strings.Contains(out, "in shop.ci.run-") {
		t.Errorf("the action's command: status %d\n%s", status, out)
	}
	if _, err := os.Stat(s.home + "/kept/junit.xml"); err != nil {
		t.Error(err)
	}
	if out, status := run(github, "COMMAND=true", "TIER=stage", "TIMEOUT=5m", "ARTIFACTS="+s.home+"/kept"); status != 125 || !strings.Contains(out, `there is no tier "stage"`) {
		t.Errorf("the action with a tier: status %d\n%s", status, out)
	}
	if _, err := exec.LookPath("jq"); err == nil {
		keys := scriptOf(t, "github/action.yml", "runs", "steps", "Image keys", "run")
		if out, status := run(keys); status != 0 {
			t.Errorf("the action's image keys: status %d\n%s", status, out)
		}
		broken := s.dir + "/broken"
		if err := os.Mkdir(broken, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(broken+"/env.yaml", []byte("evenkeel: 1\nname: Shop\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, status := run("cd broken\n" + keys); status != 1 || !strings.Contains(out, "env.yaml:2:7: error: ") {
			t.Errorf("the action's image keys of a definition with errors: status %d\n%s", status, out)
		}
		if text, err := os.ReadFile(s.home + "/output"); err != nil || !strings.HasPrefix(string(text), "keys=") || len(text) < 20 {
			t.Errorf("got output %q, %v", text, err)
		}
	}
	gitlab := scriptOf(t, "gitlab/evenkeel.gitlab-ci.yml", ".evenkeel-run", "script")
	if out, status := run(gitlab, "COMMAND="+command, "TIMEOUT=5m"); status != 5 || !strings.Contains(out, "in shop.ci.run-") {
		t.Errorf("GitLab's job: status %d\n%s", status, out)
	}
	audit := scriptOf(t, "github/workflow.yml", "jobs", "audit", "steps", "Audit", "run")
	key, err := os.ReadFile(s.home + "/state/evenkeel/ssh/id_ed25519")
	if err != nil {
		t.Fatal(err)
	}
	s.run(0, "up", "-q", "--tier", "ci")
	if out, status := run(audit, "SSH_KEY="+strings.TrimRight(string(key), "\n")); status != 0 {
		t.Errorf("the audit: status %d\n%s", status, out)
	}
	for file, want := range map[string]string{s.home + "/summary": "# ", s.home + "/output": "status=3\n", s.dir + "/audit/audit.sarif": `"version"`} { // a fake machine has no package manager
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %q, %v; want %q in it", file, text, err, want)
		}
	}
	if _, err := os.Stat(s.home + "/audit-key"); err == nil {
		t.Error("the key is left")
	}
	s.run(0, "down", "-q", "--tier", "ci")
	s.wantEmpty()
}
