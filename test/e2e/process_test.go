// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// site is a project with a world of its own.
type site struct {
	t          *testing.T
	dir, world string
	home       string
	env        []string // beside variables
}

func newSite(t *testing.T, files map[string]string) *site {
	t.Helper()
	root := t.TempDir()
	s := &site{t: t, dir: filepath.Join(root, "shop"), world: filepath.Join(root, "world"), home: filepath.Join(root, "home")}
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { remove(t, s.world) })
	if err := project(s.dir, s.world); err != nil {
		t.Fatal(err)
	}
	return s
}

// process is a running evenkeel.
type process struct {
	*exec.Cmd
	stdout, stderr *watched
}

// watched keeps what a process wrote, and tells when it wrote something.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // closed and replaced at each write
}

func newWatched() *watched { return &watched{more: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.buf.Write(p)
}

func (w *watched) String() string {
	text, _ := w.state()
	return text
}

func (w *watched) state() (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String(), w.more
}

// await waits until the process has written want.
func (w *watched) await(t *testing.T, want string) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		text, more := w.state()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("waited for %q, got\n%s", want, text)
		}
	}
}

func (s *site) start(args ...string) *process {
	s.t.Helper()
	p := &process{exec.Command(filepath.Join(bin, "evenkeel"), args...), newWatched(), newWatched()}
	p.Dir, p.Env = s.dir, append(variables(s.home), s.env...)
	p.Stdout, p.Stderr = p.stdout, p.stderr
	p.WaitDelay = 5 * time.Second // a plugin that outlives its client holds the streams
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// end waits for the process and returns its exit status, 128 and more for a signal.
func (p *process) end(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(3*time.Minute, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return 128 + int(w.Signal())
		}
		return exit.ExitCode()
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatal(err)
	}
	return 0
}

// run runs a command line that must end with status.
func (s *site) run(status int, args ...string) *process {
	s.t.Helper()
	p := s.start(args...)
	if got := p.end(s.t); got != status {
		s.t.Fatalf("evenkeel %s: got status %d, want %d\n%s%s", strings.Join(args, " "), got, status, p.stdout, p.stderr)
	}
	return p
}

func (s *site) wantEmpty() {
	s.t.Helper()
	if left := leftovers(s.world); len(left) > 0 {
		s.t.Fatalf("left over:\n  %s", strings.Join(left, "\n  "))
	}
}

// slow has machines that take their time in every stage, so that signals find work in progress.
const slow = `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
machines: {web: {count: 2, stateless: true}}
tiers:
  laptop: {provider: fake, config: {world: WORLD, latency: {put_image: 200ms, put_machine: 300ms, delete_machine: 100ms, delete_env: 200ms}, boot: 500ms}}
`

func TestInterruptUndoesWhatThisRunCreated(t *testing.T) {
	for _, tt := range []struct {
		signal os.Signal
		at     string
	}{
		{syscall.SIGINT, "image"}, {syscall.SIGINT, "create"}, {syscall.SIGTERM, "boot"}, {syscall.SIGHUP, "boot"},
	} {
		t.Run(tt.signal.String()+" at "+tt.at, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, map[string]string{"env.yaml": slow})
			p := s.start("up")
			p.stderr.await(t, "web-1: "+tt.at)
			_ = p.Process.Signal(tt.signal)
			if got := p.end(t); got != 130 {
				t.Errorf("got status %d, want 130\n%s", got, p.stderr)
			}
			if want := "undoing what this run created; once more stops at once"; !strings.Contains(p.stderr.String(), want) {
				t.Errorf("got\n%swant %q in it", p.stderr, want)
			}
			s.wantEmpty()
		})
	}
}

// timeout(1), as CI uses it, signals its command twice at once: that is no second thought, and what the run made is undone.
func TestASignalThatComesTwiceAtOnceIsOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	for range 3 {
		p := s.start("up")
		p.stderr.await(t, "web-1: boot")
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Process.Signal(syscall.SIGINT)
		if got := p.end(t); got != 130 || strings.Contains(p.stderr.String(), "stopped at once") {
			t.Errorf("got status %d, want 130 and all undone\n%s", got, p.stderr)
		}
		s.wantEmpty()
	}
}

func TestInterruptTouchesNothingOlder(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	s.run(0, "up", "-q", "web-1")
	before := s.run(0, "status", "--json").stdout.String()
	p := s.start("up")
	p.stderr.await(t, "web-2: create")
	_ = p.Process.Signal(syscall.SIGINT)
	if got := p.end(t); got != 130 {
		t.Errorf("got status %d, want 130\n%s", got, p.stderr)
	}
	if after := s.run(0, "status", "--json").stdout.String(); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
	s.run(0, "up", "-q")
	s.run(0, "down")
	s.wantEmpty()
}

func TestTwiceInterruptedStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": strings.Replace(slow, "delete_machine: 100ms", "delete_machine: 40s", 1)})
	p := s.start("up")
	p.stderr.await(t, "web-1: boot")
	_ = p.Process.Signal(syscall.SIGINT)
	p.stderr.await(t, "once more stops at once")
	time.Sleep(300 * time.Millisecond) // what comes at once is one signal
	began := time.Now()
	_ = p.Process.Signal(syscall.SIGINT)
	if got := p.end(t); got != 130 {
		t.Errorf("got status %d, want 130\n%s", got, p.stderr)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	// No latency now.
	if err := os.WriteFile(filepath.Join(s.dir, "env.yaml"), []byte(strings.ReplaceAll(slow, "WORLD", s.world)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(0, "down")
	s.wantEmpty()
}

func TestTwoUpsAtOnceMakeOneEnvironment(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	one := s.start("up")
	two := s.start("up")
	if a, b := one.end(t), two.end(t); a != 0 || b != 0 {
		t.Fatalf("got status %d and %d, want 0 and 0\n%s%s", a, b, one.stderr, two.stderr)
	}
	if said := one.stderr.String() + two.stderr.String(); !strings.Contains(said, "evenkeel: waiting for another evenkeel") {
		t.Errorf("nobody said that it waits:\n%s", said)
	}
	if said := one.stdout.String() + two.stdout.String(); !strings.Contains(said, "nothing to do; 2 machines ready") {
		t.Errorf("the second found something to do:\n%s", said)
	}
	s.run(0, "status", "--check")
	s.run(0, "down")
	s.wantEmpty()
}

// Two homes are two users or two computers: no lock of ours keeps them apart.
func TestTwoUpsOfTwoHomesMakeOneEnvironment(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	key := filepath.Join(s.home, "key")
	if err := os.MkdirAll(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen: %v: %s", err, out)
	}
	s.env = []string{"EVENKEEL_SSH_KEY_FILE=" + key}
	other := *s
	other.home = s.home + "2"
	one, two := s.start("up"), other.start("up")
	if a, b := one.end(t), two.end(t); a != 0 || b != 0 {
		t.Fatalf("got status %d and %d, want 0 and 0\n%s\n%s", a, b, one.stderr, two.stderr)
	}
	if list := s.run(0, "status", "--json").stdout.String(); strings.Count(list, `"state": "running"`) != 2 {
		t.Errorf("got %s, want two running machines", list)
	}
	s.run(0, "down")
	s.wantEmpty()
}

func TestWaitingForTheLockCanBeInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	one := s.start("up")
	one.stderr.await(t, "web-1: image")
	two := s.start("down")
	two.stderr.await(t, "waiting for another evenkeel")
	_ = two.Process.Signal(syscall.SIGINT)
	if got := two.end(t); got != 130 {
		t.Errorf("got status %d, want 130\n%s", got, two.stderr)
	}
	if got := one.end(t); got != 0 {
		t.Errorf("the first ended with status %d\n%s", got, one.stderr)
	}
	s.run(0, "down")
	s.wantEmpty()
}
