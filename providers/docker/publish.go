// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/evenkeel/evenkeel/providers"
)

// The daemon cannot change which ports of a container it publishes. So none of a machine's are: a container beside it, of the same image, publishes them
// and forwards. To change them on a running machine another one is made, or taken away; connections through ports that stay go on, unless they
// shared a container with one that goes.

// publishing is what has to be done to have the ports that are wanted.
type publishing struct {
	gone []box  // forwards to be removed
	make []port // ports that a new one forwards
	want []port
}

// planPorts finds out what has to be done, and changes nothing. m.ID is "" for a machine that is yet to be.
func (p *provider) planPorts(ctx context.Context, m box, env, name string, want []providers.Port, network string) (publishing, error) {
	all, err := p.look(ctx, "")
	if err != nil {
		return publishing{}, err
	}
	have := all.forwardsOf(m.ID)
	if m.ID == "" {
		have = nil
	}
	var had []port
	for _, f := range have {
		had = append(had, parsePorts(f.Labels[labelPorts])...)
	}
	host, err := p.host(ctx)
	if err != nil {
		return publishing{}, err
	}
	free := unheard
	switch {
	case near(network):
		free = listening
	case p.here(host):
		free = allowed
	}
	ports, err := choosePorts(env, name, want, had, claimed(all.forwards, m.ID), free)
	if err != nil {
		return publishing{}, err
	}
	return reconcile(have, ports), nil
}

// reconcile keeps every forward whose ports are all wanted.
func reconcile(have []box, want []port) publishing {
	plan := publishing{want: want, make: slices.Clone(want)}
	for _, f := range have {
		ports := parsePorts(f.Labels[labelPorts])
		whole := f.running() && !slices.ContainsFunc(ports, func(q port) bool { return !slices.Contains(plan.make, q) })
		if !whole {
			plan.gone = append(plan.gone, f)
			continue
		}
		plan.make = slices.DeleteFunc(plan.make, func(q port) bool { return slices.Contains(ports, q) })
	}
	return plan
}

// publish brings a machine's published ports to what is wanted. After an error they are what they were.
func (p *provider) publish(ctx context.Context, m box, plan publishing, n network.Summary) error {
	if err := ctx.Err(); err != nil || len(plan.gone) == 0 && len(plan.make) == 0 {
		return err
	}
	for _, f := range plan.gone {
		if err := p.removeContainer(ctx, f.ID); err != nil {
			return err
		}
	}
	made, err := p.forward(ctx, m, n, plan.make, true)
	if err == nil {
		p.log.Info("published ports", "machine", m.name(), "ports", portsText(plan.want))
		return nil
	}
	undo, cancel := steady(ctx)
	defer cancel()
	errs := []error{err}
	if made != "" {
		errs = append(errs, p.removeContainer(undo, made))
	}
	for _, f := range plan.gone { // of a machine at rest it only says which ports are its own
		if _, e := p.forward(undo, m, n, parsePorts(f.Labels[labelPorts]), f.running()); e != nil {
			errs = append(errs, fmt.Errorf("undo: %w", e))
		}
	}
	return errors.Join(errs...)
}

// forward makes a container that forwards ports, and says which; after an error too. With start it returns when the ports are forwarded.
func (p *provider) forward(ctx context.Context, m box, n network.Summary, ports []port, start bool) (string, error) {
	if len(ports) == 0 {
		return "", nil
	}
	c, h, e := p.forwards(m, m.at(), n, ports)
	hold, cancel := steady(ctx)
	defer cancel()
	made, err := p.ContainerCreate(hold, c, h, e, nil, forwardsName(m.env(), m.name()))
	if err != nil || !start {
		return made.ID, err
	}
	done, err := p.turns.take(ctx)
	if err != nil {
		return made.ID, err
	}
	err = p.ContainerStart(hold, made.ID, container.StartOptions{})
	done()
	if err != nil {
		return made.ID, lostPort(err, ports)
	}
	return made.ID, p.forwarding(ctx, made.ID)
}

// forwarding waits until the container says that it forwards. The daemon takes connections before that, and has nowhere to pass them on to.
func (p *provider) forwarding(ctx context.Context, id string) error {
	log, err := p.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // read only
	var said []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := log.Read(buf)
		if said = append(said, buf[:n]...); bytes.Contains(said, []byte("forwarding\n")) {
			return nil
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) || len(said) > 16<<10 {
			return fail(providers.Internal, "its ports are not forwarded: %s", strings.TrimSpace(providers.Printable(string(said))))
		}
		if err != nil {
			return err
		}
	}
}

// lostPort names the port that somebody took meanwhile.
func lostPort(err error, ports []port) error {
	if !says(err, "port is already allocated", "address already in use") {
		return err
	}
	for _, q := range ports {
		if says(err, fmt.Sprintf("127.0.0.1:%d", q.Host)) {
			return &coded{
				providers.Conflict, fmt.Errorf("loopback port %d/%s is in use", q.Host, q.Proto),
				"stop what listens there (ss -lntup), or pin another port under publish:",
			}
		}
	}
	return err
}

// removeContainer removes a container at once, running or not. Absent is success; a removal that somebody else began is waited for.
func (p *provider) removeContainer(ctx context.Context, id string) error {
	done, err := p.turns.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.removeInTurn(ctx, id)
}

// removeInTurn is removeContainer for who has a turn, or has taken the container off its network.
func (p *provider) removeInTurn(ctx context.Context, id string) error {
	for {
		err := p.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if !errdefs.IsConflict(err) || !says(err, "already in progress") {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}
