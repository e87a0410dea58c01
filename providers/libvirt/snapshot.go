// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

var snapshotName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// abandoned is after how long a snapshot that is not whole is taken for one whose maker died.
const abandoned = time.Hour

func subjectOf(d providers.DataRef) string { return "data disk " + d.Name + " of " + d.Machine }

// SaveSnapshot copies the disk: of a running machine by QEMU, which keeps what the machine overwrites meanwhile; else by libvirt.
func (p *provider) SaveSnapshot(ctx context.Context, d providers.DataRef, name string) (providers.Snapshot, error) {
	s, err := p.saveSnapshot(ctx, d, name)
	return s, wrap("save snapshot "+name+" of", subjectOf(d), err)
}

func (p *provider) saveSnapshot(ctx context.Context, d providers.DataRef, name string) (_ providers.Snapshot, err error) {
	if !snapshotName.MatchString(name) {
		return providers.Snapshot{}, fail(providers.Invalid, "name %q does not match %s", name, snapshotName)
	}
	pool, disk, names, err := p.findData(d)
	if err != nil {
		return providers.Snapshot{}, err
	}
	if slices.ContainsFunc(snapshotsOf(names, d), func(s snapshot) bool { return s.name == name }) {
		return providers.Snapshot{}, fail(providers.Conflict, "there is one of that name")
	}
	if err := pool.removeAbandoned(names, d); err != nil {
		return providers.Snapshot{}, err
	}
	s := snapshot{d, name, time.Now().Unix()}
	if err := p.copyDisk(ctx, pool, disk.current, s.volume()); is(err, lv.ERR_STORAGE_VOL_EXIST) {
		return providers.Snapshot{}, fail(providers.Conflict, "another call saves one of that name now") // and the copy is that call's
	} else if err != nil {
		return providers.Snapshot{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		if e := pool.removeAll([]string{s.mark(), s.volume()}); e != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", e))
		}
	}()
	if err := ctx.Err(); err != nil {
		return providers.Snapshot{}, err
	}
	if err := pool.make(volume{name: s.mark(), format: "raw", mode: "0600"}); err != nil {
		return providers.Snapshot{}, err
	}
	if names, err = pool.names(); err != nil {
		return providers.Snapshot{}, err
	}
	for _, other := range snapshotsOf(names, d) {
		if other.name == name && other != s {
			return providers.Snapshot{}, fail(providers.Conflict, "another call saved one of that name at the same time")
		}
	}
	p.log.Info("saved snapshot", "env", d.Env, "machine", d.Machine, "disk", d.Name, "name", name)
	return pool.describeSnapshot(s)
}

// copyDisk copies the disk into a volume that it makes. The copy is one point in time. After an error it is gone.
func (p *provider) copyDisk(ctx context.Context, pool *pool, g generation, to string) error {
	machine, err := p.find(g.disk.Env, g.disk.Machine)
	if err != nil {
		return err
	}
	if machine == nil || !machine.on() {
		// QEMU's lock on the file keeps the machine from starting meanwhile, and this from reading where it has started.
		return pool.clone(g.volume(), to)
	}
	size, err := pool.capacity(g.volume())
	if err != nil {
		return err
	}
	if err := pool.make(volume{name: to, format: "qcow2", capacity: size, mode: "0600"}); err != nil {
		return err
	}
	if err := p.backup(ctx, machine.uuid, dataSerial(g.disk.Name), pool.path(to)); err != nil {
		if e := pool.remove(to); e != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", e))
		}
		return err
	}
	return nil
}

// on reports whether the machine has power, so that QEMU holds its disks.
func (d domain) on() bool {
	return d.state != lv.DOMAIN_SHUTOFF && d.state != lv.DOMAIN_CRASHED
}

// findData is a data disk that is whole, or NotFound.
func (p *provider) findData(d providers.DataRef) (*pool, *dataDisk, []string, error) {
	pool, err := p.existingPool()
	if err != nil {
		return nil, nil, nil, err
	}
	if pool != nil {
		names, err := pool.names()
		if err != nil {
			return nil, nil, nil, err
		}
		if disk := dataDisks(names)[d]; disk != nil && disk.current.number > 0 {
			return pool, disk, names, nil
		}
	}
	return nil, nil, nil, &coded{providers.NotFound, errors.New("there is no such disk"), "see what there is: evenkeel status"}
}

// snapshotsOf lists the whole snapshots of a disk, oldest first.
func snapshotsOf(names []string, d providers.DataRef) []snapshot {
	return slices.DeleteFunc(snapshots(names, d.Env), func(s snapshot) bool { return s.disk != d })
}

// snapshots lists an environment's whole snapshots by disk, oldest first.
func snapshots(names []string, env string) []snapshot {
	there := map[snapshot]bool{}
	for _, n := range names {
		if s, mark, ok := parseSnapshot(n); ok && !mark {
			there[s] = true
		}
	}
	var list []snapshot
	for _, n := range names {
		if s, mark, ok := parseSnapshot(n); ok && mark && there[s] && s.disk.Env == env {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b snapshot) int {
		return cmp.Or(compareRefs(a.disk, b.disk), cmp.Compare(a.taken, b.taken), cmp.Compare(a.name, b.name))
	})
	return list
}

func (p *pool) removeAbandoned(names []string, d providers.DataRef) error {
	whole := snapshotsOf(names, d)
	for _, n := range names {
		s, _, ok := parseSnapshot(n)
		if !ok || s.disk != d || slices.Contains(whole, s) || time.Since(s.time()) < abandoned {
			continue
		}
		if err := p.remove(n); err != nil {
			return err
		}
	}
	return nil
}

func (p *pool) describeSnapshot(s snapshot) (providers.Snapshot, error) {
	found := providers.Snapshot{Disk: s.disk, Name: s.name, Taken: s.time()}
	v, there, err := p.describe(s.volume())
	if err != nil {
		return found, err
	}
	if there && v.Allocation != nil {
		found.Size = int64(v.Allocation.Value)
	}
	return found, nil
}

func (p *provider) ListSnapshots(ctx context.Context, env string) ([]providers.Snapshot, error) {
	list, err := p.listSnapshots(ctx, env)
	return list, wrap("list", "snapshots of "+env, err)
}

func (p *provider) listSnapshots(ctx context.Context, env string) ([]providers.Snapshot, error) {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return nil, err
	}
	names, err := pool.names()
	if err != nil {
		return nil, err
	}
	var list []providers.Snapshot
	for _, s := range snapshots(names, env) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := pool.describeSnapshot(s)
		if err != nil {
			return nil, err
		}
		list = append(list, found)
	}
	return list, nil
}

func (p *provider) DeleteSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	return wrap("delete snapshot "+name+" of", subjectOf(d), p.deleteSnapshot(ctx, d, name))
}

func (p *provider) deleteSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return err
	}
	names, err := pool.names()
	if err != nil {
		return err
	}
	// The mark first, so that what is half gone is no snapshot.
	slices.SortFunc(names, func(a, b string) int {
		return boolOrder(strings.HasSuffix(b, complete), strings.HasSuffix(a, complete))
	})
	for _, n := range names {
		s, _, ok := parseSnapshot(n)
		if !ok || s.disk != d || s.name != name {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := pool.remove(n); err != nil {
			return err
		}
	}
	return nil
}
