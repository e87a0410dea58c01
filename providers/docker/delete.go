// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"github.com/evenkeel/evenkeel/providers"
)

// DeleteMachine removes a machine.
func (p *provider) DeleteMachine(ctx context.Context, id string) error {
	return p.wrapMachine(ctx, "delete", id, p.deleteMachine(ctx, id))
}

func (p *provider) deleteMachine(ctx context.Context, id string) error {
	b, _, err := p.byID(ctx, id)
	if err != nil {
		if code, _ := classify(err); code == providers.NotFound {
			return nil
		}
		return err
	}
	return p.remove(ctx, b.env(), id)
}

// remove takes a machine away, its container last, since that is what the rest is found by. With an environment's last machine its network goes.
func (p *provider) remove(ctx context.Context, env, id string) error {
	if err := p.removeForwards(ctx, env, id); err != nil {
		return err
	}
	if err := p.removeContainer(ctx, id); err != nil {
		return err
	}
	p.log.Info("removed machine", "env", env, "id", id)
	return p.removeEmptyNetwork(ctx, env)
}

// removeForwards removes what forwards to a machine.
func (p *provider) removeForwards(ctx context.Context, env, id string) error {
	there, err := p.look(ctx, env)
	if err != nil {
		return err
	}
	return p.removeBoxes(ctx, there.forwardsOf(id))
}

// removeBoxes removes containers, at once.
func (p *provider) removeBoxes(ctx context.Context, boxes []box) error {
	return p.removeEach(boxes, func(b box) error { return p.removeContainer(ctx, b.ID) })
}

func (p *provider) removeEach(boxes []box, remove func(box) error) error {
	errs := make([]error, len(boxes))
	var work sync.WaitGroup
	for i, b := range boxes {
		work.Go(func() {
			if err := remove(b); err != nil {
				errs[i] = fmt.Errorf("container of %s: %w", b.name(), err)
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// DeleteEnv removes every object of the environment: machines, what forwards to them, the network, what dead runs left of disks, and data disks unless
// keepData.
func (p *provider) DeleteEnv(ctx context.Context, env string, keepData bool) error {
	return wrap("delete", "environment "+env, p.deleteEnv(ctx, env, keepData))
}

func (p *provider) deleteEnv(ctx context.Context, env string, keepData bool) error {
	there, err := p.look(ctx, env)
	if err != nil {
		return err
	}
	networks, err := p.networks(ctx, env)
	if err != nil {
		return err
	}
	if err := p.removeWithNetworks(ctx, append(there.machines, there.forwards...), networks); err != nil {
		return err
	}
	// A machine that another process makes at this moment keeps its disks.
	left, err := p.look(ctx, env)
	if err != nil {
		return err
	}
	disks, err := p.disks(ctx, env)
	if err != nil {
		return err
	}
	for _, d := range disks {
		if left.find(d.ref.Machine) != nil || d.size > 0 && keepData {
			continue
		}
		if err := p.removeDisk(ctx, d); err != nil && !errdefs.IsConflict(err) { // a container that is made at this moment has it
			return err
		}
	}
	if len(left.machines) > 0 {
		return nil
	}
	return p.removeNetworks(ctx, env)
}

// removeWithNetworks removes containers and networks at once, after it has taken the containers off: each takes the daemon a while, and a container's end lets go of its
// network only late. What is left of the networks is for removeNetworks.
func (p *provider) removeWithNetworks(ctx context.Context, boxes []box, networks []network.Summary) error {
	var work, off sync.WaitGroup
	off.Add(len(boxes))
	work.Go(func() {
		off.Wait()
		for _, n := range networks {
			work.Go(func() { _ = p.NetworkRemove(ctx, n.ID) }) // whatever is wrong will be so once more
		}
	})
	err := p.removeEach(boxes, func(b box) error {
		err := p.takeOff(ctx, b)
		off.Done()
		if err != nil { // its end does it, too
			return p.removeContainer(ctx, b.ID)
		}
		return p.removeInTurn(ctx, b.ID)
	})
	work.Wait()
	return err
}

// takeOff takes a container off its network.
func (p *provider) takeOff(ctx context.Context, b box) error {
	e := b.endpoint()
	if e == nil || !b.joined() {
		return nil
	}
	done, err := p.turns.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.NetworkDisconnect(ctx, e.NetworkID, b.ID, true)
}
