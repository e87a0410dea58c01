// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/containerd/errdefs"

	"github.com/evenkeel/evenkeel/internal/maker"
	"github.com/evenkeel/evenkeel/providers"
)

// box is a container as the daemon lists it.
type box struct{ container.Summary }

func (b box) env() string  { return b.Labels[labelEnv] }
func (b box) name() string { return b.Labels[labelName] }

func (b box) running() bool { return b.State == container.StateRunning }

// joined: it is on its network, as it is from its start to its end.
func (b box) joined() bool {
	switch b.State {
	case container.StateCreated, container.StateExited, container.StateDead:
		return false
	}
	return true
}

// endpoint is the container's place in its environment's network, or nil.
func (b box) endpoint() *network.EndpointSettings {
	if b.NetworkSettings == nil {
		return nil
	}
	for _, e := range b.NetworkSettings.Networks {
		if e != nil {
			return e
		}
	}
	return nil
}

// at is the container's address, running or not.
func (b box) at() string {
	e := b.endpoint()
	switch {
	case e == nil:
		return ""
	case e.IPAMConfig != nil && e.IPAMConfig.IPv4Address != "":
		return e.IPAMConfig.IPv4Address
	}
	return e.IPAddress
}

// place is all containers of an environment, or of all.
type place struct {
	machines []box // by environment and name
	forwards []box
}

// look lists the containers of an environment, or of all where env is "". It costs one call.
func (p *provider) look(ctx context.Context, env string) (place, error) {
	all, err := p.ContainerList(ctx, container.ListOptions{All: true, Filters: byLabels(env, "")})
	if err != nil {
		return place{}, err
	}
	var there place
	for _, c := range all {
		switch b := (box{c}); c.Labels[labelKind] {
		case kindMachine:
			there.machines = append(there.machines, b)
		case kindForwards:
			there.forwards = append(there.forwards, b)
		}
	}
	slices.SortFunc(there.machines, func(a, b box) int {
		return cmp.Or(cmp.Compare(a.env(), b.env()), cmp.Compare(a.name(), b.name()))
	})
	slices.SortFunc(there.forwards, func(a, b box) int { return cmp.Compare(a.ID, b.ID) })
	return there, nil
}

// find is the machine of that name, or nil.
func (l place) find(name string) *box {
	i := slices.IndexFunc(l.machines, func(b box) bool { return b.name() == name })
	if i < 0 {
		return nil
	}
	return &l.machines[i]
}

// forwardsOf are those of a machine by its ID.
func (l place) forwardsOf(id string) []box {
	return slices.DeleteFunc(slices.Clone(l.forwards), func(b box) bool { return b.Labels[labelMachine] != id })
}

func (p *provider) state(b box) providers.State {
	switch b.State {
	case container.StateRunning, container.StateRestarting:
		return providers.Running
	case container.StateExited, container.StatePaused: // nobody of ours pauses one; it is started like a stopped one
		return providers.Stopped
	case container.StateRemoving, container.StateDead:
		return providers.Partial
	case container.StateCreated:
		if maker.Alive(b.Labels[labelMaker], b.Labels[labelMade], p.abroad) {
			return providers.Unknown // somebody is at it now
		}
		return providers.Partial
	}
	return providers.Unknown
}

func (p *provider) machine(b box, there place) providers.Machine {
	m := providers.Machine{
		ID: b.ID, Env: b.env(), Name: b.name(), State: p.state(b), Labels: coreLabels(b.Labels), Created: madeAt(b.Labels), Address: b.at(),
	}
	if e := b.endpoint(); m.State == providers.Running && e != nil && near(e.NetworkID) && m.Address != "" {
		m.SSH = net.JoinHostPort(m.Address, sshPort)
	}
	for _, f := range there.forwardsOf(b.ID) {
		for _, q := range parsePorts(f.Labels[labelPorts]) {
			m.Ports = append(m.Ports, providers.Port{Port: q.Inside, Proto: q.Proto, HostPort: q.Host})
		}
	}
	slices.SortFunc(m.Ports, func(a, b providers.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.HostPort, b.HostPort))
	})
	// The volumes are mounted before systemd starts.
	for _, name := range strings.Fields(b.Labels[labelDisks]) {
		m.Data = append(m.Data, providers.Attached{Name: name})
	}
	return m
}

func (p *provider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	there, err := p.look(ctx, env)
	if err != nil {
		return nil, wrap("list", "machines of "+env, err)
	}
	machines := make([]providers.Machine, len(there.machines))
	for i, b := range there.machines {
		machines[i] = p.machine(b, there)
	}
	return machines, nil
}

// byID is the machine with that ID and all of its environment, or NotFound.
func (p *provider) byID(ctx context.Context, id string) (box, place, error) {
	if !isHex(id) {
		return box{}, place{}, fail(providers.NotFound, "it is no ID of this provider's")
	}
	c, err := p.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) || err == nil && (c.Config == nil || c.Config.Labels[labelKind] != kindMachine || c.ID != id) {
		return box{}, place{}, fail(providers.NotFound, "there is no machine of ours with this ID")
	}
	if err != nil {
		return box{}, place{}, err
	}
	there, err := p.look(ctx, c.Config.Labels[labelEnv])
	if err != nil {
		return box{}, place{}, err
	}
	for _, b := range there.machines {
		if b.ID == id {
			return b, there, nil
		}
	}
	return box{}, place{}, fail(providers.NotFound, "it was removed meanwhile")
}

// wrapMachine is wrap for a machine that the caller knows by ID, which tells a person nothing.
func (p *provider) wrapMachine(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	subject := "machine " + id
	if _, known := errors.AsType[*providers.Error](err); known {
		return err
	}
	ctx, cancel := steady(ctx)
	defer cancel()
	if b, _, e := p.byID(ctx, id); e == nil {
		subject = "machine " + b.name()
	}
	return wrap(op, subject, err)
}
