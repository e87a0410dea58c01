// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// holdFD is where the plugin process has the file that Launch was given to hold: the first of exec.Cmd.ExtraFiles.
const holdFD = 3

// drainTime is how long after its end a process's last words are waited for: whatever it started may keep the pipes open for good.
const drainTime = 200 * time.Millisecond

// process runs a plugin binary for go-plugin, whose own runner gives the plugin our stdin. Here stdin is a pipe: the plugin's
// credentials come first on it, then nothing more, and its end is ours, and with it the plugin's.
type process struct {
	cmd    *exec.Cmd
	first  []byte // on stdin; at most a pipe's buffer
	stdin  io.Closer
	stdout *os.File
	stderr *os.File
	kill   context.CancelFunc
	exited chan struct{} // closed once the process ended; then state is set
	state  error
}

var _ runner.Runner = (*process)(nil)

func newProcess(path string, first []byte, hold *os.File) *process {
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is the client's, who cancels in order
	if hold != nil {
		cmd.ExtraFiles = []*os.File{hold}
	}
	return &process{cmd: cmd, first: first, kill: kill, exited: make(chan struct{})}
}

// Start starts the process and waits for it in the background.
func (p *process) Start(context.Context) (err error) {
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(ours)
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	inR, inW := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	ours, theirs = []*os.File{inW, outR, errR}, []*os.File{inR, outW, errW}
	if err != nil {
		return err
	}
	p.stdin, p.stdout, p.stderr = inW, outR, errR
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, errW
	if _, err := inW.Write(p.first); err != nil { // before there is a reader: it waits in the pipe
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.exited)
		deadline := time.Now().Add(drainTime)
		_, _ = p.stdout.SetReadDeadline(deadline), p.stderr.SetReadDeadline(deadline)
	}()
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // also of nil, which is an error and no more
	}
}

// Wait returns when the process ended and go-plugin has read its last words.
func (p *process) Wait(context.Context) error {
	<-p.exited
	closeAll([]*os.File{p.stdout, p.stderr})
	return nil // how it ended is told by whoever needed it
}

// ended reports whether the process has ended, or does so within d.
func (p *process) ended(d time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(d):
		return false
	}
}

// killed reports whether an ended process ended by SIGKILL.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Kill kills it, at any time: before Start, it will not start.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

func (p *process) Stdout() io.ReadCloser { return quietEnd{p.stdout} }
func (p *process) Stderr() io.ReadCloser { return quietEnd{p.stderr} }
func (p *process) Name() string          { return p.cmd.Path }
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// Diagnose implements runner.Runner; Launch says more.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner: both are in one place.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// quietEnd makes the drain's deadline an ordinary end.
type quietEnd struct{ io.ReadCloser }

func (q quietEnd) Read(b []byte) (int, error) {
	n, err := q.ReadCloser.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}
