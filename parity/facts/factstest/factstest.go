// SPDX-License-Identifier: Apache-2.0

// Package factstest runs the collector on the machine that tests run on, as facts.Collect has it run on a machine, without SSH. Only tests import it.
package factstest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
)

// Options say how a group is run.
type Options struct {
	Shell []string // {"dash"}, {"bash"}, {"busybox", "ash"}; nil: /bin/sh
	Root  string   // a system's tree, to which the shell is confined by chroot; "": this machine's. Needs root
	Plain bool     // as nobody (65534), so that $root is 0. Needs root
	// Wrap stands before the shell: {"strace", "-f", "-o", file}, {"unshare", "-m", ...}.
	Wrap []string
	Env  []string // NAME=VALUE, besides PATH and HOME
}

// Shells are those of {dash}, {bash}, {busybox ash}, {mksh} that this machine has. dash is at least there.
func Shells(t testing.TB) [][]string {
	t.Helper()
	var all [][]string
	for _, words := range [][]string{{"dash"}, {"bash"}, {"busybox", "ash"}, {"mksh"}} {
		if _, err := exec.LookPath(words[0]); err == nil {
			all = append(all, words)
		}
	}
	if len(all) == 0 || all[0][0] != "dash" {
		t.Fatal("dash is not here: apt-get install dash")
	}
	return all
}

// Key masks in tests.
var key = []byte("factstest factstest")

// Run runs one group and returns its section as a snapshot would have it: parsed, masked, in order; Unknown where it could not be read. What is no answer at all, a syntax error
// for one, fails the test.
func Run(t testing.TB, g collectors.Group, o Options) parity.Section {
	t.Helper()
	raw, unknown := Raw(t, g, o)
	if unknown != "" {
		return parity.Section{Name: g.Name, Lane: g.Lane, Unknown: unknown}
	}
	return Parse(t, g, raw)
}

// Parse is the section that raw comes to.
func Parse(t testing.TB, g collectors.Group, raw []byte) parity.Section {
	t.Helper()
	mask, err := facts.NewMask(key)
	if err != nil {
		t.Fatal(err)
	}
	return facts.Section(g, raw, mask)
}

// Raw is what the group's script prints, or why it is unknown. It is what is recorded in testdata.
func Raw(t testing.TB, g collectors.Group, o Options) (raw []byte, unknown string) {
	t.Helper()
	shell := o.Shell
	if shell == nil {
		shell = []string{"/bin/sh"}
	}
	if (o.Root != "" || o.Plain) && os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	line, input := facts.Program([]collectors.Group{g})
	words := append(append([]string(nil), o.Wrap...), append(shell, "-c", line, "evenkeel-facts")...)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=/"}, o.Env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: o.Root}
	if o.Root != "" {
		cmd.Dir = "/"
	}
	if o.Plain {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	out, err := cmd.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("cannot run %v: %v", words, err)
	}
	all, readErr := facts.Answer(out)
	a, found := all[g.Name]
	if err != nil || readErr != nil || !found {
		t.Fatalf("%s under %v: %v, %v; it said %q and %q", g.Name, shell, err, readErr, clip(out), clip(said.Bytes()))
	}
	if said.Len() > 0 {
		t.Errorf("%s under %v says on stderr what nobody reads: %q", g.Name, shell, clip(said.Bytes()))
	}
	return a.Raw, a.Unknown
}

func clip(b []byte) []byte { return b[:min(len(b), 2000)] }
