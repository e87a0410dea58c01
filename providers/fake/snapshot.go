// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

// snapshot is what is written down of one, beside its content.
type snapshot struct {
	Taken time.Time `json:"taken"`
	Size  int64     `json:"size"`
}

var snapshotName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func (w world) snapshots(d providers.DataRef) string { return filepath.Join(w.disk(d), "snapshots") }
func (w world) snapshot(d providers.DataRef, name string) string {
	return filepath.Join(w.snapshots(d), name)
}

// SaveSnapshot follows the contract. While it copies, nothing of a running machine moves, so that what is kept is one point in time.
func (p *provider) SaveSnapshot(ctx context.Context, d providers.DataRef, name string) (providers.Snapshot, error) {
	s, err := func() (providers.Snapshot, error) {
		none := providers.Snapshot{}
		if err := p.early(ctx, "save_snapshot"); err != nil {
			return none, err
		}
		unlock, err := p.holdDisk(ctx, d, name)
		if err != nil {
			return none, err
		}
		defer unlock()
		switch _, err := os.Lstat(p.world.snapshot(d, name)); {
		case err == nil:
			return none, fail(providers.Conflict, "it exists")
		case !errors.Is(err, fs.ErrNotExist):
			return none, err
		}
		thaw, err := p.freeze(ctx, d.Env, d.Machine)
		if err != nil {
			return none, err
		}
		defer thaw()
		kept := snapshot{Taken: time.Now().UTC().Truncate(time.Second)}
		err = makeWhole(p.world.snapshot(d, name), func(temp string) error {
			if err := copyTree(ctx, p.world.content(d), filepath.Join(temp, "content")); err != nil {
				return err
			}
			if kept.Size, err = occupied(temp); err != nil {
				return err
			}
			if err := writeJSON(filepath.Join(temp, "snapshot.json"), kept); err != nil {
				return err
			}
			return p.late(ctx, "save_snapshot")
		})
		return providers.Snapshot{Disk: d, Name: name, Taken: kept.Taken, Size: kept.Size}, err
	}()
	if err != nil {
		return providers.Snapshot{}, wrap("save", subject(d, name), err)
	}
	return s, nil
}

// ListSnapshots follows the contract.
func (p *provider) ListSnapshots(ctx context.Context, env string) ([]providers.Snapshot, error) {
	list, err := func() ([]providers.Snapshot, error) {
		if err := p.begin(ctx, "list_snapshots"); err != nil {
			return nil, err
		}
		if !validEnv(env) {
			return nil, nil
		}
		disks, err := p.world.disks(env)
		if err != nil {
			return nil, err
		}
		var list []providers.Snapshot
		for _, d := range disks {
			of, err := p.world.snapshotsOf(d.ref)
			if err != nil {
				return nil, err
			}
			list = append(list, of...)
		}
		return list, nil
	}()
	return list, wrap("list", "snapshots of "+env, err)
}

// snapshotsOf lists those of one disk, oldest first.
func (w world) snapshotsOf(d providers.DataRef) ([]providers.Snapshot, error) {
	entries, err := os.ReadDir(w.snapshots(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []providers.Snapshot
	for _, e := range entries {
		if !snapshotName.MatchString(e.Name()) {
			continue // half-made or half-removed
		}
		var s snapshot
		err := readJSON(filepath.Join(w.snapshot(d, e.Name()), "snapshot.json"), &s)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, providers.Snapshot{Disk: d, Name: e.Name(), Taken: s.Taken, Size: s.Size})
	}
	slices.SortFunc(list, func(a, b providers.Snapshot) int {
		return cmp.Or(a.Taken.Compare(b.Taken), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

// RestoreSnapshot follows the contract: a copy of what was kept changes places with what is there, in one step.
func (p *provider) RestoreSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	err := func() error {
		if err := p.early(ctx, "restore_snapshot"); err != nil {
			return err
		}
		unlock, err := p.holdDisk(ctx, d, name)
		if err != nil {
			return err
		}
		defer unlock()
		kept := filepath.Join(p.world.snapshot(d, name), "content")
		if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
			return fail(providers.NotFound, "there is no such snapshot")
		} else if err != nil {
			return err
		}
		switch _, s, running, err := p.find(d.Env, d.Machine); {
		case err != nil:
			return err
		case running && s.Suspended:
			return fail(providers.Conflict, "machine %s is suspended with it", d.Machine)
		case running:
			return fail(providers.Conflict, "machine %s runs with it", d.Machine)
		}
		temp := halfMade(p.world.content(d))
		err = copyTree(ctx, kept, temp)
		if err == nil {
			err = p.late(ctx, "restore_snapshot")
		}
		if err == nil {
			err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, p.world.content(d), unix.RENAME_EXCHANGE)
		}
		if err != nil {
			return undone(err, os.RemoveAll(temp))
		}
		return os.RemoveAll(temp)
	}()
	return wrap("restore", subject(d, name), err)
}

// DeleteSnapshot follows the contract.
func (p *provider) DeleteSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	err := func() error {
		if err := p.begin(ctx, "delete_snapshot"); err != nil {
			return err
		}
		unlock, err := p.holdDisk(ctx, d, name)
		if providers.CodeOf(err) == providers.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		defer unlock()
		return removeWhole(p.world.snapshot(d, name))
	}()
	return wrap("delete", subject(d, name), err)
}

// holdDisk locks the machine of a data disk that exists, and removes what killed runs left half-done in it.
func (p *provider) holdDisk(ctx context.Context, d providers.DataRef, snapshot string) (unlock func(), err error) {
	if err := (providers.Spec{Env: d.Env, Name: d.Machine, CPUs: 1, Memory: 1 << 30, Data: []providers.Data{{Name: d.Name, Size: 1 << 20, Mount: "/x"}}}).Validate(); err != nil {
		return nil, fail(providers.Invalid, "%w", err)
	}
	if !snapshotName.MatchString(snapshot) {
		return nil, fail(providers.Invalid, "snapshot name %q does not match %s", snapshot, snapshotName)
	}
	missing := fail(providers.NotFound, "machine %s of %s has no data disk %s", d.Machine, d.Env, d.Name)
	if _, err := p.world.readDisk(d); errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	unlock, err = p.world.lock(ctx, "machine "+d.Env+"/"+d.Machine)
	if err != nil {
		return nil, err
	}
	_, err = p.world.readDisk(d)
	if errors.Is(err, fs.ErrNotExist) {
		err = missing
	}
	if err == nil {
		err = errors.Join(sweep(p.world.disk(d), ""), sweep(p.world.snapshots(d), ""))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func subject(d providers.DataRef, name string) string {
	return "snapshot " + name + " of data disk " + d.Name + " of machine " + d.Machine
}

// copyTree copies a folder with modes, times and links.
func copyTree(ctx context.Context, from, to string) error {
	return run(ctx, "", "cp", "-a", "--reflink=auto", "--", from, to)
}

// occupied is what a tree takes of its file system, in bytes.
func occupied(tree string) (total int64, err error) {
	err = filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			total += s.Blocks * 512 // stat(2): whatever the file system's block is
		}
		return nil
	})
	return total, err
}
