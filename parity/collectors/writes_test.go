// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// change is a system call that succeeded and changed, or could have changed, a file: whatever is named, and an opening to write of what is not a terminal or the sink.
var (
	change  = regexp.MustCompile(`\b(creat|mkdir|mkdirat|mknod|mknodat|rmdir|unlink|unlinkat|rename|renameat|renameat2|link|linkat|symlink|symlinkat|chmod|fchmod|fchmodat|chown|fchown|lchown|fchownat|truncate|ftruncate|fallocate|utime|utimes|utimensat|setxattr|lsetxattr|fsetxattr|removexattr|mount|umount2|init_module|finit_module|sethostname|settimeofday|clock_settime|adjtimex)\(.*= 0`)
	opened  = regexp.MustCompile(`\bopen(at)?\(.*O_(WRONLY|RDWR|CREAT|TRUNC|APPEND).*= \d+`)
	nowhere = regexp.MustCompile(`"/dev/(null|tty|pts/\d+|full)"`)
)

// traceable are the calls that strace has to look at, those of them that this architecture has.
const traceable = "?open,openat,?creat,?mkdir,mkdirat,?mknod,mknodat,?rmdir,?unlink,unlinkat,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?chmod,fchmod,fchmodat,?chown,fchown,?lchown,fchownat," +
	"truncate,ftruncate,fallocate,?utime,?utimes,utimensat,setxattr,lsetxattr,fsetxattr,removexattr,mount,umount2,init_module,finit_module,sethostname,settimeofday,clock_settime,adjtimex,execve"

// changes are the lines of a trace by strace that tell of a change.
func changes(trace string) []string {
	var list []string
	for line := range strings.Lines(trace) {
		if change.MatchString(line) || opened.MatchString(line) && !nowhere.MatchString(line) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

func TestNoGroupWritesAFile(t *testing.T) {
	_, err := exec.LookPath("strace")
	if err == nil {
		err = exec.CommandContext(t.Context(), "strace", "-f", "-o", os.DevNull, "true").Run()
	}
	conformance.Require(t, "strace", err)
	traced := func(t *testing.T, g collectors.Group, shell []string) []string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "trace")
		// The collector's own parts before and behind a group are traced with it.
		factstest.Raw(t, g, factstest.Options{Shell: shell, Wrap: []string{"strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=" + traceable, "-e", "signal=none", "-o", file}})
		trace, err := os.ReadFile(file)
		if err != nil || len(trace) == 0 {
			t.Fatalf("no trace: %v", err)
		}
		return changes(string(trace))
	}
	for _, shell := range factstest.Shells(t) {
		for _, g := range collectors.All() {
			t.Run(shell[0]+" "+g.Name, func(t *testing.T) {
				for _, line := range traced(t, g, shell) {
					t.Errorf("it writes: %s", line)
				}
			})
		}
	}
	t.Run("and one that did would be seen", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "written")
		g := collectors.Group{Name: "writes", Script: "echo a >" + file + "; chmod 600 " + file}
		if got := traced(t, g, nil); len(got) != 2 {
			t.Errorf("of two changes it tells %q", got)
		}
		if err := os.Remove(file); errors.Is(err, os.ErrNotExist) {
			t.Error("the script did not run")
		}
	})
}
