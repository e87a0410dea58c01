// SPDX-License-Identifier: Apache-2.0

package filelock_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/evenkeel/evenkeel/internal/filelock"
)

func TestALockIsHeldByOneUntilItIsClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	f, err := filelock.Try(name, 0o600)
	if err != nil || f == nil {
		t.Fatalf("got %v, %v, want the lock", f, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
	if again, err := filelock.Try(name, 0o600); again != nil || err != nil {
		t.Errorf("got %v, %v, want nil: it is held", again, err)
	}
	_ = f.Close()
	again, err := filelock.Try(name, 0o600)
	if again == nil || err != nil {
		t.Fatalf("got %v, %v, want the lock", again, err)
	}
	_ = again.Close()
	if f, err := filelock.Try(filepath.Join(name, "no"), 0o600); f != nil || err == nil {
		t.Errorf("got %v, %v, want an error", f, err)
	}
}

// TestALockWhoseFileGoesIsHeldByOne: each holder removes the file, so that some lock one that has gone already.
func TestALockWhoseFileGoesIsHeldByOne(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	var holders, most, took atomic.Int32
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for took.Load() < 400 {
				f, err := filelock.Try(name, 0o600)
				if err != nil {
					t.Error(err)
					return
				}
				if f == nil {
					continue
				}
				took.Add(1)
				if n := holders.Add(1); n > most.Load() {
					most.Store(n)
				}
				holders.Add(-1)
				_ = os.Remove(name)
				_ = f.Close()
			}
		})
	}
	work.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held it at once, want one", most.Load())
	}
}
