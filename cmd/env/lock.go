// SPDX-License-Identifier: Apache-2.0

package main

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

// envLock is the right to change an environment from this computer. The kernel gives it back when the last process that holds the file ends: this
// one, and the provider's, which may still be undoing what a killed command left. It keeps two commands of one user from doing work twice; that
// two computers do not make two machines is the providers' business.
type envLock struct{ file *os.File }

// lockEnv waits until no other command changes env, and says for whom it waits.
func (c *call) lockEnv(ctx context.Context, env string) (*envLock, error) {
	said := ""
	for {
		lock, holder, err := c.tryLockEnv(env)
		if err != nil || lock != nil {
			return lock, err
		}
		if holder != said {
			fmt.Fprintf(c.Stderr, "evenkeel: waiting for %s working on %s\n", holder, env)
			said = holder
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLockEnv takes the lock, or says who has it.
func (a *App) tryLockEnv(env string) (lock *envLock, holder string, err error) {
	if strings.Contains(env, "/") { // it may be a label that somebody else wrote
		return nil, "", fmt.Errorf("cannot lock environment %q: that is no name of one", env)
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(state, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	path := filepath.Join(dir, env+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("cannot lock environment %s: %w", env, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, holderOf(f), nil
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
	return &envLock{f}, "", nil
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

// release gives the lock back. The file stays: removing it could give two processes the lock at once.
func (l *envLock) release() { _ = l.file.Close() }
