// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

func TestRunPassesStreamsAndStatus(t *testing.T) {
	c := newRig(t, nil).dial(t)
	out, errs, err := run(t.Context(), c, "cat; echo oops >&2; exit 7", "in\x00\xff\n")
	exit, ok := errors.AsType[*ssh.ExitError](err)
	if out != "in\x00\xff\n" || errs != "oops\n" || !ok || exit.Status != 7 || exit.Signal != "" {
		t.Errorf("got %q, %q, %v", out, errs, err)
	}
	_, _, err = run(t.Context(), c, "kill -TERM $$", "")
	exit, ok = errors.AsType[*ssh.ExitError](err)
	if !ok || exit.Status != 143 || exit.Signal != "TERM" || exit.Error() != "command was ended by signal TERM" {
		t.Errorf("got %v, want signal TERM", err)
	}
	if err := c.Run(t.Context(), ssh.Command{Line: "cat; echo thrown away"}); err != nil {
		t.Errorf("no streams: got %v", err)
	}
}

func TestRunCarriesMuchAtOnce(t *testing.T) {
	c := newRig(t, nil).dial(t)
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var out bytes.Buffer
			if err := c.Run(t.Context(), ssh.Command{Line: "cat", Stdin: bytes.NewReader(data), Stdout: &out}); err != nil || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("got %d bytes, %v, want the same %d", out.Len(), err, len(data))
			}
		})
	}
	all.Wait()
}

func TestRunEndsThoughStdinIsHeldOpen(t *testing.T) {
	c := newRig(t, nil).dial(t)
	in, hold := io.Pipe()
	defer func() { _ = hold.Close() }()
	var out strings.Builder
	if err := c.Run(t.Context(), ssh.Command{Line: "echo done", Stdin: in, Stdout: &out}); err != nil || out.String() != "done\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestCancelledCommandIsEnded(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	go func() {
		_, _ = out.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, out)
	}()
	start := time.Now()
	err := c.Run(ctx, ssh.Command{Line: `trap 'echo got TERM >term; exit 1' TERM; echo on; while :; do sleep 0.05; done`, Stdout: in})
	_ = in.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	if out, _, err := run(t.Context(), c, "echo still here", ""); err != nil || out != "still here\n" {
		t.Errorf("the connection after a cancelled command: got %q, %v", out, err)
	}
}

func TestCancelReachesACommandThatNeverAnswers(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.cfg.Exec = func(ctx context.Context, s *sshtest.Session) int {
			close(entered)
			<-ctx.Done() // not even the channel's close...
			<-release
			return 0
		}
	})
	c := r.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	start := time.Now()
	if err := c.Run(ctx, ssh.Command{Line: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if took := time.Since(start); took > 40*time.Second {
		t.Errorf("took %v", took)
	}
	close(release)
}

func TestFailingStreamsEndTheCommand(t *testing.T) {
	c := newRig(t, nil).dial(t)
	broken := errors.New("disk on fire")
	err := c.Run(t.Context(), ssh.Command{Line: "cat", Stdin: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))})
	if !errors.Is(err, broken) {
		t.Errorf("input: got %v, want %v", err, broken)
	}
	err = c.Run(t.Context(), ssh.Command{Line: "while :; do echo more; done", Stdout: failingWriter{broken}})
	if !errors.Is(err, broken) {
		t.Errorf("output: got %v, want %v", err, broken)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestTerminalSizesAndShell(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.cfg.Exec = func(ctx context.Context, s *sshtest.Session) int {
			_, _ = fmt.Fprintf(s.Stdout, "%q %s %dx%d ", s.Command, s.TTY.Term, s.TTY.Width, s.TTY.Height)
			select {
			case size := <-s.TTY.Resize:
				_, _ = fmt.Fprintf(s.Stdout, "%dx%d", size[0], size[1])
			case <-ctx.Done():
			}
			return 0
		}
	})
	c := r.dial(t)
	sizes := make(chan [2]int, 1)
	sizes <- [2]int{132, 43}
	var out strings.Builder
	tty := &ssh.TTY{Term: "xterm", Width: 80, Height: 25, Resize: sizes}
	if err := c.Run(t.Context(), ssh.Command{TTY: tty, Stdout: &out}); err != nil || out.String() != `"" xterm 80x25 132x43` {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestConnectionLostMidCommand(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(t)
	out, in := io.Pipe()
	go func() {
		_, _ = out.Read(make([]byte, 1))
		_ = r.server.Close()
		_, _ = io.Copy(io.Discard, out)
	}()
	err := c.Run(t.Context(), ssh.Command{Line: "echo on; sleep 60", Stdout: in})
	_ = in.Close()
	if err == nil || !strings.Contains(err.Error(), "connection ended before") {
		t.Errorf("got %v", err)
	}
	if _, _, err := run(t.Context(), c, "true", ""); err == nil || !strings.HasPrefix(err.Error(), "cannot start command: ") {
		t.Errorf("a command after the end: got %v", err)
	}
}

func TestDialContextGoesFromTheFarSide(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := newRig(t, nil).dial(t)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := c.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = conn.Close()
	_ = l.Close()
	if _, err := c.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "cannot reach "+l.Addr().String()+" from the far side") {
		t.Errorf("nobody there: got %v", err)
	}
}

func TestCopyToIsWholeOrNotAtAll(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(t)
	old := []byte("old")
	for _, name := range []string{"plain", "with space", "quo'te", "-dash", "$(touch pwned)", "new\nline"} {
		write(t, filepath.Join(r.dir, name), old, 0o644)
		if err := c.CopyTo(t.Context(), strings.NewReader("new\x00\n"), name, 0o750); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		got, err := os.ReadFile(filepath.Join(r.dir, name))
		info, _ := os.Stat(filepath.Join(r.dir, name))
		if err != nil || string(got) != "new\x00\n" || info.Mode().Perm() != 0o750 {
			t.Errorf("%q: got %q, %v, %v", name, got, info.Mode(), err)
		}
	}

	path := filepath.Join(r.dir, "keep")
	write(t, path, old, 0o644)
	broken := errors.New("disk on fire")
	if err := c.CopyTo(t.Context(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), path, 0o644); !errors.Is(err, broken) {
		t.Errorf("broken input: got %v", err)
	}
	in, feed := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = feed.Write([]byte("half"))
		cancel()
	}()
	if err := c.CopyTo(ctx, in, path, 0o644); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	_ = in.Close()
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("after failures: got %q, %v, want the old file", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*.evenkeel-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	for name, want := range map[string]string{"": "no file's path", "dir/": "no file's path", r.dir: "is a folder", "no/such/dir": "cannot create"} {
		if err := c.CopyTo(t.Context(), strings.NewReader("x"), name, 0o644); err == nil || !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
	if err := c.CopyTo(t.Context(), strings.NewReader("x"), "suid", os.ModeSetuid|0o755); err == nil {
		t.Error("a set-user-id mode was taken and would have been lost")
	}
}

func TestCancelOverADeadConnectionIsBounded(t *testing.T) {
	r := newRig(t, nil)
	target := r.target()
	address, freeze := frozen(t, r.server.Addr())
	target.Address = address
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	go func() {
		_, _ = out.Read(make([]byte, 1))
		freeze()
		cancel()
		_, _ = io.Copy(io.Discard, out)
	}()
	start := time.Now()
	err = c.Run(ctx, ssh.Command{Line: "echo on; sleep 60", Stdout: in})
	_ = in.Close()
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 40*time.Second {
		t.Errorf("got %v after %v, want context.Canceled after about 5 s", err, took)
	}
}
