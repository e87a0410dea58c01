// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	const (
		anywhere = "anywhere" // the same in and out of a project
		inside   = "inside"
		outside  = "outside"
	)
	for _, tt := range []struct {
		args  string
		where string
		want  whose
	}{
		{"", anywhere, systems},
		{"FOO=bar", anywhere, systems},
		{"FOO=bar up", anywhere, systems},
		{"up=1", anywhere, systems},
		{"-i up", anywhere, systems},
		{"-", anywhere, systems},
		{"--", anywhere, systems},
		{"-- up", anywhere, systems},
		{"--version", anywhere, systems},
		{"-h", anywhere, systems},
		{"--help", anywhere, ours},
		{"--help up", anywhere, ours},
		{"--helping", anywhere, systems},
		{"true", anywhere, systems},
		{"help", anywhere, systems},
		{"./up", anywhere, systems},
		{"UP", anywhere, systems},
		{"up", anywhere, ours},
		{"up -x", anywhere, ours},
		{"status", anywhere, ours},
		{"ssh-config", anywhere, ours},
		{"run make", anywhere, ours},
		{"logs", anywhere, ours},
		{"resume", anywhere, ours},
		{"init", anywhere, ours},
		{"init --example shop", anywhere, ours},
		{"init 6", outside, systems},
		{"init 6", inside, ours},
		{"ssh web-1", outside, systems},
		{"ssh web-1", inside, ours},
		{"ssh", outside, systems},
		{"cp a b", outside, systems},
		{"cp a b", inside, ours},
		{"sync", outside, systems},
		{"sync", inside, ours},
		{"gc", outside, systems},
		{"gc", inside, ours},
		{"compare a b", outside, systems},
		{"compare", inside, ours},
		{"trust list", outside, systems},
		{"trust", inside, ours},
		{"destroy", outside, systems},
		{"destroy", inside, ours},
		{"halt", outside, nobodys},
		{"halt", inside, ours},
		{"reboot", anywhere, nobodys},
		{"reboot -f", anywhere, nobodys},
		{"poweroff", anywhere, nobodys},
		{"shutdown -h now", anywhere, nobodys},
		{"suspend", anywhere, ours},
		{"/sbin/reboot", anywhere, systems}, // nobody types that by habit
		{"A=b reboot", anywhere, systems},
	} {
		for _, in := range []bool{false, true} {
			if tt.where == inside && !in || tt.where == outside && in {
				continue
			}
			got := decide(strings.Fields(tt.args), func() bool { return in })
			if got != tt.want {
				t.Errorf("env %s, in a project %v: got %v, want %v", tt.args, in, got, tt.want)
			}
		}
	}
	if got := decide([]string{""}, func() bool { return true }); got != systems {
		t.Errorf("env '': got %v, want %v", got, systems)
	}
}

func TestEveryVerbIsKnownToTheHandOff(t *testing.T) {
	var have []string
	for _, v := range (&App{}).verbs() {
		have = append(have, strings.Fields(v.name)[0]) // of two words the first
	}
	want := verbs()
	slices.Sort(have)
	have = slices.Compact(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the verbs are %v, the hand-off knows %v", have, want)
	}
}

// outcome is all that a caller sees of a process.
type outcome struct {
	stdout, stderr string
	status         int
}

func call0(t *testing.T, path, argv0, dir string, env []string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Args[0] = argv0
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &stdout, &stderr
	cmd.Stdin = strings.NewReader("from stdin\n")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		return outcome{stdout.String(), stderr.String(), exit.ExitCode()}
	}
	return outcome{stdout.String(), stderr.String(), 0}
}

// What is not ours must be as if the system's env had been called: output, status, folder, environment, arguments.
func TestHandedOnLinesAreAsTheSystemsEnv(t *testing.T) {
	const theirs = "/usr/bin/env"
	if _, err := os.Stat(theirs); err != nil {
		t.Skip("there is no " + theirs)
	}
	ourEnv := calledAs(t, "env")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!"+ourEnv+" -S A=split sh -c 'echo $A $0'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	lines := [][]string{
		{},
		{"true"}, {"false"}, {"sh", "-c", "exit 7"}, {"sh", "-c", "kill -TERM $$"},
		{"cat"}, {"pwd"}, {"printenv"}, {"sh", "-c", "echo out; echo err >&2"},
		{"A=1"}, {"A=1", "B=2", "sh", "-c", "echo $A$B"}, {"A=1", "up"}, {"=x"}, {"PATH=/nowhere", "true"}, {"A=", "printenv", "A"},
		{"-i"}, {"-i", "A=1"}, {"-"}, {"-", "A=1", "printenv"}, {"-i", "/bin/sh", "-c", "echo $HOME."},
		{"--"}, {"--", "true"}, {"--", "A=b", "printenv", "A"}, {"-u", "HOME"}, {"-u", "HOME", "printenv", "HOME"}, {"--unset=HOME", "printenv"},
		{"-0"}, {"-C", "/", "pwd"}, {"--chdir=/nowhere", "pwd"}, {"-S", "A=1 printenv A"}, {"-S", `printf %s\\n "a b"`}, {"-vS", "true"},
		{"-v", "true"}, {"--version"}, {"-h"}, {"--nonsense"}, {"-x"}, {"-u"}, {"--debug", "true"}, {"--ignore-environment"},
		{"no-such-program-anywhere"}, {"stauts"}, {"./up"}, {"/"}, {"/etc/passwd"}, {""}, {"UP"}, {"a b"}, {"-i", "up"}, {"up=1"},
		{"echo", "--help"}, {"echo", "--", "-x"}, {"echo", "a  b", "", "c\nd", "\xff\xfe"}, {"ls", "/nowhere-at-all"}, {"sync", "/"},
		{"cp"}, {"compare-nothing"}, {"halting"}, {"--argv0=x", "true"}, {"--block-signal=PIPE", "true"}, {"--list-signal-handling", "true"},
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "LC_ALL=C", "TWICE=1", "TWICE=2", "_=/odd", "EMPTY=", "WEIRD=a=b=c", "BYTES=\xff"}
	for _, args := range lines {
		dir := t.TempDir()
		got, want := call0(t, ourEnv, "env", dir, env, args...), call0(t, theirs, "env", dir, env, args...)
		if got != want {
			t.Errorf("env %q:\n got %+v\nwant %+v", args, got, want)
		}
	}
	if got, want := call0(t, script, script, t.TempDir(), env).stdout, "split"; !strings.Contains(got, want) {
		t.Errorf("a script that begins with our env -S says %q, want %q in it", got, want)
	}
	t.Run("the environment is whole", func(t *testing.T) {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		// os/exec would drop the repeated name.
		p, err := os.StartProcess(ourEnv, []string{"env"}, &os.ProcAttr{Env: env, Files: []*os.File{nil, out, out}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out.Name())
		if want := strings.Join(env, "\n") + "\n"; err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	})
	t.Run("standing in a project", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "env.yaml"), []byte("evenkeel: 1\nname: x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{}, {"true"}, {"A=1", "gc"}, {"-i", "ssh"}, {"ls"}} {
			if got, want := call0(t, ourEnv, "env", dir, env, args...), call0(t, theirs, "env", dir, env, args...); got != want {
				t.Errorf("env %q:\n got %+v\nwant %+v", args, got, want)
			}
		}
	})
}

func TestWordsThatTakeAComputerDownAreNeverHandedOn(t *testing.T) {
	dir := t.TempDir()
	for _, word := range reserved() {
		// A program of that name that tells when it is run.
		if err := os.WriteFile(filepath.Join(dir, word), []byte("#!/bin/sh\necho RAN\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		got := call0(t, calledAs(t, "env"), "env", dir, []string{"PATH=" + dir, "HOME=" + dir}, word)
		if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "evenkeel: ") {
			t.Errorf("env %s: got %+v, want status 1 and a message", word, got)
		}
	}
}

func TestUnderItsOwnNameNothingIsHandedOn(t *testing.T) {
	for _, args := range [][]string{{"true"}, {"A=1", "true"}, {"-i", "true"}, {"stauts"}} {
		got := call0(t, calledAs(t, "evenkeel"), "evenkeel", t.TempDir(), []string{"PATH=/usr/bin:/bin", "HOME=/"}, args...)
		if got.status != 1 || !strings.HasPrefix(got.stderr, "evenkeel: ") {
			t.Errorf("evenkeel %q: got %+v, want status 1 and a message", args, got)
		}
	}
}

func TestSystemEnvIsNeverThisProgram(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link, copied, other, plain := filepath.Join(dir, "link"), filepath.Join(dir, "copy"), filepath.Join(dir, "other"), filepath.Join(dir, "plain")
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(self, link), os.WriteFile(copied, content, 0o755), os.WriteFile(other, []byte("#!/bin/sh\n"), 0o755),
		os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := systemEnv(link, copied, dir, plain, filepath.Join(dir, "absent"), other)
	if err != nil || got != other {
		t.Errorf("got %q, %v; want %q", got, err, other)
	}
	if got, err := systemEnv(link, copied); err == nil {
		t.Errorf("got %q, want an error: both are this program", got)
	}
}

func TestSuggest(t *testing.T) {
	t.Setenv("PATH", "/usr/bin:/bin")
	for word, want := range map[string]string{"stauts": "status", "ls": "", "./stauts": "", "xyzzy": ""} {
		var b bytes.Buffer
		suggest(&b, word)
		if want == "" && b.Len() > 0 || want != "" && !strings.Contains(b.String(), fmt.Sprintf("%q", want)) {
			t.Errorf("suggest(%q) says %q, want %q in it", word, b.String(), want)
		}
	}
}
