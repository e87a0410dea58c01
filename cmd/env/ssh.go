// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func (a *App) sshVerb() verb {
	return verb{
		name: "ssh", args: "[NAME] [-- COMMAND...]", about: "log in to a machine, or run a command on it",
		more: "NAME may be left out where there is one machine, and may be a kind that has one. The machine's host certificate is verified before anything is sent. " +
			"With a command its exit status is this one's; input and output are passed on byte for byte. Several words are joined by spaces and read by the machine's shell, as ssh does.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "log in as `USER` (else the definition's access.user)"},
			boolFlag("tty", "give the command a terminal", "t"),
			boolFlag("stream", "carry another SSH program's connection: for its ProxyCommand, as ssh-config writes it"),
		},
		lacks: []string{"json"},
		run:   runSSH,
	}
}

func runSSH(ctx context.Context, c *call) error {
	if len(c.args) > 1 {
		e := usagef("ssh takes one machine, got %q besides", strings.Join(c.args[1:], " "))
		e.hint = "a command stands behind --: evenkeel ssh " + c.args[0] + " -- " + strings.Join(c.args[1:], " ")
		return e
	}
	name := ""
	if len(c.args) == 1 {
		name = c.args[0]
	}
	if c.cut && len(c.after) == 0 {
		return usagef("there is no command behind --")
	}
	stream := c.flag.Bool("stream")
	if stream && (c.cut || c.flag.Bool("tty") || c.flag.String("user") != "") {
		return usagef("--stream takes a machine and nothing else: the program that it carries the connection of logs in")
	}
	p, err := c.open(ctx, placeOptions{identity: !stream})
	if err != nil {
		return err
	}
	defer p.close()
	m, err := p.machine(ctx, name)
	if err != nil {
		return err
	}
	if stream {
		return c.stream(ctx, p, m)
	}
	user := c.flag.String("user")
	if user == "" {
		user = p.User(m)
	}
	client, err := p.Dial(ctx, m, user)
	if err != nil {
		return err
	}
	defer client.Close()
	stdin, release := c.input()
	defer release()
	cmd := ssh.Command{Line: strings.Join(c.after, " "), Stdin: stdin, Stdout: c.Stdout, Stderr: c.Stderr}
	if c.flag.Bool("tty") || !c.cut {
		restore, err := c.terminal(&cmd)
		if err != nil {
			return err
		}
		defer restore()
	}
	err = client.Run(ctx, cmd)
	if e, ok := errors.AsType[*ssh.ExitError](err); ok {
		return exitStatus(e.Status)
	}
	return err
}

// stream passes bytes on between our standard input and output and a machine's SSH server, until either ends.
func (c *call) stream(ctx context.Context, p *place, m providers.Machine) error {
	if _, ok := terminal(c.Stdout); ok {
		return usagef("--stream is for SSH programs, which call it by themselves; to log in: evenkeel ssh %s", m.Name)
	}
	conn, err := p.Stream(ctx, m)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // which ends both ways
	stdin, release := c.input()
	defer release()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(conn, stdin) // what is lost on the way, SSH notices
		_ = conn.Close()
	}()
	_, err = io.Copy(c.Stdout, conn)
	_ = conn.Close()
	release() // the copy there reads no more
	<-sent
	if ctx.Err() != nil || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed) { // OpenSSH ends it by SIGHUP, others by the end of its input
		return nil
	}
	return err
}

// input is our standard input in a form that can be left in the middle of a read: what the user types after the far side has ended belongs to the shell.
func (c *call) input() (io.Reader, func()) {
	f, ok := c.Stdin.(*os.File)
	if !ok {
		return c.Stdin, func() {}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return c.Stdin, func() {}
	}
	go func() {
		_, _ = io.Copy(w, f) // ends with our input, or with the process
		_ = w.Close()
	}()
	return r, func() { _ = r.Close() }
}

// terminal makes our terminal the far side's, where we have one, until restore.
func (c *call) terminal(cmd *ssh.Command) (restore func(), err error) {
	in, ok := terminal(c.Stdin)
	if !ok {
		if c.flag.Bool("tty") {
			return nil, errors.New("cannot give the command a terminal: standard input is none")
		}
		return func() {}, nil // a shell that reads its commands from a pipe
	}
	fd := int(in.Fd())
	width, height, err := term.GetSize(fd)
	if err != nil {
		width, height = 80, 24
	}
	name := c.getenv("TERM")
	if name == "" {
		name = "dumb"
	}
	resize := make(chan [2]int, 1)
	cmd.TTY = &ssh.TTY{Term: name, Width: width, Height: height, Resize: resize}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the terminal: %w", err)
	}
	back := func() { _ = term.Restore(fd, state) } // nothing better can be done
	c.atOnce.Store(&back)

	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			if w, h, err := term.GetSize(fd); err == nil {
				select {
				case resize <- [2]int{w, h}:
				case <-done:
					return
				}
			}
		}
	}()
	return func() {
		back()
		c.atOnce.Store(nil)
		signal.Stop(changed)
		close(done)
		<-ended
	}, nil
}
