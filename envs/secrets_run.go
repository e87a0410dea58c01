// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const (
	defaultLimit = time.Minute
	maxComplaint = 4 << 10 // bytes of a command's last words
)

func (r SecretReader) fromCommand(ctx context.Context, line string) answered {
	if r.Allowed == nil || !r.Allowed(line) {
		return answered{
			fault: "its command may not run here yet: " + quoted(line),
			hint:  "what a repository names runs on your computer only when you have allowed it: evenkeel trust",
		}
	}
	out, fault := r.run(ctx, "its command", "/bin/sh", "-c", line)
	if fault != "" {
		return answered{fault: fault + ": " + quoted(line)}
	}
	out = bytes.TrimSuffix(out, []byte("\n"))
	if len(out) == 0 {
		return answered{fault: "its command printed nothing: " + quoted(line)}
	}
	return answered{value: NewValue(out)}
}

// fromSOPS has the sops program decrypt a file. It names no program and no command of the repository's, so it needs no consent.
func (r SecretReader) fromSOPS(ctx context.Context, name, key string) answered {
	path, err := r.expand(name)
	if err != nil {
		return answered{fault: err.Error()}
	}
	f, _, err := r.open(path)
	if err != nil {
		return answered{fault: fmt.Sprintf("cannot read the file %s: %v", clip(path), leaf(err))}
	}
	f.Close()
	program := r.lookPath("sops")
	if program == "" {
		return answered{
			fault: fmt.Sprintf("the program sops, which decrypts %s, is not on PATH", clip(path)),
			hint:  "install it (https://getsops.io), or say another source for this tier: {env: NAME}, {file: PATH} or {command: LINE}",
		}
	}
	args := []string{"--decrypt"}
	if key != "" {
		args = append(args, "--extract", sopsPath(key))
	}
	out, fault := r.run(ctx, "sops", program, append(args, path)...)
	if fault != "" {
		return answered{fault: fmt.Sprintf("cannot decrypt %s: %s", clip(path), fault)}
	}
	if len(out) == 0 {
		return answered{fault: fmt.Sprintf("what sops decrypts of %s is empty", clip(path))}
	}
	if key != "" && notText.Match(out) {
		out = bytes.TrimSuffix(out, []byte("\n"))
	}
	return answered{value: NewValue(out)}
}

// notText is a number or a truth as sops --extract prints it: as a YAML document, with a newline, where a text comes as it is.
var notText = lazyregexp.New(`^([-+.0-9eE]+|true|false)\n$`)

// sopsPath is a dotted key in the form of sops --extract: ["db"]["hosts"][0].
func sopsPath(key string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(key, ".") {
		if n, err := strconv.Atoi(part); err == nil && n >= 0 {
			fmt.Fprintf(&b, "[%d]", n)
			continue
		}
		fmt.Fprintf(&b, "[%q]", part)
	}
	return b.String()
}

// lookPath finds a program on the PATH of r.Env. Entries that are no absolute path are passed over: they would mean the project's own folder.
func (r SecretReader) lookPath(program string) string {
	path, _ := r.getenv("PATH")
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// run is the output of a program, or why there is none. The program has no terminal and no input; it, and all it started, end when ctx is
// cancelled or the limit is over.
func (r SecretReader) run(ctx context.Context, what, program string, args ...string) (out []byte, fault string) {
	limit := r.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = r.Dir, r.Env
	// A session of its own: one signal reaches all of it, and what asks at the terminal fails at once instead of waiting for nobody.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stdout := &bounded{max: cmp.Or(r.most, MaxSecret), full: cancel}
	stderr := &tail{max: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	switch exit, ok := errors.AsType[*exec.ExitError](err); {
	case stdout.over:
		return nil, what + " printed more than " + strictyaml.FormatSize(int64(stdout.max))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Sprintf("%s did not end within %s; it has no terminal, so it must not ask for anything%s", what, limit, stderr)
	case ctx.Err() != nil:
		return nil, what + " was interrupted"
	case ok:
		return nil, fmt.Sprintf("%s ended with %s%s", what, exit.ProcessState, stderr)
	case errors.Is(err, exec.ErrWaitDelay):
		_ = cmd.Cancel() // what it left behind holds its output, so the group is still that one
		return nil, what + " left a process running that holds its output"
	case err != nil:
		return nil, fmt.Sprintf("%s cannot be run: %v", what, err)
	}
	return stdout.data, ""
}

// bounded keeps at most max bytes; more is never wanted, so it calls full.
type bounded struct {
	data []byte // not a bytes.Buffer within: its ReadFrom would know no bound
	max  int
	over bool
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.max {
		b.over = true
		b.full()
		return 0, errors.New("more than is allowed")
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// tail keeps the last max bytes.
type tail struct {
	data []byte
	max  int
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - t.max; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

// String is the last lines in one, for the end of a sentence; "" where there is nothing.
func (t *tail) String() string {
	var lines []string
	for line := range strings.Lines(string(t.data)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-5):], "; ")
}

func quoted(line string) string { return "`" + clip(line) + "`" }
