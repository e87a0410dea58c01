// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// agentWith serves an agent with n keys until the test ends.
func agentWith(t *testing.T, n int, more ...ed25519.PrivateKey) (socket string, public []string) {
	t.Helper()
	ring := agent.NewKeyring()
	for range n {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		more = append(more, private)
	}
	for _, private := range more {
		if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		key, err := gossh.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))))
	}
	dir, err := os.MkdirTemp("", "agent") // a test's own folder is too deep for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = agent.ServeAgent(ring, conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String(), public
}

func TestGeneratedKeyIsMadeOnceByManyAtOnce(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	file := filepath.Join(t.TempDir(), "state", "id_ed25519")
	keys := make([]string, 20)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			id, err := ssh.LoadIdentity("", file)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = strings.Join(id.PublicKeys(), "|")
		})
	}
	all.Wait()
	for _, k := range keys {
		if k != keys[0] || !strings.HasPrefix(k, "ssh-ed25519 ") {
			t.Fatalf("got %q and %q, want one key", k, keys[0])
		}
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want %04o", path, info, err, want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("got %v, %v, want the key alone", left, err)
	}
}

func TestIdentityOrderIsFileAgentGenerated(t *testing.T) {
	settled(t)
	socket, held := agentWith(t, 2)
	t.Setenv("SSH_AUTH_SOCK", socket)
	dir := t.TempDir()
	private, public, err := ssh.GenerateKey("me@here")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/mine", private, 0o600)
	id, err := ssh.LoadIdentity(dir+"/mine", dir+"/made")
	if err != nil {
		t.Fatal(err)
	}
	got := id.PublicKeys()
	want := append([]string{strings.TrimSuffix(string(public), " me@here\n")}, held...)
	if len(got) != 4 || strings.Join(got[:3], "\n") != strings.Join(want, "\n") {
		t.Errorf("got %v, want %v and a made one", got, want)
	}
}

func TestDeadAgentIsPassedOver(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "gone"))
	id, err := ssh.LoadIdentity("", "")
	if err != nil || len(id.PublicKeys()) != 0 {
		t.Errorf("got %v, %v, want no keys and no error", id, err)
	}
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	locked, _ := lockedKey(t)
	write(t, dir+"/open", private, 0o644)
	write(t, dir+"/public", public, 0o600)
	write(t, dir+"/huge", make([]byte, 1<<20), 0o600)
	write(t, dir+"/empty", nil, 0o600)
	write(t, dir+"/locked", locked, 0o600)
	for file, want := range map[string]string{
		"open": "chmod 600", "public": "no private key", "huge": "larger than", "empty": "no private key", "locked": "ssh-add",
		"missing": "no such file", "": "regular file",
	} {
		path := dir + "/" + file
		if _, err := ssh.LoadIdentity(path, ""); err == nil || !strings.HasPrefix(err.Error(), "cannot use key "+path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", file, err, want)
		}
	}
	if _, err := ssh.LoadIdentity("", dir+"/open"); err == nil {
		t.Error("a generated key that others may read was used")
	}
}

func TestLockedKeyIsUsedThroughTheAgent(t *testing.T) {
	locked, private := lockedKey(t)
	r := newRig(t, nil)
	socket, held := agentWith(t, 3, private)
	t.Setenv("SSH_AUTH_SOCK", socket)
	file := filepath.Join(t.TempDir(), "id")
	write(t, file, locked, 0o600)
	id, err := ssh.LoadIdentity(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := id.PublicKeys(); len(got) != 4 || !slices.Contains(held, got[0]) {
		t.Errorf("got %v", got)
	}
	key, err := gossh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))); id.PublicKeys()[0] != want {
		t.Errorf("got %s first, want the file's %s", id.PublicKeys()[0], want)
	}
	target := r.target()
	target.Identity = id
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrAuth) {
		t.Errorf("got %v, want ErrAuth: the machine lets another key in", err)
	}
}

func lockedKey(t *testing.T) ([]byte, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), private
}

func write(t *testing.T, file string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
