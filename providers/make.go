// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// contacted is a machine with a verified connection to it.
type contacted struct {
	Machine
	client *ssh.Client
	ours   bool // made by this call, not found or made by another run
}

// imageRefs brings each image to the place once, whichever machine asks first. It belongs to one run of a verb.
type imageRefs struct {
	core *Core
	mu   sync.Mutex
	refs map[string]*placedImage
}

type placedImage struct {
	once  sync.Once
	image images.Image
	ref   ImageRef
	err   error
}

// get refuses an image that m has no room for.
func (r *imageRefs) get(ctx context.Context, m envs.Machine) (images.Image, ImageRef, error) {
	r.mu.Lock()
	p := r.refs[m.Image]
	if p == nil {
		p = &placedImage{}
		r.refs[m.Image] = p
	}
	r.mu.Unlock()
	p.once.Do(func() { p.image, p.ref, p.err = r.place(ctx, m) })
	if p.err == nil && m.Disk < p.image.DiskSize {
		return p.image, p.ref, &Error{
			Code: Invalid, Op: "create", Subject: "machine " + m.Name, Hint: "raise disk: in env.yaml",
			Err: fmt.Errorf("its disk is %d MiB, its image needs at least %d MiB", m.Disk>>20, p.image.DiskSize>>20),
		}
	}
	return p.image, p.ref, p.err
}

func (r *imageRefs) place(ctx context.Context, m envs.Machine) (images.Image, ImageRef, error) {
	c := r.core
	image := images.Image{Key: m.ImageKey}
	if len(c.Plugin.Formats) > 0 {
		var err error
		if image, err = c.Image(ctx, m.Image, c.Progress); err != nil {
			return image, "", err
		}
	}
	if m.ImageKey != "" && image.Key != m.ImageKey {
		return image, "", fmt.Errorf("cannot use image of %s: its key is %.12s but the plan wants %.12s: a file it is made of changed meanwhile", m.Image, image.Key, m.ImageKey)
	}
	ref, err := c.Provider.PutImage(ctx, image, c.Progress)
	return image, ref, err
}

// make creates one machine for the role of m, as spec has it, and contacts it. After an error the machine is gone, unless it is another run's.
func (c *Core) make(ctx context.Context, m envs.Machine, spec Spec, refs *imageRefs) (contacted, error) {
	var image images.Image
	var ref ImageRef
	err := c.stage(ctx, m.Name, StageImage, func() (err error) {
		image, ref, err = refs.get(ctx, m)
		return err
	})
	if err != nil {
		return contacted{}, err
	}
	var made Machine
	var ca *ssh.HostCA
	err = c.stage(ctx, m.Name, StageCreate, func() error {
		spec.ImageKey = image.Key
		spec.Labels[LabelImageKey], spec.Labels[LabelSpec] = image.Key, spec.Digest()
		if image.Digest != "" {
			spec.Labels[LabelImageDigest] = image.Digest
		}
		var err error
		if spec.Seed, ca, err = c.newSeed(m); err != nil {
			return err
		}
		spec.Labels[LabelHostCA] = ca.PublicKey()
		made, err = c.Provider.PutMachine(ctx, spec, ref, c.Progress)
		return err
	})
	if err != nil {
		return contacted{}, err
	}
	ours := made.Labels[LabelHostCA] == ca.PublicKey()
	client, err := c.bootAndContact(ctx, made, ca)
	if err != nil {
		if ours {
			err = errors.Join(err, c.remove(ctx, made))
		}
		return contacted{}, err
	}
	return contacted{made, client, ours}, nil
}

// bootAndContact waits for the machine's first (or next) answer within the deadline.
func (c *Core) bootAndContact(ctx context.Context, m Machine, ca *ssh.HostCA) (*ssh.Client, error) {
	var client *ssh.Client
	err := c.stage(ctx, m.Name, StageBoot, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, c.deadline(), fmt.Errorf("no SSH answer within %s", c.deadline()))
		defer cancel()
		var err error
		client, err = c.contact(ctx, m, ca)
		return err
	})
	if err != nil {
		c.addConsole(ctx, err, m.ID)
	}
	return client, err
}

// remove deletes a machine under a fresh timeout.
func (c *Core) remove(ctx context.Context, m Machine) error {
	ctx, cancel := undo(ctx)
	defer cancel()
	c.Progress.Emit(Event{Subject: m.Role(), Stage: "undo"})
	return c.Provider.DeleteMachine(ctx, m.ID)
}
