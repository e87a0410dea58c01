// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hold is one shared environment while this process uses it.
type hold struct {
	mu    sync.Mutex
	of    *place
	users int
	lock  *os.File // shared with all processes that use it
	keep  bool     // a test that had it failed, and wants it kept
}

// held are this process's, by environment and tier.
var held struct {
	sync.Mutex
	holds map[string]*hold
	main  bool // Main lets go of them
}

// Shared is Up with one environment for all tests, of all packages, of one `go test` that ask for the same definition and tier: the first brings it up, the last to
// leave removes it. So tests must not mind what others did to it. A package whose TestMain calls Main keeps it from its first test that asks to its end; else it goes
// with the last test that has it, and the next one brings up another. What a killed `go test` left is removed by the next one's Shared, or expires.
func Shared(t testing.TB, file string, options ...Option) *Env {
	t.Helper()
	p := newPlace(t, options)
	h, name, err := holdOf(p, file)
	if err != nil {
		t.Fatalf("envtest: %s", explain(err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		if err := h.join(t, p, file, name); err != nil {
			p.fail(t, err)
		}
	}
	h.users++
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.Failed() {
			h.keep = h.keep || p.keep
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
			h.of.lastWords(ctx, t, h.of.s, true)
			cancel()
		}
		if h.users--; h.users == 0 && !mainLetsGo() {
			h.leave(t)
		}
	})
	return &Env{t, h.of}
}

func mainLetsGo() bool {
	held.Lock()
	defer held.Unlock()
	return held.main
}

// Main is for a package's TestMain: os.Exit(envtest.Main(m)). It runs the tests and then lets go of the shared environments.
func Main(m *testing.M) int {
	held.Lock()
	held.main = true
	held.Unlock()
	status := m.Run()
	held.Lock()
	defer held.Unlock()
	for _, h := range held.holds {
		h.mu.Lock()
		if h.of != nil {
			l := &lastly{}
			h.leave(l)
			if l.failed && status == 0 {
				status = 1
			}
		}
		h.mu.Unlock()
	}
	return status
}

// lastly stands for the test that there is none of any more.
type lastly struct {
	testing.TB
	failed bool
}

func (*lastly) Helper()                         {}
func (*lastly) Context() context.Context        { return context.Background() }
func (*lastly) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (l *lastly) Errorf(f string, args ...any)  { l.failed = true; l.Logf(f, args...) }

// holdOf is this process's hold of the environment that file and p name, and the name of the copy: the same for all children of one process, which `go test` is to its
// packages' tests. $EVENKEEL_TEST_SHARED says it for runners that are not.
func holdOf(p *place, file string) (*hold, string, error) {
	path, err := filepath.Abs(p.user.Path(file))
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot find the definition: %w", err)
	}
	run := os.Getenv("EVENKEEL_TEST_SHARED")
	if run == "" {
		parent := os.Getppid()
		run = fmt.Sprintf("%d since %s", parent, bornAt(parent))
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", path, p.tier, run))
	name := "t" + hex.EncodeToString(sum[:3])
	held.Lock()
	defer held.Unlock()
	if held.holds == nil {
		held.holds = map[string]*hold{}
	}
	if held.holds[name] == nil {
		held.holds[name] = &hold{}
	}
	return held.holds[name], name, nil
}

// bornAt tells a process from a later one with its number.
func bornAt(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19] // starttime: proc_pid_stat(5) counts from 1, and two stand before the parenthesis
}

// join becomes a user of the environment, which is brought up unless it is there.
func (h *hold) join(t testing.TB, p *place, file, name string) (err error) {
	dir, err := usersDir(p)
	if err != nil {
		return err
	}
	lock, err := lockShared(t.Context(), filepath.Join(dir, name))
	if err != nil {
		return err
	}
	err = p.bringUp(t, file, name)
	if p.s != nil { // for who sweeps; all users write the same
		_, writeErr := lock.WriteAt([]byte(p.s.Plan.Env), 0)
		err = errors.Join(err, writeErr)
	}
	if err == nil {
		h.of, h.lock = p, lock
		sweepShared(t, p, dir, name)
		return nil
	}
	h.of, h.lock = p, lock
	if p.s == nil {
		h.of, h.lock = nil, nil
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil { // nobody else waits to share it
			_ = os.Remove(lock.Name())
		}
		return errors.Join(err, lock.Close())
	}
	h.leave(t)
	return err
}

// usersDir holds, for each shared environment, the file that its users have locked. It is called after what the environment is defined by, so that leftovers are known.
func usersDir(p *place) (string, error) {
	state, err := p.user.StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "envtest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	return dir, nil
}

// lockShared waits while the last user of before removes the environment.
func lockShared(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot share an environment: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if err == nil && sameFile(f, path) {
			return f, nil
		}
		_ = f.Close() // it is another file's turn
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot share an environment: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sameFile: what was opened by that name is still what has it.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	named, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(opened, named)
}

// leave gives up the environment, and removes it where nobody else has it.
func (h *hold) leave(t testing.TB) {
	t.Helper()
	defer func() {
		h.of.close()
		_ = h.lock.Close() // which lets others in
		h.of, h.lock, h.keep = nil, nil, false
	}()
	if err := syscall.Flock(int(h.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return // somebody else has it
	}
	if h.keep { // its file stays, so that a later run removes it
		t.Logf("envtest: %s is kept until the next `go test` of its definition, or until it expires: evenkeel status%s, then evenkeel down, likewise", h.of.s.Plan.Env, h.of.found())
		return
	}
	h.of.end(t, false)
	_ = os.Remove(h.lock.Name()) // who waits for it looks whether it is still the one
}

// sweepShared removes what earlier runs left of the same definition and tier: shared environments that nobody has.
func sweepShared(t testing.TB, p *place, dir, own string) {
	files, err := filepath.Glob(filepath.Join(dir, "t*"))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	envs, err := p.s.Provider.ListEnvs(ctx)
	if err != nil {
		return // `evenkeel gc` finds it
	}
	mine := strings.TrimSuffix(p.s.Plan.Env, own)
	for _, file := range files {
		name := filepath.Base(file)
		if name == own {
			continue
		}
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil || !sameFile(f, file) {
			_ = f.Close() // somebody has it
			continue
		}
		of, _ := io.ReadAll(io.LimitReader(f, 1<<10)) // "": of one that never came up
		gone := string(of) == mine+name
		for _, e := range envs {
			if e.Env != mine+name {
				continue
			}
			gone = false
			if e.Project == p.s.Plan.Project {
				err := errors.Join(p.s.Provider.DeleteEnv(ctx, e.Env, false), p.user.Forget(e.Project, e.Env))
				if gone = err == nil; gone {
					t.Logf("envtest: %s was left by an earlier run: removed", e.Env)
				} else {
					t.Logf("envtest: %s was left by an earlier run and cannot be removed; it expires: %s", e.Env, explain(err))
				}
			}
		}
		if gone {
			_ = os.Remove(file)
		}
		_ = f.Close() // which lets others in
	}
}
