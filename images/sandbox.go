// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// sandbox is one command as root in namespaces of its own: mounts, processes, network (none but a loopback that is down), IPC, host
// name. A plain user is root there by its subordinate ids; what the tree's root owns is then the user's on the disk. Whatever runs
// inside dies with the command, and the command dies with this process, so no mount and no process outlives it.
type sandbox struct {
	dir    string   // working directory
	env    []string // the whole environment
	stdin  io.Reader
	stdout io.Writer         // nil: lines go to line
	line   func(text string) // each line of output (of stderr only, where stdout is set)
}

// tailLines are kept for the error: enough for dpkg's reason above apt's summary.
const tailLines = 25

var errNoNamespaces = errors.New("user namespaces cannot be used")

func (s sandbox) run(ctx context.Context, name string, args ...string) error {
	prefix, err := sandboxPrefix()
	if err != nil {
		return err
	}
	argv := append(prefix, append([]string{name}, args...)...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, s.stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	cmd.WaitDelay = 10 * time.Second

	lines := &lineWriter{each: s.line}
	cmd.Stdout, cmd.Stderr = lines, lines
	if s.stdout != nil {
		cmd.Stdout = s.stdout
	}
	// Pdeathsig is sent when the thread that started the child ends, so the thread must last as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	lines.flush()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w; its last lines:\n%s", err, lines.tail())
	}
	return nil
}

// feed runs a command while do reads its standard output, and returns how either ended. What do leaves is read and thrown away: a tar ends
// in padding that its reader does not want.
func (s sandbox) feed(ctx context.Context, do func(io.Reader) error, name string, args ...string) (runErr, doErr error) {
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := do(read)
		if err == nil {
			_, err = io.Copy(io.Discard, read)
		}
		read.CloseWithError(err)
		done <- err
	}()
	s.stdout = write
	runErr = s.run(ctx, name, args...)
	write.CloseWithError(runErr)
	return runErr, <-done
}

// sandboxPrefix is the command that enters the sandbox. --map-auto needs util-linux 2.38 (Debian 12, Ubuntu 23.04).
func sandboxPrefix() ([]string, error) {
	prefix := []string{"unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"}
	if os.Geteuid() == 0 {
		return prefix, nil
	}
	if err := canMapIDs(); err != nil {
		return nil, err
	}
	return append(prefix, "--map-root-user", "--map-auto"), nil
}

// canMapIDs says what a plain user lacks to build.
func canMapIDs() error {
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("cannot find out who builds: %w", err)
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return fmt.Errorf("%w: newuidmap is missing; install it with: sudo apt-get install uidmap (or build as root)", errNoNamespaces)
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if !hasSubordinates(file, me) {
			return fmt.Errorf("%w: %s has no line for %s; add one with: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s (or build as root)",
				errNoNamespaces, file, me.Username, me.Username)
		}
	}
	return nil
}

func hasSubordinates(file string, me *user.User) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		who, _, _ := strings.Cut(in.Text(), ":")
		if who == me.Username || who == me.Uid {
			return true
		}
	}
	return false
}

// removeTree removes dir with all below it, also what only the tree's own users may remove.
func removeTree(ctx context.Context, dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	return sandbox{env: toolEnv()}.run(ctx, "rm", "-rf", "--one-file-system", "--", dir)
}

// toolEnv is the environment of every tool the builder runs: nothing of the caller's, so that nothing of it enters an image.
func toolEnv(more ...string) []string {
	return append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC"}, more...)
}

// lineWriter hands on complete lines and keeps the last ones.
type lineWriter struct {
	each func(string)
	part []byte
	last []string
}

const maxLine = 4096

func (w *lineWriter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' || b == '\r' {
			w.flush()
		} else if len(w.part) < maxLine {
			w.part = append(w.part, b)
		}
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	if len(w.part) == 0 {
		return
	}
	line := printable(string(w.part))
	w.part = w.part[:0]
	w.last = append(w.last, line)
	if len(w.last) > tailLines {
		w.last = w.last[1:]
	}
	if w.each != nil {
		w.each(line)
	}
}

// printable is a line of a foreign program as a terminal may show it: with nothing that moves its cursor or changes its title.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return '\ufffd'
	}, line)
}

func (w *lineWriter) tail() string { return "  " + strings.Join(w.last, "\n  ") }
