// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	var f *os.File
	for {
		if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, "", fmt.Errorf("cannot lock environment %s: %w", env, err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			defer f.Close()
			return nil, holderOf(f), nil
		}
		if err != nil || sameFile(f, path) {
			break
		}
		_ = f.Close() // who had it has taken it away meanwhile; the next one is another file
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, "", fmt.Errorf("cannot lock environment %s: %s: %w", env, path, err)
	}
	return &Lock{f}, "", nil
}

func holderOf(f *os.File) string {
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0) // empty: the other has just taken it
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

// sameFile reports whether what was opened by that name is still what has it.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	named, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(opened, named)
}
