// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/test/conformance"
)

// tree is a file system in which scripts run that read absolute paths: this machine's, with files of the test's own in the place of some of its folders.
type tree struct {
	t      *testing.T
	dir    string
	mounts []string
}

// newTree wants the right to mount, which a user namespace of one's own gives too, where it is allowed. The tree's /etc and /run stand for the machine's where they are written.
func newTree(t *testing.T) tree {
	t.Helper()
	_, err := exec.LookPath("unshare")
	if err == nil {
		err = exec.Command("unshare", "-mr", "true").Run()
	}
	conformance.Require(t, "unshare", err)
	return tree{t, t.TempDir(), nil}
}

// at is the tree with a further folder in the place of the machine's, which has such a one.
func (tr tree) at(dir string) tree {
	tr.mounts = append(slices.Clip(tr.mounts), dir)
	return tr
}

// write lays a file, or a link where the text is "-> TARGET".
func (tr tree) write(name, text string) {
	tr.t.Helper()
	file := filepath.Join(tr.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if target, link := strings.CutPrefix(text, "-> "); err == nil && link {
		err = os.Symlink(target, file)
	} else if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// chmod makes a file of the tree a program.
func (tr tree) chmod(name string) {
	tr.t.Helper()
	if err := os.Chmod(filepath.Join(tr.dir, name), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

// run is a command that runs a shell in the tree.
func (tr tree) run(shell []string) []string {
	tr.t.Helper()
	var mounts strings.Builder
	for _, dir := range append([]string{"/etc", "/run"}, tr.mounts...) {
		if _, err := os.Stat(filepath.Join(tr.dir, dir)); err == nil {
			fmt.Fprintf(&mounts, "mount --bind %[1]s%[2]s %[2]s && ", tr.dir, dir)
		}
	}
	return append([]string{"unshare", "-mr", "sh", "-c", mounts.String() + `exec "$@"`, "sh"}, shell...)
}

// plain is a command that runs a shell as nobody.
func plain(t *testing.T, shell []string) []string {
	t.Helper()
	_, err := exec.LookPath("setpriv")
	conformance.Require(t, "setpriv", err)
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, shell...)
}
