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

// dataSerial is how a machine finds a data disk. A virtio serial has at most 20 bytes, a disk's name 12.
func dataSerial(name string) string { return "ek-" + name }

// dataDevice is the link that udev makes of the serial (60-persistent-storage.rules).
func dataDevice(name string) string { return "/dev/disk/by-id/virtio-" + dataSerial(name) }

// maxData is what is left of vda to vdz.
const maxData = 24

// maxProject keeps a mark's name, with the longest of all other words in it, below the 255 bytes of a file's.
const maxProject = 48

// dataDisk is what the pool holds of a data disk.
type dataDisk struct {
	current generation // number 0 where none is whole
	origin
	top    int      // the highest number in use
	older  []string // volumes of generations that a restore has replaced
	broken []string // volumes above the current one, which were never whole
}

// dataDisks reads the volumes' names.
func dataDisks(names []string) map[providers.DataRef]*dataDisk {
	disks := map[providers.DataRef]*dataDisk{}
	there := map[generation]bool{}
	for _, n := range names {
		if g, _, mark, ok := parseGeneration(n); ok && !mark {
			there[g] = true
		}
	}
	at := func(g generation) *dataDisk {
		if disks[g.disk] == nil {
			disks[g.disk] = &dataDisk{}
		}
		return disks[g.disk]
	}
	for _, n := range names {
		g, from, mark, ok := parseGeneration(n)
		if !ok {
			continue
		}
		d := at(g)
		d.top = max(d.top, g.number)
		if mark && there[g] && g.number > d.current.number {
			d.current, d.origin = g, from
		}
	}
	for _, n := range names {
		g, _, _, ok := parseGeneration(n)
		if !ok {
			continue
		}
		d := disks[g.disk]
		switch {
		case g.number < d.current.number:
			d.older = append(d.older, n)
		case g.number > d.current.number:
			d.broken = append(d.broken, n)
		}
	}
	return disks
}

// plannedDisk is a data disk of a machine to be.
type plannedDisk struct {
	name string
	size int64
	have int64 // what it has now; 0 where it is yet to be made
	generation
}

// planData finds the disks of spec, and refuses what they cannot be. It makes nothing.
func (p *provider) planData(spec providers.Spec) ([]plannedDisk, error) {
	if len(spec.Data) == 0 {
		return nil, nil
	}
	pool, err := p.existingPool()
	if err != nil {
		return nil, err
	}
	disks := map[providers.DataRef]*dataDisk{}
	if pool != nil {
		names, err := pool.names()
		if err != nil {
			return nil, err
		}
		disks = dataDisks(names)
	}
	var plan []plannedDisk
	for _, d := range spec.Data {
		ref := providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: d.Name}
		planned := plannedDisk{name: d.Name, size: wholeBlocks(d.Size), generation: generation{ref, 1}}
		if there := disks[ref]; there != nil {
			planned.number = there.top + 1
			if there.current.number > 0 {
				planned.generation = there.current
				if planned.have, err = pool.capacity(there.current.volume()); err != nil {
					return nil, err
				}
				if err := takeable(planned, *there, spec); err != nil {
					return nil, err
				}
			}
		}
		plan = append(plan, planned)
	}
	return plan, nil
}

// wholeBlocks rounds up as libvirt does (to KiB, for qemu-img), so that a disk never seems larger than what it was made as.
func wholeBlocks(size int64) int64 { return (size + 1023) &^ 1023 }

// takeable refuses a disk that is another project's, or larger than spec has it.
func takeable(d plannedDisk, there dataDisk, spec providers.Spec) error {
	if is := spec.Labels[providers.LabelProject]; there.project != is {
		return &coded{
			providers.Conflict,
			fmt.Errorf("data disk %s belongs to project %q, this is %q", d.name, there.project, is),
			"give this project another name, or use --as",
		}
	}
	if d.have > d.size {
		return &coded{
			providers.Denied,
			fmt.Errorf("data disk %s has %d MiB, %d MiB are wanted: a data disk never shrinks", d.name, d.have>>20, d.size>>20),
			fmt.Sprintf("size: %dMiB, or another disk under another name", (d.have+1<<20-1)>>20),
		}
	}
	return nil
}

// putData makes or grows the machine's data disks. Its domain is defined, so no other call for it gets here. fresh are the volumes that this call
// made, after an error too, each mark before its disk: with them removed in this order all is as before.
func (p *provider) putData(ctx context.Context, g guest) (fresh []string, err error) {
	plan, err := p.planData(g.spec)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(plan, g.data) {
		return nil, fail(providers.Unavailable, "its data disks were changed meanwhile")
	}
	for _, d := range plan {
		if err := ctx.Err(); err != nil {
			return fresh, err
		}
		if d.have > 0 {
			if err := g.pool.grow(d.volume(), d.have, d.size); err != nil {
				return fresh, fmt.Errorf("data disk %s: %w", d.name, err)
			}
			continue
		}
		// The mark that it is whole comes last.
		for _, v := range []volume{
			{name: d.volume(), format: "qcow2", capacity: d.size, mode: "0600"},
			{name: d.mark(originOf(g.spec.Labels)), format: "raw", mode: "0600"},
		} {
			if err := g.pool.make(v); err != nil {
				return fresh, fmt.Errorf("data disk %s: %w", d.name, err)
			}
			fresh = slices.Insert(fresh, 0, v.name)
		}
	}
	return fresh, nil
}

// removeAll removes volumes in this order, whatever becomes of one of them.
func (p *pool) removeAll(names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, p.remove(name))
	}
	return errors.Join(errs...)
}

func (p *pool) capacity(volume string) (int64, error) {
	v, err := p.LookupStorageVolByName(volume)
	if err != nil {
		return 0, err
	}
	defer func() { _ = v.Free() }() // only a reference count
	info, err := v.GetInfo()
	if err != nil {
		return 0, err
	}
	return int64(info.Capacity), nil
}

// grow makes the disk larger; it never makes one smaller.
func (p *pool) grow(volume string, have, size int64) error {
	if size <= have {
		return nil
	}
	v, err := p.LookupStorageVolByName(volume)
	if err != nil {
		return err
	}
	defer func() { _ = v.Free() }() // only a reference count
	return v.Resize(uint64(size), 0)
}

// domainDisks attaches the data disks, from vdc on.
func (g guest) domainDisks() []libvirtxml.DomainDisk {
	var disks []libvirtxml.DomainDisk
	for i, d := range g.data {
		disks = append(disks, libvirtxml.DomainDisk{
			Device: "disk", Serial: dataSerial(d.name),
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
			Source: fileSource(g.pool.path(d.volume())),
			Target: &libvirtxml.DomainDiskTarget{Dev: "vd" + string(rune('c'+i)), Bus: "virtio"},
		})
	}
	return disks
}

// aim points a domain's definition at the generations that are its data disks now, and removes those that were. changed says that it pointed
// at others, which a restore that was killed in between may leave.
func (p *provider) aim(dom *lv.Domain, r record) (changed bool, err error) {
	if len(r.Data) == 0 {
		return false, nil
	}
	pool, err := p.openPool()
	if err != nil {
		return false, err
	}
	names, err := pool.names()
	if err != nil {
		return false, err
	}
	disks := dataDisks(names)
	paths := map[string]string{}
	for _, name := range r.Data {
		d := disks[providers.DataRef{Env: r.Env, Machine: r.Name, Name: name}]
		if d == nil || d.current.number == 0 {
			return false, &coded{providers.Conflict, fmt.Errorf("its data disk %s is gone", name), "make it anew with a blank one: evenkeel rebuild " + r.Name}
		}
		paths[dataSerial(name)] = pool.path(d.current.volume())
	}
	text, err := dom.GetXMLDesc(lv.DOMAIN_XML_INACTIVE | lv.DOMAIN_XML_SECURE)
	if err != nil {
		return false, err
	}
	text, changed, err = aimDisks(text, paths)
	if err != nil {
		return false, err
	}
	if changed {
		d, err := p.conn.DomainDefineXML(text)
		if err != nil {
			return false, err
		}
		_ = d.Free() // the same domain
	}
	if running(dom) {
		return changed, nil
	}
	var old []string
	for _, name := range r.Data {
		old = append(old, disks[providers.DataRef{Env: r.Env, Machine: r.Name, Name: name}].older...)
	}
	return changed, pool.removeAll(old)
}

// aimDisks sets the files of the disks with the given serials.
func aimDisks(text string, paths map[string]string) (_ string, changed bool, err error) {
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return "", false, err
	}
	if d.Devices == nil {
		return "", false, errors.New("its definition has no devices")
	}
	for i := range d.Devices.Disks {
		disk := &d.Devices.Disks[i]
		path, ok := paths[disk.Serial]
		if !ok || disk.Source == nil || disk.Source.File == nil || disk.Source.File.File == path {
			continue
		}
		disk.Source.File.File, changed = path, true
	}
	if !changed {
		return text, false, nil
	}
	text, err = d.Marshal()
	return text, true, err
}
