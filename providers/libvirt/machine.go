// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// undoTime bounds taking back what a cancelled or failed call made.
const undoTime = 45 * time.Second

func (p *provider) PutMachine(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	m, err := p.putMachine(ctx, spec, ref, progress)
	return m, wrap("create", "machine "+spec.Name, err)
}

func (p *provider) putMachine(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	if err := p.validate(spec); err != nil {
		return providers.Machine{}, err
	}
	told := false
	for {
		if err := ctx.Err(); err != nil {
			return providers.Machine{}, err
		}
		found, err := p.find(spec.Env, spec.Name)
		if err != nil {
			return providers.Machine{}, err
		}
		if found == nil {
			m, err := p.make(ctx, spec, ref, progress)
			if errors.Is(err, errTaken) {
				continue
			}
			return m, err
		}
		if err := sameProject(*found, spec); err != nil {
			return providers.Machine{}, err
		}
		switch {
		case found.record.partial():
			p.log.Info("removing what a dead run left", "machine", spec.Name, "id", found.uuid)
			err = p.remove(ctx, found.uuid)
		case found.record.Phase == making:
			if !told {
				told = true
				progress.Emit(providers.Event{Subject: spec.Name, Stage: "create", Detail: "waiting for another run that makes it"})
			}
			err = pause(ctx)
		default:
			return p.adopt(ctx, *found, spec, progress)
		}
		if err != nil {
			return providers.Machine{}, err
		}
	}
}

// maxCPUs is what a q35 machine takes without an IOMMU.
const maxCPUs = 255

// validate refuses what can never be.
func (p *provider) validate(spec providers.Spec) error {
	if err := spec.Validate(); err != nil {
		return &coded{providers.Invalid, err, ""}
	}
	if spec.CPUs > maxCPUs {
		return fail(providers.Invalid, "cpus is %d, at most %d are possible", spec.CPUs, maxCPUs)
	}
	if len(spec.Data) > maxData {
		return fail(providers.Invalid, "%d data disks, at most %d are possible", len(spec.Data), maxData)
	}
	if project := spec.Labels[providers.LabelProject]; len(spec.Data) > 0 && len(project) > maxProject {
		return fail(providers.Invalid, "project label %q has %d bytes, at most %d fit the name of a data disk's file", project, len(project), maxProject)
	}
	host, err := p.conn.GetNodeInfo()
	if err != nil {
		return err
	}
	if spec.Memory>>10 > int64(host.Memory) {
		return &coded{
			providers.Exhausted,
			fmt.Errorf("memory is %d MiB, this computer has %d MiB", spec.Memory>>20, host.Memory>>10),
			"lower memory: in env.yaml, or for this computer alone in env.local.yaml",
		}
	}
	for _, p := range spec.Publish {
		if p.Port < 1 || p.Port > 65535 || p.HostPort < 0 || p.HostPort > 65535 || (p.Proto != "tcp" && p.Proto != "udp") {
			return fail(providers.Invalid, "port %d/%s published at %d: ports are 1 to 65535, tcp or udp", p.Port, p.Proto, p.HostPort)
		}
	}
	return nil
}

func sameProject(d domain, spec providers.Spec) error {
	was, is := d.record.labels()[providers.LabelProject], spec.Labels[providers.LabelProject]
	if was == is {
		return nil
	}
	return &coded{providers.Conflict, fmt.Errorf("one of that name belongs to project %q, this is %q", was, is), "give this project another name, or use --as"}
}

// pause waits a little before another process's work is looked at again.
func pause(ctx context.Context) error { return wait(ctx, 200*time.Millisecond) }

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// errTaken says that another Put defined the machine first.
var errTaken = errors.New("another call makes this machine")

// make creates the machine. After an error nothing of it is left.
func (p *provider) make(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (_ providers.Machine, err error) {
	g, err := p.newGuest(spec, ref)
	if err != nil {
		return providers.Machine{}, err
	}
	p.sayAccelerator(g.kvm, progress)
	step := func(detail string) error {
		progress.Emit(providers.Event{Subject: spec.Name, Stage: "create", Detail: detail})
		return ctx.Err()
	}
	if err := step("define"); err != nil {
		return providers.Machine{}, err
	}
	dom, err := p.claim(ctx, &g)
	if err != nil {
		return providers.Machine{}, err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	var fresh []string
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		// While the domain is there, nobody else makes this machine or takes its disks.
		if e := errors.Join(g.pool.removeAll(fresh), p.remove(ctx, g.uuid)); e != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", e))
		}
	}()
	if err := step("disk"); err != nil {
		return providers.Machine{}, err
	}
	if err := p.fill(ctx, g); err != nil {
		return providers.Machine{}, err
	}
	if fresh, err = p.putData(ctx, g); err != nil {
		return providers.Machine{}, err
	}
	if err := step("start"); err != nil {
		return providers.Machine{}, err
	}
	if err := p.boot(ctx, dom, &g.record, g.wire, spec.Labels); err != nil {
		return providers.Machine{}, err
	}
	if err := ctx.Err(); err != nil {
		return providers.Machine{}, err
	}
	g.record.Phase = made
	if err := p.note(dom, g.record); err != nil {
		return providers.Machine{}, err
	}
	p.log.Info("made machine", "machine", spec.Name, "env", spec.Env, "id", g.uuid)
	return domain{uuid: g.uuid, record: g.record, state: lv.DOMAIN_RUNNING}.machine(), nil
}

// newGuest gathers what the definition needs; nothing is made but the pool.
func (p *provider) newGuest(spec providers.Spec, ref providers.ImageRef) (guest, error) {
	i, ok := parseRef(ref)
	if !ok {
		return guest{}, fail(providers.Invalid, "image reference %q is not this provider's", ref)
	}
	pool, err := p.openPool()
	if err != nil {
		return guest{}, err
	}
	if whole, err := pool.hasImage(i); err != nil || !whole {
		return guest{}, cmp.Or(err, fail(providers.NotFound, "image %s is not stored here", ref))
	}
	data, err := p.planData(spec)
	if err != nil {
		return guest{}, err
	}
	w, err := p.planWire(spec.Env)
	if err != nil {
		return guest{}, err
	}
	spec.Seed.Data = slices.Clone(spec.Seed.Data)
	for i, d := range spec.Seed.Data {
		spec.Seed.Data[i].Device = dataDevice(d.Name)
	}
	return guest{uuid: newUUID(), spec: spec, record: newRecord(spec, ref), image: i, pool: pool, data: data, kvm: p.accelerated(), cloud: p.config.Seed == seedByCloud, wire: w}, nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return formatUUID(b, 4)
}

// fill makes the machine's own volumes.
func (p *provider) fill(ctx context.Context, g guest) error {
	base := g.image.volume(string(images.QCOW2))
	size, err := p.diskSize(ctx, g.pool, base)
	if err != nil {
		return err
	}
	disk := volume{name: g.volume(diskVolume), format: "qcow2", capacity: max(g.spec.Disk, size), mode: "0600", backing: g.pool.path(base)}
	if err := g.pool.make(disk); err != nil {
		return err
	}
	// A prune that looked before this disk was there has taken the mark away before it looked.
	if whole, err := g.pool.hasImage(g.image); err != nil || !whole {
		return cmp.Or(err, fail(providers.NotFound, "image %s was removed meanwhile", g.image.ref()))
	}
	if err := g.pool.make(volume{name: g.volume(consoleVolume), format: "raw", mode: "0600"}); err != nil {
		return err
	}
	return p.writeSeed(ctx, g)
}

// note writes the record to a domain, as it runs and as it is kept.
func (p *provider) note(dom *lv.Domain, r record) error {
	text, err := r.element()
	if err != nil {
		return err
	}
	active, err := dom.IsActive()
	if err != nil {
		return err
	}
	flags := lv.DOMAIN_AFFECT_CONFIG
	if active {
		flags |= lv.DOMAIN_AFFECT_LIVE
	}
	err = dom.SetMetadata(lv.DOMAIN_METADATA_ELEMENT, text, "evenkeel", namespace, flags)
	if active && is(err, lv.ERR_OPERATION_INVALID) { // it stopped between the two
		err = dom.SetMetadata(lv.DOMAIN_METADATA_ELEMENT, text, "evenkeel", namespace, lv.DOMAIN_AFFECT_CONFIG)
	}
	return err
}
