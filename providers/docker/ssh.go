// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// overSSH reaches a daemon by the user's own ssh, as docker's client does: `docker system dial-stdio` on the far side is a pipe to its daemon. The
// user's configuration says how to get there and whom to trust; nothing is asked for.
func overSSH(u *url.URL) func(ctx context.Context, _, _ string) (net.Conn, error) {
	args := []string{"-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"}
	if name := u.User.Username(); name != "" {
		args = append(args, "-l", name)
	}
	if port := u.Port(); port != "" {
		args = append(args, "-p", port)
	}
	args = append(args, "--", u.Hostname(), "docker")
	if u.Path != "" && u.Path != "/" {
		args = append(args, "--host", "unix://"+u.Path)
	}
	args = append(args, "system", "dial-stdio")
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return pipeTo(exec.Command("ssh", args...), u.Hostname())
	}
}

// pipe is a connection to a program's standard input and output. Close ends the program.
type pipe struct {
	io.WriteCloser
	io.Reader
	cmd  *exec.Cmd
	host string
	said bounded.Tail // what it had to say
	end  sync.Once
	done error
}

func pipeTo(cmd *exec.Cmd, host string) (net.Conn, error) {
	p := &pipe{cmd: cmd, host: host}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, &p.said
	p.Reader = out
	if p.WriteCloser, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	_ = in.Close() // the program has it
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return p, nil
}

// Read says, instead of that there is nothing to read, why there is nothing: ssh could not log in, or found no docker.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		if e := p.Close(); e != nil {
			err = e
		}
	}
	return n, err
}

func (p *pipe) Close() error {
	p.end.Do(func() {
		_ = p.WriteCloser.Close() // it ends with its input
		t := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
		defer t.Stop()
		if err := p.cmd.Wait(); err != nil {
			p.done = fmt.Errorf("ssh %s: %w: %s", p.host, err, strings.TrimSpace(p.said.String()))
		}
		if c, ok := p.Reader.(io.Closer); ok {
			_ = c.Close()
		}
	})
	return p.done
}

// CloseWrite says that nothing more comes; the program's last words can still be read.
func (p *pipe) CloseWrite() error { return p.WriteCloser.Close() }

func (p *pipe) LocalAddr() net.Addr               { return pipeAddr("ssh") }
func (p *pipe) RemoteAddr() net.Addr              { return pipeAddr(p.host) }
func (p *pipe) SetDeadline(t time.Time) error     { return p.Reader.(*os.File).SetReadDeadline(t) }
func (p *pipe) SetReadDeadline(t time.Time) error { return p.Reader.(*os.File).SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(time.Time) error  { return nil }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }
