// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"os"
	"path/filepath"
	gosync "sync"
	"sync/atomic"
	"testing"

	"github.com/evenkeel/evenkeel/providers/sync"
)

// Forget takes away the locks of an environment too, and never one from under who holds it or waits for it.
func TestForgettingLeavesNoLockAndLetsNobodyInTwice(t *testing.T) {
	dir := t.TempDir()
	file := sync.StateFile(dir, "a1b2c3", "shop.laptop", "web-1", "/from", "/to")
	other := sync.StateFile(dir, "a1b2c3", "shop.ci", "web-1", "/from", "/to")
	var inside atomic.Int32
	var work gosync.WaitGroup
	// Many at once, and no pause: what must not be is a matter of a few system calls.
	for range 64 {
		work.Go(func() {
			for range 30 {
				release, err := sync.Hold(t.Context(), file)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold it at once", n)
				}
				for range 20 {
					if err := sync.Forget(dir, "shop.elsewhere"); err != nil {
						t.Error(err)
					}
				}
				inside.Add(-1)
				release()
				if err := sync.Forget(dir, "shop.laptop"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	release, err := sync.Hold(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	work.Wait()
	if err := sync.Forget(dir, "shop.ci"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "sync")); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v; want the lock that is held", left, err)
	}
	release()
	if err := sync.Forget(dir, "shop.ci"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "sync")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
