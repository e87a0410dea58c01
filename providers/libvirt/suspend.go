// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"sync"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// SuspendMachine writes the machine's memory to this computer's disk (libvirt's managed save) and takes its power, so it outlives a reboot
// of this computer. Cancelled before that is done, the machine runs on.
func (p *provider) SuspendMachine(ctx context.Context, id string) error {
	return p.wrapMachine("suspend", id, p.suspend(ctx, id))
}

func (p *provider) suspend(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dom, d, err := p.byID(id)
	if err != nil {
		return err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	switch {
	case d.record.Phase != made:
		return &coded{providers.Conflict, errors.New("it is not whole"), "make it: evenkeel up"}
	case d.saved:
		return nil
	case d.state == lv.DOMAIN_SHUTOFF || d.state == lv.DOMAIN_CRASHED:
		return &coded{providers.Conflict, errors.New("it is stopped"), "start it first: evenkeel start " + d.record.Name}
	case d.state == lv.DOMAIN_SHUTDOWN:
		return fail(providers.Conflict, "it is shutting down")
	}
	if err := save(ctx, dom); err != nil {
		if saved, e := dom.HasManagedSaveImage(0); e == nil && saved {
			return nil // by another call
		}
		return err
	}
	p.log.Info("suspended machine", "machine", d.record.Name, "env", d.record.Env)
	return nil
}

// save keeps the memory. libvirt knows no contexts: what ends ctx ends its job.
func save(ctx context.Context, dom *lv.Domain) error {
	var watch sync.WaitGroup
	done := make(chan struct{})
	watch.Go(func() {
		select {
		case <-ctx.Done():
			_ = dom.AbortJob() // too late where it is done by now
		case <-done:
		}
	})
	// A paused machine is to run when it is resumed, as any other.
	err := dom.ManagedSave(lv.DOMAIN_SAVE_RUNNING)
	close(done)
	watch.Wait()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ResumeMachine starts a machine from its kept memory; one that runs is left alone.
func (p *provider) ResumeMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := p.resume(ctx, id)
	return m, p.wrapMachine("resume", id, err)
}

func (p *provider) resume(ctx context.Context, id string) (providers.Machine, error) {
	if err := ctx.Err(); err != nil {
		return providers.Machine{}, err
	}
	dom, d, err := p.byID(id)
	if err != nil {
		return providers.Machine{}, err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	switch d.machine().State {
	case providers.Running, providers.Suspended:
		return p.run(ctx, dom, d)
	case providers.Stopped:
		return providers.Machine{}, &coded{providers.Conflict, errors.New("it is stopped, no memory of it is kept"), "start it: evenkeel start " + d.record.Name}
	}
	return providers.Machine{}, &coded{providers.Conflict, errors.New("it is not whole"), "make it: evenkeel up"}
}
