// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/providers"
)

// make creates the machine. After an error nothing of it is left.
func (p *provider) make(ctx context.Context, spec providers.Spec, ref providers.ImageRef, progress providers.Progress) (_ providers.Machine, err error) {
	step := func(detail string) error {
		progress.Emit(providers.Event{Subject: spec.Name, Stage: "create", Detail: detail})
		return ctx.Err()
	}
	g := guest{spec: spec, image: string(ref)}
	if g.host, err = p.host(ctx); err != nil {
		return providers.Machine{}, err
	}
	if err := p.haveImage(ctx, g); err != nil {
		return providers.Machine{}, err
	}
	if g.data, err = p.planData(ctx, spec); err != nil {
		return providers.Machine{}, err
	}
	if g.network, err = p.planNetwork(ctx, spec.Env); err != nil {
		return providers.Machine{}, err
	}
	if err := step("network and container"); err != nil {
		return providers.Machine{}, err
	}
	id := ""
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		var undo []error
		if id != "" {
			undo = append(undo, p.removeForwards(ctx, spec.Env, id), p.removeContainer(ctx, id), p.removeFresh(ctx, spec, g.data))
		}
		undo = append(undo, p.removeEmptyNetwork(ctx, spec.Env))
		if e := errors.Join(undo...); e != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", e))
		}
	}()
	if id, err = p.prepare(ctx, g, step); err != nil {
		return providers.Machine{}, err
	}
	if err := step("start"); err != nil {
		return providers.Machine{}, err
	}
	if err := p.boot(ctx, id); err != nil {
		return providers.Machine{}, err
	}
	if err := ctx.Err(); err != nil {
		return providers.Machine{}, err
	}
	p.log.Info("made machine", "machine", spec.Name, "env", spec.Env, "id", id)
	return p.now(ctx, spec.Env, id)
}

// haveImage wants the reference to be an image of ours that starts here.
func (p *provider) haveImage(ctx context.Context, g guest) error {
	if !strings.HasPrefix(g.image, "sha256:") || !isHex(strings.TrimPrefix(g.image, "sha256:")) {
		return fail(providers.Invalid, "image reference %q is not this provider's", g.image)
	}
	img, err := p.ImageInspect(ctx, g.image)
	if errdefs.IsNotFound(err) || err == nil && (img.Config == nil || img.Config.Labels[labelKind] != kindImage) {
		return fail(providers.NotFound, "image %s is not stored here", g.image)
	}
	if err != nil {
		return err
	}
	return bootable(img.Config.Labels[labelSystemd], g.host.CgroupVersion)
}

// comingNetwork may still be on its way.
type comingNetwork struct {
	there   chan struct{} // closed when it is there
	network network.Summary
}

func (c *comingNetwork) wait(ctx context.Context) (network.Summary, error) {
	select {
	case <-c.there:
		return c.network, nil
	case <-ctx.Done():
		return network.Summary{}, ctx.Err()
	}
}

// prepare makes all that a machine needs before it is started, and returns its container, after an error too if there is one. Where the environment has no
// network yet, that is made while the container is created and filled, since the daemon takes as long for either: up to its first start a container only
// names its network.
func (p *provider) prepare(ctx context.Context, g guest, step func(string) error) (id string, err error) {
	planned := g.network
	coming := &comingNetwork{there: make(chan struct{})}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		if coming.network = planned; planned.ID == "" {
			if coming.network, err = p.ensureNetwork(ctx, g.spec); err != nil {
				return err
			}
			if !alike(coming.network, planned) {
				return errTaken // another run chose another one
			}
		}
		close(coming.there)
		return nil
	})
	work.Go(func() (err error) {
		id, err = p.claim(ctx, &g)
		if errors.Is(err, errNoNetwork) && planned.ID == "" { // this daemon wants it first
			if g.network, err = coming.wait(ctx); err == nil {
				id, err = p.claim(ctx, &g)
			}
		}
		if err != nil {
			return err
		}
		if err := step("seed"); err != nil {
			return err
		}
		return p.fill(ctx, id, g, coming)
	})
	err = work.Wait()
	return id, err
}

// fill lays the seed and makes the machine's other objects, at once.
func (p *provider) fill(ctx context.Context, id string, g guest, coming *comingNetwork) error {
	seed, err := g.seed()
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		return p.CopyToContainer(ctx, id, "/", bytes.NewReader(seed), container.CopyToContainerOptions{})
	})
	work.Go(func() error { return p.putData(ctx, g.spec, g.data) })
	work.Go(func() error { return p.publishFirst(ctx, id, g.spec, coming) })
	return work.Wait()
}

// publishFirst publishes the ports of a machine that was just created. A port that somebody takes at this moment gets another number, unless it is pinned.
func (p *provider) publishFirst(ctx context.Context, id string, spec providers.Spec, coming *comingNetwork) error {
	if len(spec.Publish) == 0 {
		return nil
	}
	n, err := coming.wait(ctx)
	if err != nil {
		return err
	}
	for range maxTries {
		there, e := p.look(ctx, spec.Env)
		if e != nil {
			return e
		}
		m := there.find(spec.Name)
		if m == nil || m.ID != id {
			return fail(providers.Unavailable, "it was removed meanwhile")
		}
		plan, e := p.planPorts(ctx, *m, spec.Env, spec.Name, spec.Publish, n.ID)
		if e != nil {
			return e
		}
		if err = p.publish(ctx, *m, plan, n); err == nil || !says(err, "in use", "already allocated") {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return err
}
