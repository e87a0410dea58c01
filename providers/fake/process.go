// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

// proc names a process beyond the reuse of its number.
type proc struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after the computer's start, field 22 of proc_pid_stat(5)
}

// status is what a running machine or network says of itself.
type status struct {
	proc
	Ready      bool             `json:"ready"`
	Init       proc             `json:"init,omitzero"` // a machine's process 1, which a killed machine's process leaves to end by itself
	SSHPort    int              `json:"ssh_port,omitempty"`
	Publish    []providers.Port `json:"publish,omitempty"`
	Generation int              `json:"generation,omitempty"` // the record's that is in force
	Suspended  bool             `json:"suspended,omitempty"`
	Frozen     string           `json:"frozen,omitempty"`  // the word of who holds it still for a moment
	Failure    *failure         `json:"failure,omitempty"` // why Generation's ports could not be published
}

func self() (proc, error) {
	start, state := statOf(os.Getpid())
	if state == "" {
		return proc{}, errors.New("cannot read /proc/self/stat")
	}
	return proc{os.Getpid(), start}, nil
}

// statOf reads when a process started and the letter of its state; state is "" where there is none or only its remains wait to be collected.
func statOf(pid int) (start uint64, state string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	// The command's name is in parentheses and may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, ""
	}
	if start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return 0, ""
	}
	return start, fields[0]
}

func (p proc) alive() bool {
	if p.PID == 0 {
		return false
	}
	start, state := statOf(p.PID)
	return state != "" && start == p.Start
}

// signal sends s unless the process is gone. The handle is taken before the check, so that a reused number is never hit.
func (p proc) signal(s os.Signal) {
	h, err := os.FindProcess(p.PID)
	if err != nil {
		return
	}
	defer func() { _ = h.Release() }()
	if p.alive() {
		_ = h.Signal(s)
	}
}

// end asks the process to end, then makes it, and returns once it is gone.
func (p proc) end(grace time.Duration) error {
	p.signal(syscall.SIGTERM)
	kill := time.Now().Add(grace)
	for deadline := kill.Add(10 * time.Second); p.alive(); {
		switch now := time.Now(); {
		case now.After(deadline):
			return fmt.Errorf("process %d does not end", p.PID)
		case now.After(kill):
			p.signal(syscall.SIGKILL)
		}
		time.Sleep(3 * time.Millisecond)
	}
	return nil
}

// readStatus reads folder/status.json; ok is false where its process does not run.
func readStatus(folder string) (s status, ok bool, err error) {
	err = readJSON(folder+"/status.json", &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	return s, err == nil && s.alive(), err
}

// claim takes a folder for this process, which holds it until it ends. A folder whose owner removed it cannot be claimed.
func claim(folder string) (*os.File, error) {
	f, err := os.OpenFile(lockFile(folder), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(spawnLimit); ; time.Sleep(3 * time.Millisecond) {
		free, err := tryLock(f)
		if err == nil && !free && time.Now().After(deadline) {
			err = errors.New("another process holds " + folder)
		}
		if free {
			return f, nil
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}

// vacate ends the process that holds folder, even one that is only starting, and lets none in until release is called.
func vacate(folder string) (release func(), err error) {
	f, err := os.OpenFile(lockFile(folder), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil // nothing can ever have started here
	}
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(2 * spawnLimit); ; time.Sleep(3 * time.Millisecond) {
		free, err := tryLock(f)
		var s status
		running := false
		if err == nil {
			s, running, err = readStatus(folder)
		}
		if err == nil && free {
			if err = s.Init.end(0); err == nil { // until it is gone something may write to a data disk
				return func() { _ = f.Close() }, nil
			}
		}
		if err == nil && running {
			err = s.end(stopGrace)
		}
		if err == nil && time.Now().After(deadline) {
			err = errors.New("a process holds " + folder + " and does not say which")
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}

func endProcess(folder string) error {
	release, err := vacate(folder)
	if err != nil {
		return err
	}
	release()
	return nil
}

// makeClaimable makes a folder in which a process may run.
func makeClaimable(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(lockFile(folder), nil, 0o600)
}

func lockFile(folder string) string { return filepath.Join(folder, "lock") }

func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return err == nil, err
}

// stopGrace is how long a machine may take to end when it is asked to.
const stopGrace = 30 * time.Second

// spawnLimit bounds how long a process of ours may take from its start to its first word; beyond it the computer is broken.
const spawnLimit = 60 * time.Second

// spawn starts this program once more in a session of its own, in the given role, through the launcher words (nsenter, unshare), and returns when it
// says that it is ready. It is deliberately deaf to cancellation: only once the process said where it stands can it be ended for sure.
func spawn(launcher []string, role string, args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	words := append([]string{"-f"}, launcher...)
	words = append(words, exe, roleWord, role)
	cmd := exec.Command("setsid", append(words, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = w, w, roleEnv(), "/"
	err = cmd.Run()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	_ = r.SetReadDeadline(time.Now().Add(spawnLimit))
	said, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return fmt.Errorf("its process says neither that it is ready nor why not: %w", err)
	}
	return answer(said)
}

// answer reads what a spawned process said before it closed its output: the last line is a failure in JSON or "ready".
func answer(said []byte) error {
	text := strings.TrimSpace(string(said))
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if last == "ready" {
		return nil
	}
	var f failure
	if err := json.Unmarshal([]byte(last), &f); err == nil && f.Code != "" {
		return &providers.Error{Code: f.Code, Op: "run", Subject: "machine", Err: errors.New(f.Message)}
	}
	if text == "" {
		text = "it ended without a word"
	}
	return errors.New(text)
}

// machineEnv is what commands in a machine start from; nothing of the caller's environment, which may hold secrets, gets there.
func machineEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
}

// roleEnv is the whole environment of our processes. A program built with the race detector otherwise lingers for a second when it ends.
func roleEnv() []string { return append(machineEnv(), "GORACE=atexit_sleep_ms=0") }

// run runs a program of the host with input and returns what it said when it failed.
func run(ctx context.Context, input string, words ...string) error {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Stdin = roleEnv(), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", words[0], err, bytes.TrimSpace(out))
	}
	return nil
}
