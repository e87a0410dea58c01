// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// endGrace is how long a cancelled command's channel may take to close before the whole connection is given up.
const endGrace = 5 * time.Second

// Command is one command on the far side. The line is passed to the login shell as it is; "" asks for the login shell itself.
type Command struct {
	Line   string
	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: thrown away
	Stderr io.Writer // nil: thrown away; with a TTY everything comes by Stdout
	TTY    *TTY      // nil: no terminal
}

// TTY asks for a terminal on the far side.
type TTY struct {
	Term          string
	Width, Height int
	Resize        <-chan [2]int // width, height; may be nil
}

// Run runs one command and returns *ExitError where it ended badly. On cancel the command gets TERM, its channel is closed, and
// Run returns ctx's error; a far side that does not answer even that within 5 s loses the whole connection. A Stdin that fails to
// read or a Stdout that fails to write ends the command in the same way, and Run returns that error. Nothing is written to Stdout or
// Stderr after Run returned; a Read of Stdin that blocks may outlive it, and what it reads is lost.
func (c *Client) Run(ctx context.Context, cmd Command) error {
	s, err := c.openSession(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // closed already, as a rule
	stdin, stdout, stderr, err := pipes(s)
	if err != nil {
		return fmt.Errorf("cannot start command: %w", &farError{err})
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	ended := make(chan error, 1)
	go func() { ended <- start(s, cmd) }() // the answer may never come
	if err := c.await(ctx, s, ended); err != nil {
		return startError(ctx, err)
	}

	go feed(stdin, cmd.Stdin, abort)
	var streams sync.WaitGroup
	streams.Go(func() { drain(cmd.Stdout, stdout, abort) })
	streams.Go(func() { drain(cmd.Stderr, stderr, abort) })
	var sizes sync.WaitGroup
	defer sizes.Wait()
	defer abort(nil) // ends resize
	if cmd.TTY != nil {
		sizes.Go(func() { resize(ctx, s, cmd.TTY.Resize) })
	}
	go func() { ended <- s.Wait() }()
	err = c.await(ctx, s, ended)
	streams.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return exitError(err)
}

// openSession opens a channel. Where the far side does not answer until ctx ends, the channel that comes later is closed.
func (c *Client) openSession(ctx context.Context) (*ssh.Session, error) {
	type opened struct {
		s   *ssh.Session
		err error
	}
	answer := make(chan opened)
	go func() { // ends with the answer or the connection
		s, err := c.conn.NewSession()
		select {
		case answer <- opened{s, err}:
		case <-ctx.Done():
			if err == nil {
				_ = s.Close()
			}
		}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case o := <-answer:
		if o.err != nil {
			return nil, fmt.Errorf("cannot start command: %w", &farError{o.err})
		}
		return o.s, nil
	}
}

// await returns what comes over ended. At ctx's end it ends the command first: politely, then with the connection.
func (c *Client) await(ctx context.Context, s *ssh.Session, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late := time.AfterFunc(endGrace, c.hangUp)
	defer late.Stop()
	go func() { // both write to a connection that may be stuck; hangUp frees them
		_ = s.Signal(ssh.SIGTERM)
		_ = s.Close()
	}()
	return <-ended
}

func pipes(s *ssh.Session) (io.WriteCloser, io.Reader, io.Reader, error) {
	stdin, err1 := s.StdinPipe()
	stdout, err2 := s.StdoutPipe()
	stderr, err3 := s.StderrPipe()
	return stdin, stdout, stderr, errors.Join(err1, err2, err3)
}

// start asks for the terminal and the command.
func start(s *ssh.Session, cmd Command) error {
	if t := cmd.TTY; t != nil {
		width, height := t.Width, t.Height
		if width <= 0 || height <= 0 {
			width, height = 80, 24
		}
		modes := ssh.TerminalModes{ssh.ECHO: 1, ssh.TTY_OP_ISPEED: 38400, ssh.TTY_OP_OSPEED: 38400} // as a pty of Linux begins
		if err := s.RequestPty(t.Term, height, width, modes); err != nil {
			return err
		}
	}
	if cmd.Line == "" {
		return s.Shell()
	}
	return s.Start(cmd.Line)
}

// feed passes stdin on. Only its true end closes the far side's: a reader that failed must not look like a shorter input.
func feed(to io.WriteCloser, from io.Reader, abort context.CancelCauseFunc) {
	if from != nil {
		in := &readError{Reader: from}
		_, err := io.Copy(to, in)
		if in.err != nil {
			abort(fmt.Errorf("cannot read the command's input: %w", in.err))
			return
		}
		if err != nil {
			return // the command does not read it, or has ended
		}
	}
	_ = to.Close()
}

// readError remembers why reading failed, which tells it from a failed write.
type readError struct {
	io.Reader
	err error
}

func (r *readError) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// drain passes output on. It reads to the end even where nobody wants it, or the command would block.
func drain(to io.Writer, from io.Reader, abort context.CancelCauseFunc) {
	if to == nil {
		to = io.Discard
	}
	out := &writeError{Writer: to}
	_, _ = io.Copy(out, from)
	if out.err != nil {
		abort(fmt.Errorf("cannot write the command's output: %w", out.err))
		_, _ = io.Copy(io.Discard, from)
	}
}

type writeError struct {
	io.Writer
	err error
}

func (w *writeError) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return n, err
}

// resize passes sizes on until ctx ends.
func resize(ctx context.Context, s *ssh.Session, sizes <-chan [2]int) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_ = s.WindowChange(size[1], size[0]) // fails only where the command has ended
		}
	}
}

func startError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("cannot start command: %w", &farError{err})
}

// exitError turns how the library says a command ended into how we do.
func exitError(err error) error {
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		return &ExitError{Status: exit.ExitStatus(), Signal: exit.Signal()}
	}
	if _, ok := errors.AsType[*ssh.ExitMissingError](err); ok {
		return errors.New("connection ended before the command did")
	}
	return err
}
