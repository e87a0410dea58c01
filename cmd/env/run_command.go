// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// notStarted is a command that could not be run.
type notStarted struct {
	status int
	err    error
}

func (e *notStarted) Error() string { return "cannot run the command: " + e.err.Error() }
func (e *notStarted) Unwrap() error { return e.err }

// errNotBegun is why a command did not begin: its run had ended.
var errNotBegun = errors.New("the command did not begin")

// runnable finds out whether there is such a command, before a copy is made for it.
func (r *oneRun) runnable() error {
	name := r.after[0]
	if strings.Contains(name, "/") {
		name = r.path(name)
	}
	if _, err := exec.LookPath(name); err != nil {
		return &notStarted{startStatus(err), err}
	}
	return nil
}

func startStatus(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitNotFound
	}
	return exitNotRun
}

// grace is what a command has for its end once its time is over.
const grace = 10 * time.Second

// command runs the command in a process group of its own, which has the terminal, and returns its exit status. A signal that ends whole is passed on to that group, and its end
// waited for; the second one kills it, and the next one ends this process. Where timed ends otherwise the group is told to end, and killed after a while.
func (r *oneRun) command(whole, timed context.Context, variables []string) (int, error) {
	cmd := exec.Command(r.after[0], r.after[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = r.Stdin, r.Stdout, r.Stderr, r.Dir
	cmd.Env = append(append([]string(nil), r.Env...), variables...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = grace // for a process that it left, holding what is no file of ours
	if tty, ok := terminal(r.Stdin); ok {
		if back := giveTerminal(cmd, tty); back != nil {
			defer back()
		}
	}
	if err := context.Cause(timed); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotBegun, err)
	}
	if err := cmd.Start(); err != nil {
		return 0, &notStarted{startStatus(err), err}
	}
	group := -cmd.Process.Pid
	kill := func() { _ = syscall.Kill(group, syscall.SIGKILL) } // gone: as wanted
	r.again.Store(&kill)
	defer r.again.Store(nil)
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		r.pass(whole, timed, group, ended)
	}()
	err := cmd.Wait()
	close(ended)
	<-passed
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it ended, and well; what it left behind holds a pipe
		return 0, nil
	}
	return 0, err
}

// pass tells the command's group what this process is told, until it has ended. What it started and left behind goes with it where its time was over, else it is the
// command's own business.
func (r *oneRun) pass(whole, timed context.Context, group int, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-timed.Done():
	}
	if whole.Err() != nil {
		r.passSignal(whole, group)
		<-ended // how long the user waits for its end is the user's business
		return
	}
	r.tell("--timeout is over: the command is told to end")
	_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended this moment
	over := time.NewTimer(grace)
	defer over.Stop()
	signalled, gone := whole.Done(), false
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !gone {
		select {
		case <-signalled:
			r.passSignal(whole, group)
			signalled = nil
		case <-look.C:
			select {
			case <-ended: // which may not be all of its group
				gone = syscall.Kill(group, 0) != nil
			default:
			}
		case <-over.C:
			_ = syscall.Kill(group, syscall.SIGKILL)
			gone = true
		}
	}
	<-ended
}

// passSignal tells the group what ended whole.
func (r *oneRun) passSignal(whole context.Context, group int) {
	told := syscall.SIGTERM
	if s, ok := errors.AsType[interrupted](context.Cause(whole)); ok {
		told, _ = s.signal.(syscall.Signal)
		r.tell("%v: passed on to the command; once more kills it", s)
	}
	_ = syscall.Kill(group, told) // it may have ended this moment
}

// giveTerminal lets the command have the terminal that this process has, so that what is typed, ^C among it, is for it alone; back takes it again. nil: it is not ours.
func giveTerminal(cmd *exec.Cmd, tty *os.File) (back func()) {
	fd, own := int(tty.Fd()), unix.Getpgrp()
	if has, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || has != own {
		return nil
	}
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, fd
	signal.Ignore(syscall.SIGTSTP) // ^Z would stop the command, and nobody could wake it; what ignores it here does so there
	return func() {
		signal.Ignore(syscall.SIGTTOU) // sent to who is not in the foreground and sets who is
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, own)
		signal.Reset(syscall.SIGTTOU, syscall.SIGTSTP)
	}
}
