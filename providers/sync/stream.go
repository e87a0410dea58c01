// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"errors"
	"io"
)

// feed runs a script whose input write makes. What the machine says of a failure goes before what that makes of the writing. Both have ended when it returns.
func (m machine) feed(ctx context.Context, script string, write func(io.Writer) error, args ...string) error {
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(out)
		_ = out.CloseWithError(err) // nil is the input's end
		written <- err
	}()
	err := m.run(ctx, script, in, nil, args...)
	_ = in.CloseWithError(errors.New("the machine reads no more"))
	if wrote := <-written; err == nil {
		err = wrote
	}
	return err
}

// take runs a script whose output read takes; where that fails the script is ended. What the machine says of a failure goes before what that makes of
// the output. Both have ended when it returns.
func (m machine) take(ctx context.Context, script string, stdin io.Reader, read func(io.Reader) error, args ...string) error {
	in, out := io.Pipe()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		err := m.run(ctx, script, stdin, out, args...)
		_ = out.CloseWithError(io.EOF)
		ended <- err
	}()
	err := read(in)
	if err != nil {
		cancel(err) // it need not go on
	}
	_, _ = io.Copy(io.Discard, in)
	if ran := <-ended; ran != nil {
		err = ran
	}
	return err
}
