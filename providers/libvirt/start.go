// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// grace is how long a machine gets to shut itself down (providers.Starter).
const grace = 30 * time.Second

// askEvery is how often a machine is asked to shut down meanwhile.
const askEvery = 5 * time.Second

var errStillOn = errors.New("it was still on")

// boot starts a defined domain. What other processes may take between our looking and QEMU's doing, it looks for again: a loopback port, the
// private network that went with what was its last machine.
func (p *provider) boot(ctx context.Context, dom *lv.Domain, r *record, w wire, labels providers.Labels) error {
	const tries = 10
	var err error
	for range tries {
		if err := p.ensureWire(ctx, r.Env, labels, w); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := p.aim(dom, *r); err != nil {
			return err
		}
		err = dom.Create()
		started := err == nil || running(dom) // by another process, perhaps
		stands, e := p.wireStands(r.Env, w)
		if e != nil {
			return errors.Join(err, e)
		}
		moved := false
		if started {
			if moved, e = p.aim(dom, *r); e != nil {
				return errors.Join(err, e)
			}
		}
		lost, isPort := lostPort(err)
		switch {
		case started && stands && !moved:
			return nil
		case started:
			err = p.powerOff(dom) // its card is joined to nothing, or its data disk was restored at this moment
		case isPort:
			err = p.movePort(ctx, dom, r, lost)
		case !stands:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return fail(providers.Unavailable, "its ports or its network were taken away %d times", tries)
}

func running(dom *lv.Domain) bool {
	active, err := dom.IsActive()
	return err == nil && active
}

// movePort gives a forward that QEMU could not set up another loopback port, unless the user pinned it.
func (p *provider) movePort(ctx context.Context, dom *lv.Domain, r *record, lost hostPort) error {
	i := slices.IndexFunc(r.Ports, func(q port) bool { return q.Host == lost.port && q.Proto == lost.proto })
	if i < 0 {
		return fail(providers.Conflict, "loopback port %d/%s is in use", lost.port, lost.proto)
	}
	uuid, err := dom.GetUUIDString()
	if err != nil {
		return err
	}
	if r.Ports[i].Pinned {
		return &coded{
			providers.Conflict,
			fmt.Errorf("loopback port %d/%s, pinned for port %d, is in use", lost.port, lost.proto, r.Ports[i].Guest),
			"stop what listens there (ss -lntup), or pin another port under publish:",
		}
	}
	taken, err := p.claimed(ctx, uuid)
	if err != nil {
		return err
	}
	taken[lost] = true
	ports := slices.Clone(r.Ports)
	if ports[i].Host, err = freePort(r.Env, r.Name, ports[i], ports, taken, listening); err != nil {
		return err
	}
	p.log.Warn("loopback port was taken meanwhile, using another", "machine", r.Name, "port", lost.port, "instead", ports[i].Host)
	r.Ports = ports
	return p.redefine(dom, *r)
}

// redefine writes the record and its forwards to the kept definition; a running QEMU does not notice.
func (p *provider) redefine(dom *lv.Domain, r record) error {
	text, err := dom.GetXMLDesc(lv.DOMAIN_XML_INACTIVE | lv.DOMAIN_XML_SECURE)
	if err != nil {
		return err
	}
	if text, err = amend(text, r); err != nil {
		return err
	}
	d, err := p.conn.DomainDefineXML(text)
	if err != nil {
		return err
	}
	_ = d.Free() // the same domain
	saved, err := dom.HasManagedSaveImage(0)
	if err != nil || !saved {
		return err
	}
	// A suspended machine resumes by the definition that is kept with its memory.
	if text, err = dom.ManagedSaveGetXMLDesc(lv.DOMAIN_SAVE_IMAGE_XML_SECURE); err != nil {
		return err
	}
	if text, err = amend(text, r); err != nil {
		return err
	}
	return dom.ManagedSaveDefineXML(text, 0)
}

// adopt brings a whole machine that is there to what spec wants of it.
func (p *provider) adopt(ctx context.Context, d domain, spec providers.Spec, progress providers.Progress) (providers.Machine, error) {
	if d.record.Spec != spec.Digest() {
		return providers.Machine{}, &coded{
			providers.Conflict,
			errors.New("one of that name exists with other cpus, memory, disk or image"),
			"replace it: evenkeel up --replace",
		}
	}
	dom, err := p.conn.LookupDomainByUUIDString(d.uuid)
	if err != nil {
		return providers.Machine{}, err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	if err := p.publish(ctx, dom, &d, spec.Publish); err != nil {
		return providers.Machine{}, err
	}
	return p.run(ctx, dom, d)
}

// run brings a machine to running from any other state.
func (p *provider) run(ctx context.Context, dom *lv.Domain, d domain) (providers.Machine, error) {
	var err error
	switch d.state {
	case lv.DOMAIN_RUNNING, lv.DOMAIN_BLOCKED:
	case lv.DOMAIN_PAUSED:
		err = dom.Resume()
	case lv.DOMAIN_PMSUSPENDED:
		err = dom.PMWakeup(0)
	case lv.DOMAIN_SHUTDOWN:
		// It is on its way down: wait for the end and start it again.
		if err = p.stopped(ctx, dom, grace); err == nil {
			err = p.bootAgain(ctx, dom, &d)
		}
	default:
		err = p.bootAgain(ctx, dom, &d)
	}
	if err != nil {
		return providers.Machine{}, err
	}
	d.state = lv.DOMAIN_RUNNING
	return d.machine(), nil
}

// bootAgain starts a machine that was made before. A failed start leaves it stopped.
func (p *provider) bootAgain(ctx context.Context, dom *lv.Domain, d *domain) error {
	w, err := p.planWire(d.record.Env)
	if err != nil {
		return err
	}
	if err := p.boot(ctx, dom, &d.record, w, d.record.labels()); err != nil {
		return err
	}
	p.log.Info("started machine", "machine", d.record.Name, "env", d.record.Env)
	return nil
}

// StartMachine starts a stopped machine; one that runs is left alone.
func (p *provider) StartMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := p.startMachine(ctx, id)
	return m, p.wrapMachine("start", id, err)
}

func (p *provider) startMachine(ctx context.Context, id string) (providers.Machine, error) {
	if err := ctx.Err(); err != nil {
		return providers.Machine{}, err
	}
	dom, d, err := p.byID(id)
	if err != nil {
		return providers.Machine{}, err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	if d.record.Phase != made {
		return providers.Machine{}, &coded{providers.Conflict, errors.New("it is not whole"), "make it: evenkeel up"}
	}
	return p.run(ctx, dom, d)
}

// StopMachine asks the machine to shut down and takes its power after 30 s; a suspended one is resumed for it. Cancelled before, it leaves
// the machine shutting down.
func (p *provider) StopMachine(ctx context.Context, id string) error {
	return p.wrapMachine("stop", id, p.stopMachine(ctx, id))
}

func (p *provider) stopMachine(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dom, d, err := p.byID(id)
	if err != nil {
		return err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	if d.saved {
		// It is asked to shut down like any other, so that what it had in memory is not lost.
		if _, err := p.run(ctx, dom, d); err != nil {
			return err
		}
		d.state = lv.DOMAIN_RUNNING
	}
	if d.state == lv.DOMAIN_SHUTOFF || d.state == lv.DOMAIN_CRASHED {
		return nil
	}
	if d.state != lv.DOMAIN_PAUSED { // a paused one hears nothing
		err = p.shutDown(ctx, dom, d.record.Name)
		if err == nil || ctx.Err() != nil {
			return err
		}
		p.log.Warn("machine did not shut down, taking its power", "machine", d.record.Name, "after", grace)
	}
	return p.powerOff(dom)
}

// shutDown asks the machine to end until it is off, or grace is over. One that boots still does not hear it: it is asked again.
func (p *provider) shutDown(ctx context.Context, dom *lv.Domain, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, grace, fmt.Errorf("it was still on after %s", grace))
	defer cancel()
	for {
		if err := dom.Shutdown(); err != nil && running(dom) {
			p.log.Warn("cannot ask machine to shut down", "machine", name, "error", err)
		}
		err := p.stopped(ctx, dom, askEvery)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, errStillOn) {
			return err
		}
	}
}

func (p *provider) powerOff(dom *lv.Domain) error {
	if err := dom.Destroy(); err != nil && !is(err, lv.ERR_OPERATION_INVALID, lv.ERR_NO_DOMAIN) {
		return err
	}
	return nil
}

// stopped waits until the domain is off.
func (p *provider) stopped(ctx context.Context, dom *lv.Domain, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%w after %s", errStillOn, within))
	defer cancel()
	for {
		state, _, err := dom.GetState()
		if err != nil || state == lv.DOMAIN_SHUTOFF || state == lv.DOMAIN_CRASHED {
			return err
		}
		if pause(ctx) != nil {
			return context.Cause(ctx)
		}
	}
}
