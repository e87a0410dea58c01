// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/evenkeel/evenkeel/providers"
)

// undoTime bounds taking back what a cancelled or failed call made.
const undoTime = 45 * time.Second

func (p *provider) PutMachine(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	m, err := p.putMachine(ctx, spec, ref, progress)
	return m, wrap("create", "machine "+spec.Name, err)
}

func (p *provider) putMachine(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	if err := p.validate(ctx, spec); err != nil {
		return providers.Machine{}, err
	}
	told, tries := false, 0
	for {
		if err := ctx.Err(); err != nil {
			return providers.Machine{}, err
		}
		there, err := p.look(ctx, spec.Env)
		if err != nil {
			return providers.Machine{}, err
		}
		found := there.find(spec.Name)
		if found == nil {
			m, err := p.make(ctx, spec, ref, progress)
			if (errors.Is(err, errTaken) || err != nil && isNetworkGone(err)) && tries < maxTries {
				tries++
				if err := pause(ctx); err != nil {
					return providers.Machine{}, err
				}
				continue
			}
			return m, err
		}
		if err := sameProject(*found, spec); err != nil {
			return providers.Machine{}, err
		}
		switch p.state(*found) {
		case providers.Partial:
			p.log.Info("removing what a dead run left", "machine", spec.Name, "id", found.ID)
			err = p.remove(ctx, spec.Env, found.ID)
		case providers.Unknown:
			if !told {
				told = true
				progress.Emit(providers.Event{Subject: spec.Name, Stage: "create", Detail: "waiting for another run that makes it"})
			}
			err = pause(ctx)
		default:
			return p.adopt(ctx, *found, spec)
		}
		if err != nil {
			return providers.Machine{}, err
		}
	}
}

// maxTries is how often what others take away meanwhile is tried again: an address, the network, a port.
const maxTries = 20

// errTaken says that another call was quicker: look again.
var errTaken = errors.New("another call took what it needs")

// errNoNetwork: errTaken, and it is the network.
var errNoNetwork = fmt.Errorf("%w: its network is not there", errTaken)

// pause waits a little before another process's work is looked at again.
func pause(ctx context.Context) error {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// validate refuses what can never be.
func (p *provider) validate(ctx context.Context, spec providers.Spec) error {
	if err := spec.Validate(); err != nil {
		return &coded{providers.Invalid, err, ""}
	}
	for _, q := range spec.Publish {
		if !isPort(q.Port) || q.HostPort < 0 || q.HostPort > 65535 || q.Proto != "tcp" && q.Proto != "udp" {
			return fail(providers.Invalid, "port %d/%s published at %d: ports are 1 to 65535, tcp or udp", q.Port, q.Proto, q.HostPort)
		}
	}
	host, err := p.host(ctx)
	switch {
	case err != nil:
		return err
	case host.MemTotal > 0 && spec.Memory > host.MemTotal:
		return &coded{
			providers.Exhausted,
			fmt.Errorf("memory is %d MiB, docker's computer has %d MiB", spec.Memory>>20, host.MemTotal>>20),
			"lower memory: in env.yaml, or for this computer alone in env.local.yaml",
		}
	case host.NCPU > 0 && spec.CPUs > host.NCPU:
		return &coded{
			providers.Exhausted,
			fmt.Errorf("cpus is %d, docker's computer has %d, and a container no more than that", spec.CPUs, host.NCPU),
			"lower cpus: in env.yaml, or for this computer alone in env.local.yaml",
		}
	}
	if why, remedy := unlimited(host); why != "" {
		return &coded{providers.Unsupported, errors.New(why), remedy}
	}
	return bootable(spec.Systemd, host.CgroupVersion)
}

func sameProject(b box, spec providers.Spec) error {
	was, is := coreLabels(b.Labels)[providers.LabelProject], spec.Labels[providers.LabelProject]
	if was == is {
		return nil
	}
	return &coded{providers.Conflict, fmt.Errorf("one of that name belongs to project %q, this is %q", was, is), "give this project another name, or use --as"}
}

// boot starts the machine's container: its last deed, after which it is whole.
func (p *provider) boot(ctx context.Context, id string) error {
	done, err := p.turns.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	hold, cancel := steady(ctx)
	defer cancel()
	err = p.ContainerStart(hold, id, container.StartOptions{})
	if err != nil && (says(err, "Address already in use") || isNetworkGone(err)) {
		return fmt.Errorf("%w: %w", errTaken, err)
	}
	return err
}

// isNetworkGone reports that the network went, with what was its environment's last machine, between two steps.
func isNetworkGone(err error) bool {
	return says(err, "network ") && says(err, "not found", "is ambiguous")
}

// now is the machine as the daemon has it at this moment.
func (p *provider) now(ctx context.Context, env, id string) (providers.Machine, error) {
	there, err := p.look(ctx, env)
	if err != nil {
		return providers.Machine{}, err
	}
	for _, b := range there.machines {
		if b.ID != id {
			continue
		}
		m := p.machine(b, there)
		if m.State == providers.Stopped {
			return m, fail(providers.Internal, "its first process ended at once: %s", p.lastWords(ctx, id))
		}
		return m, nil
	}
	return providers.Machine{}, fail(providers.Unavailable, "it was removed meanwhile")
}
