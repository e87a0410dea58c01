// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: what is written to it is typed, what it shows is in shown.
type terminal struct {
	*os.File
	user  *os.File // the end that a program has as its terminal
	shown *watched
	done  chan struct{}
}

func newTerminal(t *testing.T, columns, rows uint16) *terminal {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = user.Close() })
	term := &terminal{File: f, user: user, shown: newWatched(), done: make(chan struct{})}
	term.resize(t, columns, rows)
	go func() {
		defer close(term.done)
		_, _ = io.Copy(term.shown, f) // ends with an error when the last user closes it
	}()
	return term
}

func (term *terminal) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(term.user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) modes(t *testing.T) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(term.user.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// onTerminal starts a command whose streams are the terminal, in a session of its own.
func (s *site) onTerminal(term *terminal, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "evenkeel"), args...)
	cmd.Dir, cmd.Env = s.dir, append(variables(s.home), s.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.user, term.user, term.user
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // mostly it has ended
		_ = cmd.Wait()
	})
	return cmd
}

func status(cmd *exec.Cmd) int {
	_ = cmd.Wait() // the state tells
	return cmd.ProcessState.ExitCode()
}

func TestSSHGivesATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.run(0, "up", "-q")
	term := newTerminal(t, 97, 31)
	before := term.modes(t)

	cmd := s.onTerminal(term, "ssh", "web-1")
	_, _ = io.WriteString(term, "stty size; echo READY-$((40+2))\n")
	term.shown.await(t, "READY-42")
	if !strings.Contains(term.shown.String(), "31 97") {
		t.Errorf("the far side's terminal is not 31 by 97:\n%s", term.shown)
	}
	term.resize(t, 60, 20)
	_, _ = io.WriteString(term, "sleep 0.3; stty size; echo RESIZED-$((40+2))\n")
	term.shown.await(t, "RESIZED-42")
	if !strings.Contains(term.shown.String(), "20 60") {
		t.Errorf("the far side's terminal did not follow to 20 by 60:\n%s", term.shown)
	}
	// Ctrl-C is the far side's business.
	_, _ = io.WriteString(term, "sh -c 'echo ASLEEP-$((40+2)); exec sleep 60'\n")
	term.shown.await(t, "ASLEEP-42")
	_, _ = io.WriteString(term, "\x03")
	term.shown.await(t, "^C")
	_, _ = io.WriteString(term, "echo ALIVE-$((40+2))\n")
	term.shown.await(t, "ALIVE-42")
	_, _ = io.WriteString(term, "exit 7\n")
	if got := status(cmd); got != 7 {
		t.Errorf("got status %d, want 7\n%s", got, term.shown)
	}
	if after := term.modes(t); after != before {
		t.Errorf("the terminal's modes were %+v, now they are %+v", before, after)
	}

	cmd = s.onTerminal(term, "ssh", "web-1")
	_, _ = io.WriteString(term, "echo AGAIN-$((40+2))\n")
	term.shown.await(t, "AGAIN-42")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if got := status(cmd); got != 130 {
		t.Errorf("after SIGTERM got status %d, want 130\n%s", got, term.shown)
	}
	if after := term.modes(t); after != before {
		t.Errorf("after SIGTERM the terminal's modes were %+v, now they are %+v", before, after)
	}
	s.run(0, "down")
}

func TestLiveLinesFitTheTerminalAndStay(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": slow})
	term := newTerminal(t, 40, 24)
	if got := status(s.onTerminal(term, "up")); got != 0 {
		t.Fatalf("got status %d\n%s", got, term.shown)
	}
	term.shown.await(t, "2 machines ready after")
	screen := newScreen(40)
	screen.write(term.shown.String())
	lines := screen.text()
	for _, name := range []string{"web-1", "web-2"} {
		n := 0
		for _, l := range lines {
			if strings.HasPrefix(l, name+"  ready") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines say that %s is ready, want 1:\n%s", n, name, strings.Join(lines, "\n"))
		}
	}
	if screen.wrapped {
		t.Errorf("a live line was wider than the terminal:\n%q", term.shown.String())
	}
	s.run(0, "down")
}
