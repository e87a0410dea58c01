// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/filelock"
)

// flock is a lock on a file, held until unlock or until the process ends.
type flock struct{ f *os.File }

func (l *flock) unlock() { l.f.Close() }

// tryLock locks the file name, making it if needed. It returns nil where another holds it.
func tryLock(name string) (*flock, error) {
	f, err := filelock.Try(name, 0o644)
	if f == nil {
		return nil, err
	}
	return &flock{f}, nil
}

// lockWait is how often a held lock is tried again.
const lockWait = 100 * time.Millisecond

// lock waits for the lock of what; busy is called once where another holds it.
func (s *Store) lock(ctx context.Context, what string, busy func()) (*flock, error) {
	for first := true; ; first = false {
		l, err := tryLock(filepath.Join(s.dir, "locks", what))
		if l != nil || err != nil {
			return l, err
		}
		if first {
			busy()
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockWait):
		}
	}
}

// diskUsage is what dir's files take on the disk, in bytes; what cannot be read counts nothing.
func diskUsage(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				total += st.Blocks * 512
			}
		}
		return nil
	})
	return total
}

// Alone waits until no other process of this computer brings the artefact to a place, and keeps others waiting until done: what eight of them would do at once, one does,
// and the others find it done. busy is called once where another is at it. A process that dies leaves nothing locked. Where the file cannot be opened or locked, as on some
// network file systems, nobody waits: an error is only ever that ctx has ended.
func (a Artefact) Alone(ctx context.Context, busy func()) (done func(), err error) {
	f, err := os.Open(a.Path)
	if err != nil {
		return func() {}, nil // who reads it next says why
	}
	for first := true; errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK); first = false {
		if first {
			busy()
		}
		select {
		case <-ctx.Done():
			_ = f.Close() // read only
			return nil, context.Cause(ctx)
		case <-time.After(lockWait):
		}
	}
	return func() { _ = f.Close() }, nil
}
