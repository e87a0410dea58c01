// SPDX-License-Identifier: Apache-2.0

package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Shell is an Exec that runs each line with the host's /bin/sh in folder dir, as the user the test runs as. For tests of what a real
// shell makes of a line. Signals reach the command's process group; nothing of it is left when it returns.
func Shell(dir string) func(ctx context.Context, s *Session) int {
	return func(ctx context.Context, s *Session) int {
		cmd := exec.Command("/bin/sh", "-c", s.Command)
		cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, s.Env...)
		cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.WaitDelay = time.Second // for output held open by what the line left in the background
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			_, _ = fmt.Fprintln(s.Stderr, err) // the client may be gone
			return 127
		}
		go func() { // ends with the channel, which closes when this command has ended
			_, _ = io.Copy(stdin, s.Stdin)
			_ = stdin.Close()
		}()
		ended := make(chan struct{})
		relayed := make(chan struct{})
		go func() {
			defer close(relayed)
			relay(ctx, -cmd.Process.Pid, s.Signals, ended)
		}()
		err = cmd.Wait()
		close(ended)
		<-relayed
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group is empty as a rule
		return status(err, s)
	}
}

// relay passes signals to the process group until the command ended; ctx's end kills it.
func relay(ctx context.Context, group int, signals <-chan string, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			_ = syscall.Kill(group, syscall.SIGKILL) // fails only where it has ended
			return
		case name := <-signals:
			if n := signalNamed(name); n != 0 {
				_ = syscall.Kill(group, n)
			}
		}
	}
}

func status(err error, s *Session) int {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		if ws, is := exit.Sys().(syscall.WaitStatus); is && ws.Signaled() {
			s.ExitSignal = strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG")
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	case err != nil:
		return 1
	}
	return 0
}

// signalNamed is the signal SSH calls name, or 0.
func signalNamed(name string) syscall.Signal {
	switch name {
	case "TERM", "INT", "HUP", "QUIT", "KILL", "USR1", "USR2":
		return unix.SignalNum("SIG" + name)
	}
	return 0
}

func joinHostPort(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}
