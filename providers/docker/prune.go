// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/evenkeel/evenkeel/providers"
)

// ListImages lists images of ours by reference.
func (p *provider) ListImages(ctx context.Context) ([]providers.StoredImage, error) {
	list, err := p.listImages(ctx)
	return list, wrap("list", "images", err)
}

func (p *provider) listImages(ctx context.Context) ([]providers.StoredImage, error) {
	stored, err := p.stored(ctx)
	if err != nil {
		return nil, err
	}
	// Containers of anybody's: who runs one by hand uses it too.
	all, err := p.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	list := make([]providers.StoredImage, 0, len(stored))
	for _, i := range stored {
		used := slices.ContainsFunc(all, func(c container.Summary) bool { return c.ImageID == i.ID })
		list = append(list, providers.StoredImage{Ref: providers.ImageRef(i.ID), Key: i.Labels[labelKey], Size: i.Size, InUse: used})
	}
	slices.SortFunc(list, func(a, b providers.StoredImage) int { return cmp.Compare(a.Ref, b.Ref) })
	return list, nil
}

// DeleteImage removes an image with all its names. The daemon refuses one that a container is made of, also where that is made at this moment.
func (p *provider) DeleteImage(ctx context.Context, ref providers.ImageRef) error {
	return wrap("delete", "image "+string(ref), p.deleteImage(ctx, ref))
}

func (p *provider) deleteImage(ctx context.Context, ref providers.ImageRef) error {
	stored, err := p.stored(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(stored, func(s image.Summary) bool { return s.ID == string(ref) })
	if i < 0 {
		return nil // whatever it names, it is no image of ours here
	}
	all, err := p.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(c container.Summary) bool { return c.ImageID == stored[i].ID }) {
		return fail(providers.Conflict, "machines use it")
	}
	// By its names, each of which only takes the name unless it is the last: so nothing has to be forced.
	names := slices.DeleteFunc(slices.Clone(stored[i].RepoTags), func(n string) bool { return strings.HasPrefix(n, "<none>") })
	if len(names) == 0 {
		names = []string{stored[i].ID}
	}
	for _, n := range names {
		_, err := p.ImageRemove(ctx, n, image.RemoveOptions{PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) {
			if errdefs.IsConflict(err) {
				return fail(providers.Conflict, "machines use it: %v", plain(err))
			}
			return err
		}
	}
	return nil
}
