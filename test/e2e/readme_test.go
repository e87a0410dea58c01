// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The README's days are run line by line, in their order, on one environment. `refresh` needs the archives: test/real runs it.
func TestCommandsOfTheReadmeDoWhatItSays(t *testing.T) {
	commands := readmeDays(t)
	if len(commands) < 25 {
		t.Fatalf("got %d commands in the README's days, want all of them", len(commands))
	}
	work := t.TempDir()
	dir, world := filepath.Join(work, "shop"), filepath.Join(work, "world")
	t.Cleanup(func() { remove(t, world) })
	if err := os.CopyFS(dir, os.DirFS("testdata/readme")); err != nil {
		t.Fatal(err)
	}
	if err := project(dir, world); err != nil {
		t.Fatal(err)
	}
	variables := append(os.Environ(), variables(filepath.Join(work, "home"))...)
	variables = append(variables, "SHOP_API_KEY=canary")
	living, err := os.ReadFile("../real/living_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range commands {
		command, says, _ := strings.Cut(line, " #")
		command = strings.TrimSpace(command)
		if strings.HasPrefix(command, "evenkeel refresh") {
			var quoted []string
			for _, word := range strings.Fields(command)[1:] {
				quoted = append(quoted, `"`+word+`"`)
			}
			if !strings.Contains(string(living), strings.Join(quoted, ", ")) {
				t.Errorf("%s: no test on real machines runs it", command)
			}
			continue
		}
		want := []int{0}
		switch verb := strings.Fields(command)[1]; {
		case verb == "facts" || verb == "audit" || verb == "compare": // a fake machine has no package manager: that is unknown, not the same
			want = []int{0, 2, 3}
		case strings.Contains(says, "exit status 2"):
			want = []int{2}
		}
		if command == "evenkeel facts -o facts.jsonl" { // the auditor's day: there is a second tier again
			if out, got := inDir(t, dir, variables, "evenkeel up --tier production -q"); got != 0 {
				t.Fatalf("exit status %d\n%s", got, out)
			}
		}
		if out, got := inDir(t, dir, variables, command); !slices.Contains(want, got) {
			t.Fatalf("%s: got exit status %d, want one of %d\n%s", command, got, want, out)
		}
	}
	if out, got := inDir(t, dir, variables, "evenkeel down --data -q --tier production --yes shop.production"); got != 0 {
		t.Errorf("down: exit status %d\n%s", got, out)
	}
	down := exec.Command(filepath.Join(bin, "evenkeel"), "down", "--data", "-q")
	down.Dir, down.Env = dir, variables
	if out, err := down.CombinedOutput(); err != nil {
		t.Errorf("down: %v\n%s", err, out)
	}
	if left := leftovers(world); len(left) > 0 {
		t.Errorf("left over: %s", strings.Join(left, "\n  "))
	}
}

// inDir runs a line of a shell and returns what it printed and its exit status.
func inDir(t *testing.T, dir string, variables []string, line string) (string, int) {
	t.Helper()
	run := exec.Command("sh", "-c", line)
	run.Dir, run.Env = dir, variables
	out, err := run.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// readmeDays are the commands below "Every day", as they stand.
func readmeDays(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, days, found := strings.Cut(string(text), "## Every day")
	days, _, ends := strings.Cut(days, "### All verbs")
	if !found || !ends {
		t.Fatal("the README has no days any more")
	}
	var commands []string
	for line := range strings.Lines(days) {
		if command, ok := strings.CutPrefix(line, "    evenkeel "); ok {
			commands = append(commands, "evenkeel "+strings.TrimSpace(command))
		}
	}
	return commands
}

func TestPictureOfTheReadmeIsTheExample(t *testing.T) {
	draw := exec.Command(filepath.Join(bin, "evenkeel"), "plan", "--graph", "--format", "svg", "-f", "../../envs/examples/shop/env.yaml")
	draw.Env = append(os.Environ(), variables(t.TempDir())...)
	got, err := draw.Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../docs/shop.svg")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/shop.svg is not what `evenkeel plan --graph -f envs/examples/shop/env.yaml -o docs/shop.svg` draws")
	}
}

// The first env.yaml and recipe are right as they stand, and the commands below them do what they say, with another provider and without a package.
func TestTheFirstEnvironmentOfTheReadmeWorks(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## A first env.yaml\n")
	section, _, ends := strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```")
	if !found || !ends || len(blocks) != 5 {
		t.Fatalf("the README has no first env.yaml with its recipe any more: %d blocks", len(blocks))
	}
	definition, recipe := strings.TrimPrefix(blocks[1], "yaml\n"), strings.TrimPrefix(blocks[3], "yaml\n")
	work := t.TempDir()
	dir, world := filepath.Join(work, "hello"), filepath.Join(work, "world")
	t.Cleanup(func() { remove(t, world) })
	if err := os.MkdirAll(dir+"/images", 0o755); err != nil {
		t.Fatal(err)
	}
	lay := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lay("env.yaml", definition)
	lay("images/web.yaml", recipe)
	variables := append(os.Environ(), variables(filepath.Join(work, "home"))...)
	if out, got := inDir(t, dir, variables, "evenkeel validate"); got != 0 {
		t.Fatalf("exit status %d\n%s", got, out)
	}
	lay("env.yaml", strings.Replace(definition, "{provider: libvirt}", "{provider: fake, config: {world: "+world+", http: [80]}}", 1))
	if err := os.CopyFS(dir+"/other", os.DirFS("testdata/shop/images")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web.yaml", "web.lock"} {
		if err := os.Rename(dir+"/other/"+name, dir+"/images/"+name); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for line := range strings.Lines(blocks[4]) {
		command, says, _ := strings.Cut(line, " #")
		if command = strings.TrimSpace(command); !strings.HasPrefix(command, "evenkeel ") {
			continue
		}
		ran++
		out, got := inDir(t, dir, variables, command)
		if got != 0 {
			t.Fatalf("%s: exit status %d\n%s", command, got, out)
		}
		if strings.Contains(says, "nothing to do") && !strings.Contains(out, "nothing to do") {
			t.Errorf("%s: got\n%s\nwant nothing to do", command, out)
		}
	}
	if ran < 6 {
		t.Errorf("%d commands, want all", ran)
	}
	if left := leftovers(world); len(left) > 0 {
		t.Errorf("left over: %s", strings.Join(left, "\n  "))
	}
}
