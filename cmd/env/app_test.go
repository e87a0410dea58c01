// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func sortedWords(words []string) []string { return slices.Sorted(slices.Values(words)) }

// run answers a command line in an empty folder.
func run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	home := t.TempDir()
	app := &App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Args: args, Env: []string{"HOME=" + home}, Dir: t.TempDir()}
	status = app.Run(context.Background())
	return out.String(), errs.String(), status
}

func TestBadCommandLinesSayWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"stauts", `there is no verb "stauts"` + "\n  hint: did you mean status?"},
		{"xyzzy", `there is no verb "xyzzy"` + "\n  hint: evenkeel --help lists them"},
		{"-f x up", "the first word must be a verb, got -f\n  hint: options stand behind the verb"},
		{"image push", "image push is not supported yet"},
		{"image lokc", `there is no image "lokc"; allowed are lock, build, list, show, prune`},
		{"up --reple", "there is no option --reple here\n  hint: did you mean --replace?"},
		{"ssh web-1 --json", "there is no option --json here; allowed are --user, "},
		{"hook bash --json", "there is no option --json here"},
		{"init --tier ci", "there is no option --tier here"},
		{"version -f x", "there is no option -f here"},
		{"rebuild", "no machine was named\n  hint: evenkeel rebuild web-1"},
		{"up web-1 -x", "there is no option -x here"},
		{"up --tier", "option --tier needs a value"},
		{"up --replace=maybe", "invalid boolean value"},
		{"up --", "up takes machine names, got -- besides"},
		{"up --within soon", `--within: got "soon"; allowed is a time like 90s or 10m`},
		{"up --within -5s", `--within: got "-5s"`},
		{"status web-1", `evenkeel: status takes no argument, got "web-1" besides`},
		{"status -- x", `evenkeel: status takes no argument, got "x" besides`},
		{"init a b", `evenkeel: init takes 1 argument, got "b" besides`},
		{"init --example nothing", `cannot find example "nothing": there is shop`},
		{"ssh web-1 ls -l", "there is no option -l here"},
		{"ssh web-1 ls", "ssh takes one machine, got \"ls\" besides\n  hint: a command stands behind --: evenkeel ssh web-1 -- ls"},
		{"ssh web-1 --", "there is no command behind --"},
		{"hook", "hook needs one of bash, zsh, fish"},
		{"hook tcsh", `hook needs one of bash, zsh, fish, got "tcsh"`},
		{"schema nothing", `there is no schema "nothing"; allowed are env, recipe`},
		{"plan", "cannot find env.yaml in "},
		{"plan --graph --json", "--graph and --json exclude each other"},
		{"plan --graph --format png", `--format: got "png"; allowed is mermaid or svg`},
		{"plan -o x.svg", "--format and --output belong to --graph"},
		{"status --settings --check", "--settings and --check exclude each other"},
		{"trust --yes --revoke", "--yes, --list and --revoke exclude each other"},
		{"trust --tier ci", "there is no option --tier here"},
		{"up", "hint: `evenkeel init` writes one; -f FILE names one elsewhere"},
		{"plan -f nowhere/env.yaml", "nowhere/env.yaml"},
	} {
		stdout, stderr, status := run(t, strings.Fields(tt.line)...)
		if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "evenkeel: ") || !strings.Contains(stderr, tt.want) {
			t.Errorf("evenkeel %s: got status %d, stdout %q, stderr\n%swant status 1 and %q", tt.line, status, stdout, stderr, tt.want)
		}
	}
}

func TestHelpIsOnStdoutAndSucceeds(t *testing.T) {
	for line, want := range map[string]string{
		"--help": "usage: evenkeel VERB", "help": "usage: evenkeel VERB", "-h": "usage: evenkeel VERB", "help up": "usage: evenkeel up [OPTIONS] [NAME...]", "up --help": "usage: evenkeel up [OPTIONS] [NAME...]",
		"up web-1 -h": "usage: evenkeel up", "help image lock": "usage: evenkeel image lock", "image": "usage: evenkeel image", "image lock --help": "usage: evenkeel image lock",
		"--version": "evenkeel ",
	} {
		stdout, stderr, status := run(t, strings.Fields(line)...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("evenkeel %s: got status %d, stdout %q, stderr %q; want %q on stdout", line, status, stdout, stderr, want)
		}
	}
	if stdout, stderr, status := run(t); status != 1 || stdout != "" || !strings.Contains(stderr, "usage: ") {
		t.Errorf("evenkeel: got status %d, stdout %q, stderr %q; want status 1 and help on stderr", status, stdout, stderr)
	}
}

func TestOptionsStandBeforeAndAfterArguments(t *testing.T) {
	flags := (&App{}).flags((&App{}).upVerb())
	for _, tt := range []struct{ line, flags, args, after string }{
		{"web-1 --replace", "--replace", "web-1", ""},
		{"--replace web-1", "--replace", "web-1", ""},
		{"a --tier ci b -q c", "--tier ci -q", "a b c", ""},
		{"--tier=ci a", "--tier=ci", "a", ""},
		{"-f - a", "-f -", "a", ""},
		{"a -- --replace b", "", "a", "--replace b"},
		{"-tier ci", "-tier ci", "", ""},
	} {
		l, err := takeApart(strings.Fields(tt.line), flags)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		got := [3]string{strings.Join(l.flags, " "), strings.Join(l.args, " "), strings.Join(l.after, " ")}
		if want := [3]string{tt.flags, tt.args, tt.after}; got != want {
			t.Errorf("%s: got %q, want %q", tt.line, got, want)
		}
	}
}

func TestInitWritesAProjectAndOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"init", dir + "/new"}, 0, "next: cd "},
		{[]string{"init", dir + "/new"}, 1, "is there already, and nothing is overwritten"},
		{[]string{"init", "--example", "shop", dir + "/shop"}, 0, "env.yaml"},
		{[]string{"init", dir + "/new/env.yaml/x"}, 1, "cannot init"},
	} {
		stdout, stderr, status := run(t, tt.args...)
		if status != tt.status || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%v: got status %d, %q, %q; want %d and %q", tt.args, status, stdout, stderr, tt.status, tt.want)
		}
	}
	for _, project := range []string{"new", "shop"} {
		if _, stderr, status := run(t, "validate", "-f", dir+"/"+project+"/env.yaml"); status != 0 {
			t.Errorf("%s does not validate: %s", project, stderr)
		}
	}
	one, _, err := envs.Load(dir + "/shop/env.yaml")
	if err != nil || one == nil || one.ID == "7f3a9c" {
		t.Errorf("a copy of the example has id %v (%v); want one of its own", one, err)
	}
}

func TestGitignoreGetsOnlyTheLinesItLacks(t *testing.T) {
	for _, tt := range [][3]string{
		{"", "a\nb\n", "a\nb\n"}, {"a\n", "a\nb\n", "b\n"}, {"a", "a\nb\n", "\nb\n"}, {"b\na\n", "a\nb\n", ""},
	} {
		if got := missingLines(tt[0], tt[1]); got != tt[2] {
			t.Errorf("missingLines(%q, %q) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestCompletionKnowsWhatStandsNext(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, status := run(t, "init", dir); status != 0 {
		t.Fatal(stderr)
	}
	f := "--file=" + dir + "/env.yaml"
	for _, tt := range []struct{ words, want string }{
		{"|sta", "start status"},
		{"|ini", "init"},
		{"image|", "build list lock prune show"},
		{"up " + f + "|we", "web web-1"},
		{"ssh " + f + "|web-1", "web-1"},
		{"up " + f + " --tier|", "laptop"},
		{"down " + f + "|--da", "--data"},
		{"init --example|", "shop"},
		{"hook|", "bash fish zsh"},
		{"ssh web-1 --|", ""},
		{"nonsense|", ""},
		{"up -f /nowhere/env.yaml|", ""},
	} {
		before, unfinished, _ := strings.Cut(tt.words, "|")
		stdout, stderr, status := run(t, append(append([]string{completeWord}, strings.Fields(before)...), unfinished)...)
		got := strings.Join(sortedWords(strings.Fields(stdout)), " ")
		if got != tt.want || stderr != "" || status != 0 {
			t.Errorf("%s: got %q, stderr %q, status %d; want %q", tt.words, got, stderr, status, tt.want)
		}
	}
}

func TestFailuresAreToldOneByOneWithWhatToDo(t *testing.T) {
	var b bytes.Buffer
	app := &App{Stderr: &b}
	boot := &providers.StageError{Machine: "web-1", Stage: "boot", Err: errors.New("no answer\x1b[2J"), Console: "early\r\nkernel panic\x07\n", Hint: "look at it"}
	denied := &providers.Error{Code: providers.Denied, Op: "create", Subject: "machine db-1", Err: errors.New("no right"), Hint: "ask"}
	app.report(errors.Join(boot, errors.Join(denied, denied), fmt.Errorf("both: %w, %w", errors.New("x"), errors.New("y"))))
	want := `evenkeel: cannot bring up machine web-1: stage boot failed after 0s: no answer\x1b[2J
  the last lines of web-1's console:
  | early
  | kernel panic\x07
  hint: look at it
evenkeel: cannot create machine db-1: no right
  hint: ask
evenkeel: both: x, y
`
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
