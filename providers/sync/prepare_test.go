// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/providers/sync"
)

// somebody is a user that no system has, for the machine's files.
const somebody = "54321"

// usersRig is a rig whose machine has two users: deploy, who is somebody, and evenkeel, who may become root. It needs root, and folders that are root's alone.
func usersRig(t *testing.T) (r *rig, login *ssh.Client) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root to play another user")
	}
	dir, err := os.MkdirTemp("/var/lib", "evenkeel-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	sudo := "#!/bin/sh\n[ \"$1\" = -n ] && shift\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(sudo), 0o755); err != nil {
		t.Fatal(err)
	}
	r = newRigWith(t, func(_ context.Context, s *sshtest.Session) int {
		cmd := exec.Command("/bin/sh", "-c", s.Command)
		cmd.Env, cmd.Dir = []string{"PATH=" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}, "/"
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
		if s.User == "deploy" {
			cmd.Env = []string{"PATH=/usr/bin:/bin"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		}
		var in bytes.Buffer // what Run waits for must end with the client's input
		if _, err := in.ReadFrom(s.Stdin); err != nil {
			return 255
		}
		cmd.Stdin = &in
		if err := cmd.Run(); err != nil {
			if cmd.ProcessState == nil {
				return 255
			}
			return cmd.ProcessState.ExitCode()
		}
		return 0
	})
	r.far = filepath.Join(dir, "srv", "app")
	r.pair.To = r.far
	as := r.target
	as.User = "evenkeel"
	login, err = ssh.Dial(context.Background(), as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = login.Close() })
	return r, login
}

// owners says whose each file and folder below dir is that is not somebody's.
func owners(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "!", "-user", somebody, "-printf", "%U %P\\n").CombinedOutput()
	if err != nil {
		t.Fatalf("find: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestTheMachinesFilesAreItsUsersAndNeverRoots(t *testing.T) {
	r, login := usersRig(t)
	o := sync.Options{Login: login, User: somebody}
	write(t, r.host, "a", "mine")
	write(t, r.host, "sub/b", "mine too")
	// What the image brought: a file of that name, and one that is not ours; and what only root may read.
	write(t, r.far, "a", "the image's")
	write(t, r.far, "sub/only there", "the image's")
	write(t, r.far, "secret", "root's")
	if err := os.Chmod(filepath.Join(r.far, "secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	res := r.sync(o)
	if len(res.Conflicts) > 0 || res.Pushed != 2 || res.Foreign != 1 || res.Skipped["secret"] == "" {
		t.Errorf("%+v", res)
	}
	r.holds(r.host, "a=mine sub/b=mine too")
	r.holds(r.far, "a=mine secret=root's sub/b=mine too sub/only there=the image's")
	if got := owners(t, r.far); got != "0 secret\n0 sub/only there" && got != "0 sub/only there\n0 secret" {
		t.Errorf("of others are\n%s", got)
	}
	// What root lays there later is a conflict with a new file of ours, never overwritten.
	write(t, r.far, "late", "root's")
	write(t, r.host, "late", "mine")
	if res = r.sync(o); len(res.Conflicts) != 1 || res.Conflicts[0].Path != "late" {
		t.Errorf("%+v", res)
	}
}

func TestRootMakesAFolderOnlyWhereNobodyElseCanPutALinkInTheWay(t *testing.T) {
	r, login := usersRig(t)
	o := sync.Options{Login: login, User: somebody}
	write(t, r.host, "a", "1")
	parent := filepath.Dir(r.far)
	if err := os.Mkdir(parent, 0o777); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(filepath.Dir(parent), "elsewhere")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	for what, lay := range map[string]func() error{
		"is a symbolic link": func() error {
			return os.Symlink(elsewhere, r.far)
		},
		"not root's alone": func() error {
			if err := os.Mkdir(r.far, 0o755); err != nil {
				return err
			}
			return os.Chmod(parent, 0o777)
		},
	} {
		if err := lay(); err != nil {
			t.Fatal(err)
		}
		if _, err := sync.Sync(context.Background(), r.client, r.pair, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
		if err := os.Remove(r.far); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := owners(t, elsewhere); got != "0" {
		t.Errorf("behind the link: %s, want it root's", got)
	}
}

func TestACommitIsDeliveredBesideByRootAndBelongsToTheUser(t *testing.T) {
	r, login := usersRig(t)
	o := sync.Options{Login: login, User: somebody}
	write(t, r.host, "a", "1")
	r.committed()
	write(t, r.far, "shipped", "the image's")
	for range 2 {
		if _, err := sync.Deliver(context.Background(), r.client, r.pair, r.commit(), o); err != nil {
			t.Fatal(err)
		}
		write(t, r.host, "a", "2")
		r.git("commit", "-q", "-a", "--allow-empty", "-m", "next")
	}
	if got := owners(t, r.far); got != "" {
		t.Errorf("of others are\n%s", got)
	}
	if text, err := os.ReadFile(filepath.Join(r.far, "a")); err != nil || string(text) != "2" {
		t.Errorf("got %q, %v", text, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(r.far)); len(left) != 1 {
		t.Errorf("beside it: %v", left)
	}
}
