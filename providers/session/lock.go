// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/filelock"
)

// Lock is the right to change an environment from this computer. The kernel gives it back when the last process that holds the file ends: this
// one, and the provider's, which may still be undoing what a killed command left. It keeps two commands of one user from doing work twice; that
// two computers do not make two machines is the providers' business.
type Lock struct{ file *os.File }

// Lock waits until no other process changes env, and tells waiting (may be nil) for whom, each once.
func (u User) Lock(ctx context.Context, env string, waiting func(holder string)) (*Lock, error) {
	said := ""
	for {
		lock, holder, err := u.TryLock(env)
		if err != nil || lock != nil {
			return lock, err
		}
		if holder != said && waiting != nil {
			waiting(holder)
		}
		said = holder
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TryLock takes the lock, or says who has it.
func (u User) TryLock(env string) (lock *Lock, holder string, err error) {
	if strings.Contains(env, "/") { // it may be a label that somebody else wrote
		return nil, "", fmt.Errorf("cannot lock environment %q: that is no name of one", env)
	}
	state, err := u.StateDir()
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(state, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	path := filepath.Join(dir, env+".lock")
	f, err := filelock.Try(path, 0o600)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("cannot lock environment %s: %w", env, err)
	case f == nil:
		return nil, holderOf(path), nil
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, "", fmt.Errorf("cannot lock environment %s: %s: %w", env, path, err)
	}
	return &Lock{f}, "", nil
}

func holderOf(path string) string {
	text, n := make([]byte, 32), 0
	if f, err := os.Open(path); err == nil { // else its holder has just gone
		n, _ = f.ReadAt(text, 0) // empty: the other has just taken it
		_ = f.Close()            // read only
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return "another evenkeel"
	}
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return fmt.Sprintf("the provider of an evenkeel that was killed (pid %d)", pid)
	}
	return fmt.Sprintf("another evenkeel (pid %d)", pid)
}

// Release gives the lock back, and takes its file away: names of copies are used once. Who waits for the file, or has just opened it, sees that it is the one no more.
func (l *Lock) Release() {
	_ = os.Remove(l.file.Name()) // else the next Release does
	_ = l.file.Close()
}
