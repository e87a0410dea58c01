// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"sync"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// DeleteMachine removes a machine. Killed in between, it leaves a Partial one.
func (p *provider) DeleteMachine(ctx context.Context, id string) error {
	return p.wrapMachine("delete", id, p.remove(ctx, id))
}

// remove takes a machine away, its domain last, since that is what the rest is found by. With an environment's last machine its network goes.
func (p *provider) remove(ctx context.Context, uuid string) error {
	owned := func(name string) bool { return uuid != "" && volumeOwner(name) == uuid }
	dom, d, err := p.byID(uuid)
	if err != nil {
		if code, _ := classify(err); code == providers.NotFound {
			return p.removeVolumes(ctx, owned) // its maker may have made one after another process took its domain away
		}
		return err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	if err := ctx.Err(); err != nil {
		return err
	}
	d.record.Phase = removing
	if err := p.note(dom, d.record); err != nil && persistent(dom) {
		return err
	}
	if err := p.powerOff(dom); err != nil {
		return err
	}
	if err := p.removeVolumes(ctx, owned); err != nil {
		return err
	}
	if err := undefine(dom); err != nil {
		return err
	}
	// Its maker, if one is still at it, may have started it since: without a definition it lives as long as its power is on.
	if err := p.powerOff(dom); err != nil {
		return err
	}
	p.log.Info("removed machine", "machine", d.record.Name, "env", d.record.Env, "id", d.uuid)
	return p.removeEmptyWire(ctx, d.record.Env)
}

// persistent is false where the domain is gone, or lives without a definition, to which nothing can be noted.
func persistent(dom *lv.Domain) bool {
	kept, err := dom.IsPersistent()
	return kept || err != nil && !is(err, lv.ERR_NO_DOMAIN)
}

func undefine(dom *lv.Domain) error {
	err := dom.UndefineFlags(lv.DOMAIN_UNDEFINE_MANAGED_SAVE | lv.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
	if err != nil && !persistent(dom) {
		return nil
	}
	return err
}

func (p *provider) removeEmptyWire(ctx context.Context, env string) error {
	left, err := p.domains(ctx, env)
	if err != nil || len(left) > 0 {
		return err
	}
	return p.removeWire(ctx, env)
}

// removeVolumes deletes the volumes that match, and what the console's log was rotated to, which the pool learns of by looking again.
func (p *provider) removeVolumes(ctx context.Context, match func(name string) bool) error {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return err
	}
	looked, err := pool.refresh(ctx)
	if err != nil {
		return err
	}
	if !looked {
		p.log.Warn("storage pool is busy: a log that was rotated may stay behind until the next down or gc", "pool", p.config.Pool)
	}
	names, err := pool.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if !match(n) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := pool.remove(n); err != nil {
			return fmt.Errorf("volume %s: %w", n, err)
		}
	}
	return nil
}

// DeleteEnv removes every object of the environment: machines, volumes that dead runs left, the network, and data disks with their
// snapshots unless keepData.
func (p *provider) DeleteEnv(ctx context.Context, env string, keepData bool) error {
	return wrap("delete", "environment "+env, p.deleteEnv(ctx, env, keepData))
}

func (p *provider) deleteEnv(ctx context.Context, env string, keepData bool) error {
	list, err := p.domains(ctx, env)
	if err != nil {
		return err
	}
	// At once, since QEMU takes a second or two to end.
	errs := make([]error, len(list))
	var work sync.WaitGroup
	for i, d := range list {
		work.Go(func() {
			if err := p.remove(ctx, d.uuid); err != nil {
				errs[i] = fmt.Errorf("machine %s: %w", d.record.Name, err)
			}
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// A machine that another process makes at this moment keeps its volumes.
	left, err := p.domains(ctx, env)
	if err != nil {
		return err
	}
	owned, named := map[string]bool{}, map[string]bool{}
	for _, d := range left {
		owned[d.uuid], named[d.record.Name] = true, true
	}
	err = p.removeVolumes(ctx, func(name string) bool {
		if d, ok := dataOf(name); ok {
			return !keepData && d.Env == env && !named[d.Machine]
		}
		e, machine, ours := parseName(name)
		return ours && e == env && machine != "" && !owned[volumeOwner(name)]
	})
	if err != nil || len(left) > 0 {
		return err
	}
	return p.removeWire(ctx, env)
}
