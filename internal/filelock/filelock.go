// SPDX-License-Identifier: Apache-2.0

// Package filelock locks files between processes. The kernel lets go when the process that holds a lock ends, however it ends. Who holds one may remove its file.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Try locks the file name, which it makes with mode perm if needed, until the returned file is closed. It does not wait: nil, and no error, where another holds the lock. It is
// safe for concurrent use; two calls of one process exclude each other, too.
func Try(name string, perm os.FileMode) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, perm)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isAt(f, name) {
			return f, nil
		}
		_ = f.Close() // nothing was written
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("cannot lock %s: %w", name, err)
		}
		// Whoever had it removed the file between our opening and locking it: the next one is another file.
	}
}

// isAt: name is still that of f.
func isAt(f *os.File, name string) bool {
	opened, err := f.Stat()
	named, err2 := os.Stat(name)
	return err == nil && err2 == nil && os.SameFile(opened, named)
}
