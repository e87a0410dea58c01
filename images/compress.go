// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// compress writes from as the zstd file to. The quickest level takes a root tree to a third of its size.
func compress(ctx context.Context, from, to string) error {
	return copyFile(ctx, from, to, func(in io.Reader, out io.Writer) error {
		z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
		if err != nil {
			return err
		}
		_, err = io.Copy(z, in)
		return errors.Join(err, z.Close())
	})
}

// expand writes the zstd file from as the plain file to.
func expand(ctx context.Context, from, to string) error {
	return copyFile(ctx, from, to, func(in io.Reader, out io.Writer) error {
		z, err := zstd.NewReader(in)
		if err != nil {
			return err
		}
		defer z.Close()
		_, err = io.Copy(out, z)
		return err
	})
}

func copyFile(ctx context.Context, from, to string, do func(io.Reader, io.Writer) error) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if err := errors.Join(do(contextReader{ctx, in}, out), out.Close()); err != nil {
		return fmt.Errorf("cannot copy %s: %w", from, err)
	}
	return nil
}

// contextReader ends a copy when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
