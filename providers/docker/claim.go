// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"

	"github.com/containerd/errdefs"

	"github.com/evenkeel/evenkeel/providers"
)

// claim creates the container under an address nobody else has. The name is the daemon's to keep unique: of two at once, one gets errTaken. The address
// is not, so everybody looks again, and whoever sees it twice takes another: of two that chose one address at least the later one does.
func (p *provider) claim(ctx context.Context, g *guest) (id string, err error) {
	sub, err := subnet(g.network)
	if err != nil {
		return "", err
	}
	there, err := p.look(ctx, g.spec.Env)
	if err != nil {
		return "", err
	}
	pick := func(int) int { return 0 }
	for range maxTries {
		address, err := chooseSlot(sub, there.machines, id, pick)
		if err != nil {
			return id, err
		}
		g.address = address.String()
		if id == "" {
			id, err = p.createContainer(ctx, *g)
		} else {
			err = p.moveContainer(ctx, id, *g)
		}
		if err != nil {
			return id, err
		}
		if err := ctx.Err(); err != nil {
			return id, err
		}
		if there, err = p.look(ctx, g.spec.Env); err != nil {
			return id, err
		}
		if !taken(there.machines, id, g.address) {
			return id, nil
		}
		pick = mathrand.IntN
	}
	return id, errTaken
}

func (p *provider) createContainer(ctx context.Context, g guest) (string, error) {
	name := containerName(g.spec.Env, g.spec.Name)
	c, h, n := g.configs()
	hold, cancel := steady(ctx)
	defer cancel()
	made, err := p.ContainerCreate(hold, c, h, n, nil, name)
	switch {
	case err == nil:
		return made.ID, nil
	case errdefs.IsConflict(err) && says(err, "is already in use by container"):
		there, e := p.ContainerInspect(hold, name)
		if e == nil && (there.Config == nil || there.Config.Labels[labelKind] != kindMachine) {
			return "", &coded{providers.Conflict, fmt.Errorf("there is a container %s that is not ours: it has none of our labels", name), "docker rm " + name}
		}
		return "", errTaken
	case isNetworkGone(err):
		return "", errNoNetwork
	case errdefs.IsNotFound(err):
		return "", fail(providers.NotFound, "%v", plain(err))
	}
	return "", err
}

// moveContainer gives a container that was never started another address.
func (p *provider) moveContainer(ctx context.Context, id string, g guest) error {
	hold, cancel := steady(ctx)
	defer cancel()
	if err := p.NetworkDisconnect(hold, handle(g.network), id, true); err != nil {
		return err
	}
	return p.NetworkConnect(hold, handle(g.network), id, endpointAt(g.address))
}
