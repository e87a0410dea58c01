// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// relay connects to sshd, for which it waits half a minute, and passes bytes on both ways until either side ends. It runs in the machine as nobody; perl is in
// every image of Debian's.
const relay = `use IO::Socket::INET; use IO::Select;
my $s;
for (1 .. 150) {
	$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:22", Timeout => 5) and last;
	select undef, undef, undef, 0.2;
}
$s or die "cannot reach sshd: $@\n";
my $all = IO::Select->new($s, \*STDIN);
while (my @ready = $all->can_read) {
	for my $from (@ready) {
		my $to = $from == $s ? \*STDOUT : $s;
		my $n = sysread $from, my $bytes, 65536;
		exit 0 if !$n;
		for (my $at = 0; $at < $n;) { $at += syswrite($to, $bytes, $n - $at, $at) // exit 1 }
	}
}`

// DialSSH reaches the machine's sshd by a program that runs in it, whose standard input and output the daemon carries: for daemons whose networks are not
// this computer's.
func (p *provider) DialSSH(ctx context.Context, id string) (net.Conn, error) {
	conn, err := p.dialSSH(ctx, id)
	return conn, p.wrapMachine(ctx, "dial", id, err)
}

func (p *provider) dialSSH(ctx context.Context, id string) (net.Conn, error) {
	if _, _, err := p.byID(ctx, id); err != nil {
		return nil, err
	}
	run, err := p.ContainerExecCreate(ctx, id, container.ExecOptions{
		User: "nobody", AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: []string{"/usr/bin/perl", "-e", relay},
	})
	if err != nil {
		return nil, err
	}
	stream, err := p.ContainerExecAttach(ctx, run.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	return newExecConn(stream), nil
}

// execConn is a program's standard streams as a connection. Its goroutine ends with Close.
type execConn struct {
	types.HijackedResponse
	out  *io.PipeReader
	done chan struct{}
}

func newExecConn(stream types.HijackedResponse) *execConn {
	out, in := io.Pipe()
	c := &execConn{HijackedResponse: stream, out: out, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		var said bounded.Tail
		_, err := stdcopy.StdCopy(in, &said, stream.Reader)
		if text := said.String(); err == nil && text != "" {
			err = errors.New(text)
		}
		_ = in.CloseWithError(err) // never fails; nil is EOF
	}()
	return c
}

func (c *execConn) Read(b []byte) (int, error)  { return c.out.Read(b) }
func (c *execConn) Write(b []byte) (int, error) { return c.Conn.Write(b) }
func (c *execConn) CloseWrite() error           { return c.HijackedResponse.CloseWrite() }
func (c *execConn) Close() error {
	err := c.Conn.Close()
	_ = c.out.Close() // never fails
	<-c.done
	return err
}

func (c *execConn) LocalAddr() net.Addr                { return pipeAddr("docker") }
func (c *execConn) RemoteAddr() net.Addr               { return pipeAddr("docker") }
func (c *execConn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(t) }
func (c *execConn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(t) }
func (c *execConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(t) }
