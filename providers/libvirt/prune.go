// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// ListImages lists images in the pool, broken uploads too: they take room like the others.
func (p *provider) ListImages(ctx context.Context) ([]providers.StoredImage, error) {
	list, err := p.listImages(ctx)
	return list, wrap("list", "images", err)
}

func (p *provider) listImages(ctx context.Context) ([]providers.StoredImage, error) {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return nil, err
	}
	names, err := pool.names()
	if err != nil {
		return nil, err
	}
	used, err := pool.imagesInUse(names)
	if err != nil {
		return nil, err
	}
	stored := map[image]*providers.StoredImage{}
	for _, n := range names {
		i, _, ok := parseImageVolume(n)
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if stored[i] == nil {
			stored[i] = &providers.StoredImage{Ref: i.ref(), Key: i.key, InUse: used[i]}
		}
		d, there, err := pool.describe(n)
		if err != nil {
			return nil, err
		}
		if there && d.Allocation != nil {
			stored[i].Size += int64(d.Allocation.Value)
		}
	}
	list := make([]providers.StoredImage, 0, len(stored))
	for _, s := range stored {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b providers.StoredImage) int { return cmp.Compare(a.Ref, b.Ref) })
	return list, nil
}

// imagesInUse finds the images that a disk of any machine stands on, ours or not.
func (p *pool) imagesInUse(names []string) (map[image]bool, error) {
	used := map[image]bool{}
	for _, n := range names {
		if _, _, ours := parseImageVolume(n); ours {
			continue
		}
		d, there, err := p.describe(n)
		if err != nil {
			return nil, err
		}
		if !there || d.BackingStore == nil {
			continue
		}
		if i, _, ok := parseImageVolume(filepath.Base(d.BackingStore.Path)); ok {
			used[i] = true
		}
	}
	return used, nil
}

// DeleteImage removes an image. It first takes the mark of completeness away and then looks for disks on it, while PutMachine first makes
// the disk and then looks for the mark: whichever comes second sees the other.
func (p *provider) DeleteImage(ctx context.Context, ref providers.ImageRef) error {
	return wrap("delete", "image "+string(ref), p.deleteImage(ctx, ref))
}

func (p *provider) deleteImage(ctx context.Context, ref providers.ImageRef) error {
	i, ok := parseRef(ref)
	if !ok {
		return nil // whatever it names, it is not here
	}
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	whole, err := pool.hasImage(i)
	if err != nil {
		return err
	}
	if err := pool.remove(i.volume(complete)); err != nil {
		return err
	}
	names, err := pool.names()
	if err != nil {
		return err
	}
	used, err := pool.imagesInUse(names)
	if err == nil && used[i] {
		err = fail(providers.Conflict, "machines use it")
	}
	if err != nil {
		if whole {
			if e := pool.make(volume{name: i.volume(complete), format: "raw", mode: "0644"}); e != nil && !is(e, lv.ERR_STORAGE_VOL_EXIST) {
				p.log.Warn("cannot restore the mark of an image; it will be stored again", "ref", ref, "error", e)
			}
		}
		return err
	}
	for _, f := range artefacts {
		if err := pool.remove(i.volume(string(f))); err != nil {
			return err
		}
	}
	return nil
}
