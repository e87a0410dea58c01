// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestGroupsAreWellNamed(t *testing.T) {
	var names []string
	for _, g := range collectors.All() {
		if !regexp.MustCompile(`^[a-z][a-z_]*$`).MatchString(g.Name) || g.About == "" || g.Lane == "" || g.Script == "" || g.Parse == nil {
			t.Errorf("group %q is not whole", g.Name)
		}
		names = append(names, g.Name)
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) == 0 {
		t.Errorf("groups are not sorted, or not unique: %v", names)
	}
}

// The collector as it is runs whole under every shell, as root and as a plain account: each section comes, in one answer, and can be parsed.
func TestTheWholeCollectorRunsUnderEveryShell(t *testing.T) {
	line, input := facts.Program(collectors.All())
	for _, shell := range factstest.Shells(t) {
		for _, uid := range []uint32{0, 65534} {
			if uid != 0 && os.Geteuid() != 0 {
				continue
			}
			cmd := exec.CommandContext(t.Context(), shell[0], append(slices.Clone(shell[1:]), "-c", line, "evenkeel-facts")...)
			cmd.Stdin, cmd.Dir, cmd.Env = bytes.NewReader(input), "/", []string{"PATH=/usr/bin:/bin"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			if os.Geteuid() != 0 {
				cmd.SysProcAttr = nil
			}
			out, err := cmd.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				t.Errorf("%v: %v: %s", shell, err, exit.Stderr)
			} else if err != nil {
				t.Fatal(err)
			}
			all, err := facts.Answer(out)
			if err != nil {
				t.Errorf("%v as %d: %v", shell, uid, err)
			}
			known := 0
			for _, g := range collectors.All() {
				said, ok := all[g.Name]
				if !ok {
					t.Errorf("%v as %d: %s did not come", shell, uid, g.Name)
				} else if said.Unknown != "" {
					if strings.Contains(said.Unknown, "ended with status") {
						t.Errorf("%v as %d: %s: %s", shell, uid, g.Name, said.Unknown)
					}
				} else if s := facts.Section(g, said.Raw, mask(t)); s.Unknown != "" {
					t.Errorf("%v as %d: %s: %s", shell, uid, g.Name, s.Unknown)
				} else {
					known++
				}
			}
			if known < 5 {
				t.Errorf("%v as %d: only %d sections are known", shell, uid, known)
			}
		}
	}
}

// The real sudo, with sudoers of this test's own in a mount namespace: it reads the collector to the end, also behind a pty of its own, and runs a pinned copy of that digest alone.
func TestSudoRunsTheCollectorOrItsPinnedCopy(t *testing.T) {
	err := exec.Command("unshare", "-m", "true").Run()
	for _, name := range []string{"sudo", "setpriv"} {
		if _, lookErr := exec.LookPath(name); err == nil {
			err = lookErr
		}
	}
	conformance.Require(t, "sudo", err)
	dir, err := os.MkdirTemp("/var/tmp", "evenkeel-facts-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	groups := []collectors.Group{group("one", "echo root=$root")}
	script, digest := facts.Script(groups)
	pinned := "nobody ALL=(root) NOPASSWD: sha256:" + digest + " " + facts.PinnedPath + "\n"
	for name, c := range map[string]struct{ sudoers, copy, want string }{
		"no right":                  {"", "", "0 -"},
		"every right":               {"nobody ALL=(root) NOPASSWD: ALL\n", "", "1 -"},
		"every right, with a pty":   {"Defaults use_pty\nnobody ALL=(root) NOPASSWD: ALL\n", "", "1 -"},
		"no terminal, so no right":  {"Defaults requiretty\nnobody ALL=(root) NOPASSWD: ALL\n", "", "0 -"},
		"the copy":                  {pinned, script, "1 " + digest},
		"the copy, with a pty":      {"Defaults use_pty\n" + pinned, script, "1 " + digest},
		"a copy that was changed":   {pinned, script + "#\n", "0 -"},
		"a right to a missing copy": {pinned, "", "0 -"},
	} {
		for file, text := range map[string]string{"sudoers": c.sudoers, "copy": c.copy, "line": facts.CommandLine(), "input": "z\n" + script} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-ec", `
mount -t tmpfs -o mode=0755 none /etc/sudoers.d
mount -t tmpfs -o mode=0755 none /usr/local/sbin
[ ! -s copy ] || install -m 0755 copy `+facts.PinnedPath+`
install -m 0440 sudoers /etc/sudoers.d/test
exec setpriv --reuid nobody --regid nogroup --clear-groups sh -c "$(cat line)" <input`)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if want := regexp.MustCompile(`(?m)^evenkeel-facts 1 (\d) [0-9.]+ (\S+)$`); err != nil || fmt.Sprint(want.FindSubmatch(out)) == "[]" {
			t.Errorf("%s: %v: %s", name, err, out)
		} else if got := want.FindSubmatch(out); string(got[1])+" "+string(got[2]) != c.want || !bytes.Contains(out, []byte("root="+c.want[:1]+"\n")) || !bytes.HasSuffix(out, []byte("end\n")) {
			t.Errorf("%s: got %s, want %s", name, out, c.want)
		}
	}
}

func TestTheDocumentNamesEverySection(t *testing.T) {
	text, err := os.ReadFile("../../docs/facts.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, g := range collectors.All() {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", g.Name, g.Lane, g.About)
	}
	if _, table, _ := strings.Cut(string(text), "|---|---|---|\n"); table != want.String() {
		t.Errorf("the table of sections in docs/facts.md must be:\n%s", want.String())
	}
}
