// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/filelock"
)

// record is what both sides held at a path when they were last alike.
type record struct {
	Kind kind
	Exec bool
	Size int64
	Link string
	Sum  [32]byte // SHA-256 of a file
	// The file's times on either side. 0 where it was so young that another change in the same tick could not be told: the content decides then.
	Host, Machine int64
}

// baseline is a folder's records by path, and the id that the machine's folder holds as long as it is the one they were made with.
type baseline struct {
	Format  int
	ID      string
	Records map[string]record
}

const baselineFormat = 1

// loadBaseline reads the baseline in file. One that is absent, broken or of another format is empty: then contents are compared, and nothing counts as deleted.
func loadBaseline(file string) (*baseline, error) {
	empty := &baseline{Format: baselineFormat, Records: map[string]record{}}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what was synced: %w", err)
	}
	defer f.Close()
	var b baseline
	if err := gob.NewDecoder(bufio.NewReader(f)).Decode(&b); err != nil || b.Format != baselineFormat || b.Records == nil {
		return empty, nil
	}
	return &b, nil
}

// save replaces file in one step.
func (b *baseline) save(file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot keep what was synced: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // renamed as a rule
	w := bufio.NewWriter(f)
	err = gob.NewEncoder(w).Encode(b)
	if err := errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// Forget removes the baselines of an environment whose machines are gone, below the state folder dir of StateFile. Without one nothing counts as deleted, so it is only tidy.
func Forget(dir, env string) error {
	list, err := os.ReadDir(filepath.Join(dir, "sync"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot forget what was synced: %w", err)
	}
	var errs []error
	for _, f := range list {
		file := filepath.Join(dir, "sync", f.Name())
		switch {
		case !strings.HasPrefix(f.Name(), env+"@"):
		case strings.HasSuffix(file, ".lock"):
			errs = append(errs, forgetLock(file))
		default:
			if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// forgetLock removes a lock that nobody holds. Who waits for it sees that it went.
func forgetLock(file string) error {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := filelock.Try(file, 0o600)
	if f == nil {
		return err // nil: it is somebody's now
	}
	defer f.Close()
	return os.Remove(file)
}

// hold waits until nobody else syncs with the baseline in file. The kernel lets go when this process ends.
func hold(ctx context.Context, file string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep what was synced: %w", err)
	}
	for {
		f, err := filelock.Try(file+".lock", 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot keep what was synced: %w", err)
		}
		if f != nil {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// settled is a file's time for the baseline: 0 where it may change again within the clock's tick. now is the clock of its own side, before it was scanned.
func settled(ns, now int64) int64 {
	tick := int64(50 * time.Millisecond) // Linux stamps files by the timer's tick, 10 ms at most
	if ns%int64(time.Second) == 0 {
		tick = int64(3 * time.Second) // the file system may keep whole or even seconds
	}
	if now-ns < tick {
		return 0
	}
	return ns
}
