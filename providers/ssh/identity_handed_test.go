// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// handedVariable makes this program one that loads the key it names, and says what came of it.
const handedVariable = "EVENKEEL_TEST_HANDED_KEY"

// TestHandedKey is run by the next test, as another user.
func TestHandedKey(t *testing.T) {
	file := os.Getenv(handedVariable)
	if file == "" {
		t.Skip("it is a part of TestAKeyThatRootHandsToAServiceIsUsed")
	}
	_, err := ssh.LoadIdentity(file, "")
	fmt.Printf("came to: %v\n", err)
}

// systemd's LoadCredential= leaves the file root's, and lets the service's user read it by an access list, whose mask shows as the group's rights. Here the group itself stands for
// the list.
func TestAKeyThatRootHandsToAServiceIsUsed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can hand a file to another user")
	}
	dir, err := os.MkdirTemp("", "handed") // where another user gets to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	private, _, err := ssh.GenerateKey("handed")
	if err != nil {
		t.Fatal(err)
	}
	program, key := filepath.Join(dir, "program"), filepath.Join(dir, "key")
	write(t, program, self, 0o755)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o440: "came to: <nil>", 0o444: "others may read it (mode 0444"} {
		write(t, key, private, mode)
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHandedKey$")
		cmd.Dir, cmd.Env = dir, []string{handedVariable + "=" + key}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 0, NoSetGroups: true}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("mode %04o: %v, got\n%s\nwant %q", mode, err, out, want)
		}
	}
	write(t, key, private, 0o440)
	if err := os.Chmod(key, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.LoadIdentity(key, ""); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("its owner's own key that a group may read: got %v, want a refusal", err)
	}
}
