// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// undoWait bounds the last step of a copy: the move into place, or the removal of a file half copied.
const undoWait = 10 * time.Second

// Quote makes s one word for a POSIX shell. A NUL byte, which no argument can hold, is left out.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// CopyTo writes content to the file at path on the far side, with the given permission bits, as the login user. The file appears whole
// or not at all: after an error what was at path is as it was, but where the connection is lost in the last step. Its folder must exist; path must not be a folder. A connection lost
// half-way may leave a PATH.evenkeel-* beside it.
func (c *Client) CopyTo(ctx context.Context, content io.Reader, path string, mode os.FileMode) error {
	cannot := func(err error) error { return fmt.Errorf("cannot copy to %s: %w", printable(path), err) }
	switch {
	case path == "" || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0):
		return cannot(errors.New("it is no file's path"))
	case mode&^os.ModePerm != 0:
		return cannot(fmt.Errorf("mode %v has more than permission bits", mode))
	}
	if !strings.HasPrefix(path, "/") {
		path = "./" + path // a leading dash is no option
	}
	temp := path + ".evenkeel-" + rand.Text()
	// Two commands: the end of the input looks the same whether content or the connection ended, so the first must not take effect.
	err := c.upload(ctx, content, temp)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait) // a move or removal cut off has no known outcome
	defer cancel()
	if err == nil {
		err = c.script(last, nil, fmt.Sprintf("test ! -d %[2]s || { echo it is a folder >&2; exit 1; }; chmod %04[3]o %[1]s && mv -f %[1]s %[2]s", Quote(temp), Quote(path), mode.Perm()))
	}
	if err != nil {
		_ = c.script(last, nil, "rm -f "+Quote(temp)) // fails where the connection is gone, which err says
		return cannot(err)
	}
	return nil
}

// upload writes content to temp. When ctx ends it closes the command's input and waits for the command rather than cutting it off:
// a command cut off may still be starting, and would make temp after its removal.
func (c *Client) upload(ctx context.Context, content io.Reader, temp string) error {
	in, out := io.Pipe()
	defer func() { _ = in.Close() }()
	sent := make(chan error, 1)
	go func() { // ends with the pipe; a Read of content that blocks may outlive it
		_, err := io.Copy(out, content)
		sent <- err
		_ = out.Close()
	}()
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	patient, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(undoWait, giveUp) })()
	err := c.script(patient, in, "umask 077 && cat >"+Quote(temp))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	select {
	case err := <-sent:
		return err
	default:
		return errors.New("the far side stopped reading early")
	}
}

// script runs line and adds what it says to its error.
func (c *Client) script(ctx context.Context, stdin io.Reader, line string) error {
	said := &bounded.Tail{}
	err := c.Run(ctx, Command{Line: line, Stdin: stdin, Stderr: said})
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, printable(text))
	}
	return err
}
