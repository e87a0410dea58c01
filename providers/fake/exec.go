// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// login is what sshd does before a command: it goes home and hands the line to the user's shell.
const login = `cd "$HOME" 2>/dev/null || cd /; if [ $# -eq 0 ]; then exec "$SHELL" -l; fi; exec "$SHELL" -c "$1"`

// exec runs a command in the machine's namespaces. Its process group ends with ctx.
func (m *machine) exec(ctx context.Context, s *sshtest.Session) int {
	words := []string{"-t", strconv.Itoa(m.inside.cmd.Process.Pid), "-m", "-p", "-n", "-u", "-i", "--", "/bin/sh", "-c", login, "sh"}
	if s.Command != "" {
		words = append(words, s.Command)
	}
	cmd := exec.Command("nsenter", words...)
	cmd.Env = append(machineEnv(), "HOME="+home(s.User), "USER="+s.User, "LOGNAME="+s.User, "SHELL=/bin/bash")
	cmd.Env = append(cmd.Env, slices.DeleteFunc(slices.Clone(s.Env), func(v string) bool { return !strings.HasPrefix(v, "LANG=") && !strings.HasPrefix(v, "LC_") })...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	start := startPiped
	if s.TTY != nil {
		start = startOnTerminal
	}
	var finish func() error
	ended, err := m.start(ctx, func() (_ *os.Process, err error) {
		finish, err = start(cmd, s)
		return cmd.Process, err
	})
	if err != nil {
		fmt.Fprintf(m.console, "%s: cannot run a command: %v\n", m.record.Name, err)
		fmt.Fprintf(s.Stderr, "cannot run the command: %v\n", err)
		return 255
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { passSignals(ctx, cmd.Process.Pid, s.Signals, done) })
	err = finish()
	ended()
	close(done)
	work.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0
	case !ok:
		return 255
	}
	if w := exit.Sys().(syscall.WaitStatus); w.Signaled() {
		s.ExitSignal = strings.TrimPrefix(unix.SignalName(w.Signal()), "SIG")
		return 128 + int(w.Signal())
	}
	return exit.ExitCode()
}

// passSignals passes on what the client sends, and ends the command's process group when ctx ends before it.
func passSignals(ctx context.Context, group int, signals <-chan string, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case name, ok := <-signals:
			if !ok {
				signals = nil
			} else if number := unix.SignalNum("SIG" + name); number != 0 {
				_ = syscall.Kill(-group, number)
			}
		case <-ctx.Done():
			_ = syscall.Kill(-group, syscall.SIGHUP)
			_ = syscall.Kill(-group, syscall.SIGTERM)
			select {
			case <-done:
			case <-time.After(2 * time.Second):
				_ = syscall.Kill(-group, syscall.SIGKILL)
				<-done
			}
			return
		}
	}
}

// startPiped starts cmd on the session's streams.
func startPiped(cmd *exec.Cmd, s *sshtest.Session) (finish func() error, err error) {
	cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
	cmd.WaitDelay = 3 * time.Second // a program left behind may hold the streams
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the command's input, which the server closes after the command at the latest
		_, _ = io.Copy(in, s.Stdin)
		_ = in.Close()
	}()
	return cmd.Wait, nil
}

// startOnTerminal starts cmd on a terminal of its own.
func startOnTerminal(cmd *exec.Cmd, s *sshtest.Session) (finish func() error, err error) {
	master, slave, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	resize := func(width, height int) {
		_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(width), Row: uint16(height)})
	}
	resize(s.TTY.Width, s.TTY.Height)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true
	cmd.Env = append(cmd.Env, "TERM="+s.TTY.Term)
	if err := cmd.Start(); err != nil {
		_ = master.Close()
		return nil, err
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-done:
				return
			case size := <-s.TTY.Resize:
				resize(size[0], size[1])
			}
		}
	})
	var output sync.WaitGroup
	output.Go(func() { _, _ = io.Copy(s.Stdout, master) }) // ends with EIO when nobody has the terminal open any more
	go func() { _, _ = io.Copy(master, s.Stdin) }()        // ends with the session
	return func() error {
		err := cmd.Wait()
		close(done)
		work.Wait()
		_ = master.SetReadDeadline(time.Now().Add(3 * time.Second)) // a program left behind may hold the terminal
		output.Wait()
		_ = master.Close()
		return err
	}, nil
}

func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock terminal: %w", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number of terminal: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}
