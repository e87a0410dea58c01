// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/providers"
)

// RestoreSnapshot makes a copy of the snapshot the disk's next generation. The moment it is marked as whole is the moment of the restore:
// a call killed before leaves the disk as it was, one killed after leaves the rest to the machine's next start.
func (p *provider) RestoreSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	return wrap("restore snapshot "+name+" of", subjectOf(d), p.restore(ctx, d, name))
}

func (p *provider) restore(ctx context.Context, d providers.DataRef, name string) (err error) {
	pool, disk, names, err := p.findData(d)
	if err != nil {
		return err
	}
	from := slices.IndexFunc(snapshotsOf(names, d), func(s snapshot) bool { return s.name == name })
	if from < 0 {
		return &coded{providers.NotFound, errors.New("there is none of that name"), "see what there is: evenkeel snapshot list"}
	}
	if err := p.atRest(d, pool.path(disk.current.volume())); err != nil {
		return err
	}
	for _, n := range disk.broken {
		if err := pool.remove(n); err != nil {
			return err
		}
	}
	next := generation{d, disk.top + 1}
	if err := p.makeNext(ctx, pool, *disk, snapshotsOf(names, d)[from], next); err != nil {
		return err
	}
	p.log.Info("restored snapshot", "env", d.Env, "machine", d.Machine, "disk", d.Name, "name", name)
	if err := p.settleRestore(d, pool, append(disk.older, disk.current.mark(disk.origin), disk.current.volume())); err != nil {
		p.log.Warn("the disk before the restore is still there; the machine's next start removes it", "disk", d.Name, "machine", d.Machine, "error", err)
	}
	return nil
}

// makeNext copies the snapshot and marks the copy as the disk, last, so that after an error there is only a copy to remove.
func (p *provider) makeNext(ctx context.Context, pool *pool, disk dataDisk, from snapshot, next generation) (err error) {
	size, err := pool.capacity(disk.current.volume())
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := pool.clone(from.volume(), next.volume()); is(err, lv.ERR_STORAGE_VOL_EXIST) {
		return fail(providers.Conflict, "another call restores it now") // and the copy is that call's
	} else if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if e := pool.remove(next.volume()); e != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", e))
		}
	}()
	had, err := pool.capacity(next.volume())
	if err != nil {
		return err
	}
	if err := pool.grow(next.volume(), had, size); err != nil { // it may have grown since the snapshot
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The copy took its time. A start looks for marks once QEMU runs, so that one that begins from here on sees this one.
	if err := p.atRest(next.disk, pool.path(disk.current.volume())); err != nil {
		return err
	}
	return pool.make(volume{name: next.mark(disk.origin), format: "raw", mode: "0600"})
}

// settleRestore points the machine at the new disk and removes the old one, as the machine's next start does too.
func (p *provider) settleRestore(d providers.DataRef, pool *pool, old []string) error {
	machine, err := p.find(d.Env, d.Machine)
	if err != nil {
		return err
	}
	if machine == nil || !slices.Contains(machine.record.Data, d.Name) {
		return pool.removeAll(old)
	}
	dom, err := p.conn.LookupDomainByUUIDString(machine.uuid)
	if err != nil {
		return err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	_, err = p.aim(dom, machine.record)
	return err
}

// atRest refuses a disk that a machine runs with, ours or one that somebody gave it to.
func (p *provider) atRest(d providers.DataRef, path string) error {
	machine, err := p.find(d.Env, d.Machine)
	if err != nil {
		return err
	}
	if machine != nil {
		switch {
		case machine.on():
			return &coded{providers.Conflict, errors.New("its machine runs"), "stop it first: evenkeel stop " + d.Machine}
		case machine.saved:
			return &coded{providers.Conflict, errors.New("its machine is suspended, with parts of the disk in its memory"), "stop it first: evenkeel stop " + d.Machine}
		case machine.record.Phase == making && !machine.record.partial():
			return fail(providers.Conflict, "its machine is being made")
		}
	}
	return p.unused(path)
}

// unused refuses a file that any running domain has as a disk.
func (p *provider) unused(path string) error {
	all, err := p.conn.ListAllDomains(lv.CONNECT_LIST_DOMAINS_ACTIVE)
	if err != nil {
		return err
	}
	for i := range all {
		defer func() { _ = all[i].Free() }() // only a reference count
	}
	for i := range all {
		text, err := all[i].GetXMLDesc(0)
		if is(err, lv.ERR_NO_DOMAIN) {
			continue
		}
		if err != nil {
			return err
		}
		var d libvirtxml.Domain
		if err := d.Unmarshal(text); err != nil {
			return err
		}
		if d.Devices == nil {
			continue
		}
		for _, disk := range d.Devices.Disks {
			if disk.Source != nil && disk.Source.File != nil && disk.Source.File.File == path {
				return fail(providers.Conflict, "domain %s runs with it", d.Name)
			}
		}
	}
	return nil
}
