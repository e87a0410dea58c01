// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
)

const canary = "canary-4711"

// secrets loads a definition whose secrets are text, plans it and reads them.
func secrets(t *testing.T, text string, r envs.SecretReader, files map[string]string) (envs.Values, problem.List) {
	t.Helper()
	all := map[string]string{"env.yaml": minimal + "secrets:\n" + text, "web.yaml": recipe}
	for name, content := range files {
		all[name] = content
	}
	dir := inProject(t, all)
	def, problems, err := envs.Load("env.yaml")
	if err != nil || def == nil {
		t.Fatalf("cannot load: %v %v", err, problems)
	}
	plan, problems := envs.MakePlan(def, envs.Options{})
	if plan == nil {
		t.Fatal(problems)
	}
	r.Dir = dir
	r.Env = append([]string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin", "HOME=" + filepath.Join(dir, "home")}, r.Env...)
	return envs.ReadSecrets(t.Context(), plan, r)
}

func anything(string) bool { return true }

func TestSecretsAreReadFromEachSource(t *testing.T) {
	text := `  ENV: {env: SHOP}
  COMMAND: {command: "printf 'a\\nb\\n\\n'; pwd >&2"}
  FILE: {file: sub/file}
  HOME: {file: ~/file}
  WHOLE: {sops: all.yaml}
  KEY: {sops: all.yaml, key: db.hosts.0}
  PIN: {sops: all.yaml, key: db.pin}
  PEM: {sops: all.yaml, key: db.pem}
`
	values, problems := secrets(t, text, envs.SecretReader{Env: []string{"SHOP= spaced "}, Allowed: anything}, map[string]string{
		"sub/file": "line\n", "home/file": "at home", "all.yaml": "whole: file\n", "bin/sops": fakeSOPS,
	})
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "sops, which decrypts") {
		t.Fatalf("a sops that cannot be executed: got %v; want it to be absent", err)
	}
	if values["web-1"] != nil {
		t.Errorf("a machine of which a secret is missing has the values %v", values["web-1"])
	}
	if err := os.Chmod("bin/sops", 0o755); err != nil {
		t.Fatal(err)
	}
	def, _, err := envs.Load("env.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan, _ := envs.MakePlan(def, envs.Options{})
	values, problems = envs.ReadSecrets(t.Context(), plan, envs.SecretReader{
		Dir: def.Dir, Env: []string{"SHOP= spaced ", "PATH=" + filepath.Join(def.Dir, "bin") + ":/usr/bin:/bin", "HOME=" + filepath.Join(def.Dir, "home")}, Allowed: anything,
	})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	for name, want := range map[string]string{
		"ENV": " spaced ", "COMMAND": "a\nb\n", "FILE": "line\n", "HOME": "at home", "WHOLE": "whole: file\n", "KEY": `value of ["db"]["hosts"][0]`,
		"PIN": "0471", "PEM": "text of two\nlines\n",
	} {
		if got := string(values["web-1"][name].Reveal()); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	var notes []string
	for _, p := range problems {
		notes = append(notes, p.Path+": "+p.Hint)
	}
	if got, want := strings.Join(notes, " "), "secrets.FILE: chmod 600 "+def.Dir+"/sub/file secrets.HOME: chmod 600 "+def.Dir+"/home/file"; got != want {
		t.Errorf("got the notes %q, want %q", got, want)
	}
}

// fakeSOPS takes the arguments that sops takes from us, and no others.
const fakeSOPS = `#!/bin/sh
case "$#:$1:$2" in
2:--decrypt:/*) cat "$2" ;;
4:--decrypt:--extract)
	case $3 in *pin*) echo 0471; exit ;; *pem*) printf 'text of two\nlines\n'; exit ;; esac # a number is printed with a newline, a text as it is (sops 3.9)
	printf 'value of %s' "$3"; test -f "$4" ;;
*) echo "usage" >&2; exit 1 ;;
esac
`

func TestEveryMissingSecretIsToldAtOnce(t *testing.T) {
	text := `  UNSET: {env: NOT_THERE}
  EMPTY: {env: EMPTY}
  ABSENT: {file: absent}
  HOLLOW: {file: hollow}
  FOLDER: {file: sub}
  PIPE: {file: pipe}
  LINK: {file: link}
  BIG: {file: big}
  REFUSED: {command: "echo canary-4711"}
  FAILS: {command: "echo canary-4711; echo first >&2; echo 'no such entry' >&2; exit 3"}
  SILENT: {command: "true"}
  FLOOD: {command: "yes canary-4711"}
  SLOW: {command: "echo canary-4711; sleep 60"}
  ASKS: {command: "read x </dev/tty; echo $x"}
  LEAVES: {command: "sleep 60 & echo canary-4711"}
  SOPS: {sops: hollow}
`
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"hollow": "", "sub/x": "", "big": strings.Repeat("x", envs.MaxSecret+1)}
	dir := inProject(t, files)
	if err := unix.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, "link"); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"env.yaml": minimal + "secrets:\n" + text, "web.yaml": recipe} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	def, problems, err := envs.Load("env.yaml")
	if def == nil || err != nil {
		t.Fatal(problems, err)
	}
	plan, _ := envs.MakePlan(def, envs.Options{})
	began := time.Now()
	values, problems := envs.ReadSecrets(t.Context(), plan, envs.SecretReader{
		Dir: dir, Env: []string{"EMPTY=", "PATH=.:bin:/usr/bin:/bin"}, Limit: 300 * time.Millisecond,
		Allowed: func(command string) bool { return command != "echo canary-4711" },
	})
	if span := time.Since(began); span > time.Minute {
		t.Errorf("it took %s; commands that hang are not ended", span)
	}
	if len(values) != 0 {
		t.Errorf("got values of %v", values)
	}
	out := printed(t, problems)
	for _, want := range []string{
		"env.yaml:8:3: error: secrets.UNSET: the environment variable NOT_THERE is not set (for web)",
		"  hint: export NOT_THERE",
		"secrets.EMPTY: the environment variable EMPTY is empty",
		"secrets.ABSENT: the file " + dir + "/absent does not exist",
		"secrets.HOLLOW: the file " + dir + "/hollow is empty",
		"secrets.FOLDER: cannot read the file " + dir + "/sub: it is no regular file",
		"secrets.PIPE: cannot read the file " + dir + "/pipe: it is no regular file",
		"secrets.LINK: cannot read the file " + dir + "/link: path escapes from parent",
		"secrets.BIG: the file " + dir + "/big is larger than 1MiB",
		"secrets.REFUSED: its command may not run here yet: `echo canary-4711`",
		"evenkeel trust",
		"secrets.FAILS: its command ended with exit status 3: first; no such entry: `echo",
		"secrets.SILENT: its command printed nothing: `true`",
		"secrets.FLOOD: its command printed more than 1MiB: `yes",
		"secrets.SLOW: its command did not end within 300ms",
		"secrets.ASKS: its command ",
		"secrets.LEAVES: its command ",
		"secrets.SOPS: the program sops, which decrypts " + dir + "/hollow, is not on PATH",
		"16 errors",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got:\n%s\nwant it to say %q", out, want)
		}
	}
}

func TestValuesStandInNoProblem(t *testing.T) {
	const from = "V"
	script := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(script, []byte("printf %s\\\\n "+canary+"; exit $1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("  A: {command: sh %s 0}\n  B: {command: sh %s 1}\n  C: {env: %s}\n  D: {env: NONE}\n", script, script, from)
	values, problems := secrets(t, text, envs.SecretReader{Env: []string{from + "=" + canary}, Allowed: anything}, nil)
	data, err := json.Marshal(problems)
	if err != nil || len(problems) != 2 {
		t.Fatalf("got %v, %v; want two problems", problems, err)
	}
	if all := printed(t, problems) + string(data) + fmt.Sprintf("%v %+v %#v", values, values, problems); strings.Contains(all, canary) {
		t.Errorf("the value is shown:\n%s", all)
	}
}

func TestASourceIsReadOnce(t *testing.T) {
	text := "  A: {command: 'echo x >>count; echo v'}\n  B: {command: 'echo x >>count; echo v'}\n"
	values, problems := secrets(t, text, envs.SecretReader{Allowed: anything}, nil)
	if problems.Err() != nil || string(values["web-1"]["B"].Reveal()) != "v" {
		t.Fatalf("got %v, %v", values, problems)
	}
	if count, err := os.ReadFile("count"); err != nil || string(count) != "x\n" {
		t.Errorf("the command ran so often: %q, %v", count, err)
	}
}

func TestAnInterruptedCommandEnds(t *testing.T) {
	plan := &envs.Plan{Machines: []envs.Machine{{Name: "web-1", Kind: "web", Secrets: map[string]envs.Secret{"A": {Command: "sleep 60; sleep 60"}}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, problems := envs.ReadSecrets(ctx, plan, envs.SecretReader{Dir: t.TempDir(), Allowed: anything})
	if problems.Err() == nil || time.Since(began) > 45*time.Second {
		t.Errorf("got %v after %s", problems, time.Since(began))
	}
}

func TestValuesPrintAsAMask(t *testing.T) {
	v := envs.Values{"web-1": {"A": envs.NewValue([]byte(canary))}}
	data, err := json.Marshal(v)
	if err != nil || string(data) != `{"web-1":{"A":"********"}}` {
		t.Errorf("got %s, %v", data, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if out := fmt.Sprintf(format, v); strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) || strings.Contains(out, "99 97") {
			t.Errorf("%s prints %s", format, out)
		}
	}
}

func TestCommandsAreThoseOfThePlanAndOfTheDefinition(t *testing.T) {
	inProject(t, map[string]string{"web.yaml": recipe, "env.yaml": `evenkeel: 1
name: shop
id: "7f3a9c"
image: web.yaml
secrets: {A: {command: top}, B: {env: B}}
machines: {web: {count: 2, secrets: {C: {command: web}}}}
tiers:
  laptop: {provider: libvirt}
  ci: {provider: docker, secrets: {A: {command: ci}}, machines: {web: {secrets: {C: {command: ci web}}}}}
`})
	def, problems, err := envs.Load("env.yaml")
	if def == nil || err != nil {
		t.Fatal(problems, err)
	}
	plan, _ := envs.MakePlan(def, envs.Options{Tier: "laptop"})
	if got, want := strings.Join(plan.Commands(), "|"), "top|web"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := strings.Join(def.Commands(), "|"), "ci|ci web|top|web"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
