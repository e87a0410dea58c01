// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/evenkeel/evenkeel/providers"
)

// grace is how long a machine gets to shut itself down (providers.Starter).
const grace = 30 * time.Second

// adopt brings a whole machine that is there to what spec wants of it.
func (p *provider) adopt(ctx context.Context, b box, spec providers.Spec) (providers.Machine, error) {
	if b.Labels[labelSpec] != spec.Digest() {
		return providers.Machine{}, &coded{
			providers.Conflict,
			errors.New("one of that name exists with other cpus, memory, disk or image"),
			"replace it: evenkeel up --replace",
		}
	}
	n, err := p.networkOf(ctx, b)
	if err != nil {
		return providers.Machine{}, err
	}
	plan, err := p.planPorts(ctx, b, spec.Env, spec.Name, spec.Publish, n.ID)
	if err != nil {
		return providers.Machine{}, err
	}
	if err := p.publish(ctx, b, plan, n); err != nil {
		return providers.Machine{}, err
	}
	if err := p.run(ctx, b); err != nil {
		return providers.Machine{}, err
	}
	return p.now(ctx, spec.Env, b.ID)
}

// networkOf is the network of the machine's environment.
func (p *provider) networkOf(ctx context.Context, b box) (network.Summary, error) {
	list, err := p.networks(ctx, b.env())
	if err == nil && len(list) == 0 {
		err = &coded{providers.Conflict, errors.New("the network of its environment is gone"), "make it anew: evenkeel rebuild " + b.name()}
	}
	return first(list), err
}

// run brings a whole machine to running from any other state.
func (p *provider) run(ctx context.Context, b box) error {
	if b.State == container.StatePaused {
		return p.ContainerUnpause(ctx, b.ID)
	}
	if b.running() {
		return nil
	}
	if err := p.boot(ctx, b.ID); err != nil {
		return err
	}
	p.log.Info("started machine", "machine", b.name(), "env", b.env())
	return nil
}

// StartMachine starts a stopped machine; one that runs is left alone.
func (p *provider) StartMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := p.startMachine(ctx, id)
	return m, p.wrapMachine(ctx, "start", id, err)
}

func (p *provider) startMachine(ctx context.Context, id string) (providers.Machine, error) {
	b, there, err := p.byID(ctx, id)
	if err != nil {
		return providers.Machine{}, err
	}
	if s := p.state(b); s != providers.Running && s != providers.Stopped {
		return providers.Machine{}, &coded{providers.Conflict, errors.New("it is not whole"), "make it: evenkeel up"}
	}
	if have := there.forwardsOf(id); len(have) > 0 {
		n, err := p.networkOf(ctx, b)
		if err != nil {
			return providers.Machine{}, err
		}
		var want []port
		for _, f := range have {
			want = append(want, parsePorts(f.Labels[labelPorts])...)
		}
		if err := p.publish(ctx, b, reconcile(have, want), n); err != nil {
			return providers.Machine{}, err
		}
	}
	if err := p.run(ctx, b); err != nil {
		return providers.Machine{}, err
	}
	return p.now(ctx, b.env(), id)
}

// StopMachine asks the machine's systemd to halt; after 30 s the daemon ends it. Cancelled before, it leaves the machine shutting down.
func (p *provider) StopMachine(ctx context.Context, id string) error {
	return p.wrapMachine(ctx, "stop", id, p.stopMachine(ctx, id))
}

func (p *provider) stopMachine(ctx context.Context, id string) error {
	b, there, err := p.byID(ctx, id)
	if err != nil {
		return err
	}
	if b.State == container.StatePaused {
		if err := p.ContainerUnpause(ctx, id); err != nil {
			return err
		}
	}
	done, err := p.turns.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	seconds := int(grace.Seconds())
	if err := p.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil {
		return err
	}
	at := 0
	for _, f := range there.forwardsOf(id) {
		if err := p.ContainerStop(ctx, f.ID, container.StopOptions{Timeout: &at}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}
