// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// Pack lets tests make an artefact of a tree that no recipe made.
func Pack(ctx context.Context, f Format, tree, work, digest string, newest time.Time, p progress.Func) (file string, diskSize int64, err error) {
	out, err := packing{tree: tree, work: work, digest: digest, newest: newest, subject: "test", emit: p}.pack(ctx, f)
	return out.file, out.diskSize, err
}
