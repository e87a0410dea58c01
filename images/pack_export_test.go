// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// Pack lets tests make an artefact of a tree that no recipe made: a tar, or one as the store keeps it.
func Pack(ctx context.Context, f Format, tree, work, digest string, newest time.Time, p progress.Func) (file string, diskSize int64, err error) {
	if plain, compressed := strings.CutSuffix(tree, ".zst"); compressed {
		plain = filepath.Join(work, filepath.Base(plain))
		if err := expand(ctx, tree, plain); err != nil {
			return "", 0, err
		}
		tree = plain
	}
	out, err := packing{tree: tree, work: work, digest: digest, newest: newest, subject: "test", emit: p, memory: (&Store{}).memoryTree}.pack(ctx, f)
	return out.file, out.diskSize, err
}

// KeepAtMost is what a program's output is kept in, up to a limit.
func KeepAtMost(limit int) io.Writer { return &limited{left: limit} }
