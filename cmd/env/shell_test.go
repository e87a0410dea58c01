// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/test/conformance"
)

// shellArgs run a script in a shell without anybody's start-up files.
func shellArgs(shell, script string) []string {
	switch shell {
	case "bash":
		return []string{"bash", "--norc", "--noprofile", "-c", script}
	case "zsh":
		return []string{"zsh", "-f", "-c", script}
	}
	return []string{"fish", "--no-config", "-c", script}
}

// inShell runs a script in a folder whose evenkeel and whose env are ours and the system's; it returns what both streams got.
func inShell(t *testing.T, shell, dir, script string) (string, int) {
	t.Helper()
	_, err := exec.LookPath(shell)
	conformance.Require(t, shell, err)
	args := shellArgs(shell, script)
	cmd := exec.Command(args[0], args[1:]...)
	home := t.TempDir()
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + home, "XDG_STATE_HOME=" + home, "LC_ALL=C.UTF-8", "TERM=dumb", "PATH=" + filepath.Dir(calledAs(t, "evenkeel")) + ":/usr/bin:/bin"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func hookLine(shell string) string {
	if shell == "fish" {
		return "evenkeel hook fish | source\n"
	}
	return `eval "$(evenkeel hook ` + shell + `)"` + "\n"
}

func TestHookKnowsOurVerbsAndLeavesTheRest(t *testing.T) {
	project := t.TempDir()
	if err := os.WriteFile(filepath.Join(project, "env.yaml"), []byte("evenkeel: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, shell := range shells() {
		for _, tt := range []struct {
			line, dir string
			want      string // in the output
			status    int
		}{
			{"env version", "", "evenkeel ", 0},
			{"env A=1 printenv A", "", "1\n", 0},
			{"env -i", "", "", 0},
			{"env sh -c 'exit 7'", "", "", 7},
			{"env printf '%s.' 'a b' '' '$HOME'", "", "a b..$HOME.", 0},
			{"env no-such-program", "", "No such file", 127},
			{"env reboot", "", "not handed on", 1},
			{"env cp", "", "missing file operand", 1},
			{"env sync --version", "", "sync (GNU coreutils)", 0},
			{"env sync --version", project, "there is no option --version here", 1},
			{"env gc --nonsense", project, "no option --nonsense", 1},
			{"env --help", "", "usage: evenkeel", 0},
			{"env --version", "", "env (GNU coreutils)", 0},
			{"sh -c 'env version'", "", "No such file", 127}, // scripts get the system's
		} {
			dir := tt.dir
			if dir == "" {
				dir = t.TempDir()
			}
			out, status := inShell(t, shell, dir, hookLine(shell)+tt.line)
			if status != tt.status || !strings.Contains(out, tt.want) {
				t.Errorf("%s: %s: got status %d and %q, want %d and %q in it", shell, tt.line, status, out, tt.status, tt.want)
			}
		}
	}
}

func TestHookInBashSurvivesNounsetAndErrexit(t *testing.T) {
	out, status := inShell(t, "bash", t.TempDir(), "set -eu\n"+hookLine("bash")+"env >/dev/null\nenv true\necho end")
	if status != 0 || out != "end\n" {
		t.Errorf("got status %d and %q, want 0 and %q", status, out, "end\n")
	}
}

func TestCompletionScriptsOfferVerbs(t *testing.T) {
	for shell, script := range map[string]string{
		"bash": `eval "$(evenkeel completion bash)"; COMP_WORDS=(evenkeel sta); COMP_CWORD=1; _evenkeel; printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh": `autoload -Uz compinit; compinit -u -D; eval "$(evenkeel completion zsh)"; compadd() { shift; print -l -- ${(P)1} }; ` +
			`words=(evenkeel sta); CURRENT=2; _evenkeel`,
		"fish": `evenkeel completion fish | source; complete -C 'evenkeel sta'`,
	} {
		t.Run(shell, func(t *testing.T) {
			out, status := inShell(t, shell, t.TempDir(), script)
			if got, want := strings.Fields(out), []string{"status", "start"}; status != 0 || strings.Join(sortedWords(got), " ") != strings.Join(sortedWords(want), " ") {
				t.Errorf("got status %d and %q, want %q", status, out, want)
			}
		})
	}
}
