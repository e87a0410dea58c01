// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// An image is a volume for each of these and one more, empty, that is made when they are whole: libvirt cannot rename volumes. Since the
// content is part of the names, two uploads at once write the same bytes to the same places, and a broken one is simply done again.
const complete = "complete"

var artefacts = []images.Format{images.QCOW2, images.Kernel, images.VMLinux, images.Initrd}

// imageOf names the volumes of img.
func imageOf(img images.Image) (image, error) {
	if !isHex(img.Key) {
		return image{}, fail(providers.Invalid, "its key %q is not hexadecimal", img.Key)
	}
	if img.Arch != "" && img.Arch != "amd64" {
		return image{}, fail(providers.Unsupported, "it is for %s; amd64 is supported", img.Arch)
	}
	h := sha256.New()
	for _, f := range artefacts {
		a, ok := img.Artefacts[f]
		if !ok {
			return image{}, fail(providers.Invalid, "it has no %s", f)
		}
		fmt.Fprintf(h, "%s %s %d\n", f, a.SHA256, a.Size)
	}
	return image{img.Key, hex.EncodeToString(h.Sum(nil)[:8])}, nil
}

func (p *provider) PutImage(ctx context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	ref, err := p.putImage(ctx, img, progress)
	return ref, wrap("store", "image "+img.Recipe, err)
}

func (p *provider) putImage(ctx context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	i, err := imageOf(img)
	if err != nil {
		return "", err
	}
	pool, err := p.openPool()
	if err != nil {
		return "", err
	}
	whole, err := pool.hasImage(i)
	if err != nil {
		return "", err
	}
	if whole {
		return i.ref(), nil
	}
	done, err := img.Artefacts[images.QCOW2].Alone(ctx, func() {
		progress.Emit(providers.Event{Subject: img.Recipe, Stage: "upload", Detail: "waiting for another run that stores it"})
	})
	if err != nil {
		return "", err
	}
	defer done()
	if whole, err := pool.hasImage(i); err != nil || whole { // the other run's
		return i.ref(), err
	}
	for _, f := range artefacts {
		if err := p.uploadArtefact(ctx, pool, i, img, f, progress); err != nil {
			return "", fmt.Errorf("%s: %w", f, err)
		}
	}
	if err := pool.make(volume{name: i.volume(complete), format: "raw", mode: "0644"}); err != nil && !is(err, lv.ERR_STORAGE_VOL_EXIST) {
		return "", err
	}
	// A prune at the same time may have taken a volume before the last one was made.
	if whole, err := pool.hasImage(i); err != nil || !whole {
		return "", cmp.Or(err, fail(providers.Unavailable, "it was removed while it was stored"))
	}
	p.log.Info("stored image", "recipe", img.Recipe, "ref", i.ref())
	return i.ref(), nil
}

// hasImage reports whether all volumes of the image are there and whole.
func (p *pool) hasImage(i image) (bool, error) {
	for _, kind := range append([]images.Format{complete}, artefacts...) {
		if ok, err := p.has(i.volume(string(kind))); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// uploadArtefact copies one artefact, and checks that it is what the image says.
func (p *provider) uploadArtefact(ctx context.Context, pool *pool, i image, img images.Image, f images.Format, progress providers.Progress) error {
	a := img.Artefacts[f]
	file, err := os.Open(a.Path)
	if err != nil {
		return fail(providers.Invalid, "%w", err)
	}
	defer func() { _ = file.Close() }() // read only
	name := i.volume(string(f))
	// Readable for all, as the images in the user's cache are: QEMU runs as another user, and an image holds no secret.
	vol, err := pool.create(volume{name: name, format: "raw", capacity: a.Size, mode: "0644"})
	if is(err, lv.ERR_STORAGE_VOL_EXIST) {
		vol, err = pool.LookupStorageVolByName(name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = vol.Free() }() // only a reference count
	sum := sha256.New()
	told := meter(progress, providers.Event{Subject: img.Recipe, Stage: "upload", Detail: string(f), Total: a.Size, Bytes: true})
	if err := p.upload(ctx, vol, io.TeeReader(file, sum), a.Size, told); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA256 {
		return fail(providers.Invalid, "%s has SHA-256 %s, the image says %s", a.Path, got, a.SHA256)
	}
	return nil
}

// diskSize is the virtual size of an image's disk, from the disk itself: until the pool is looked at again, libvirt takes an upload for
// raw bytes.
func (p *provider) diskSize(ctx context.Context, pool *pool, name string) (int64, error) {
	v, err := pool.LookupStorageVolByName(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = v.Free() }() // only a reference count
	header, err := p.download(ctx, v, 0, qcow2Header)
	if err != nil {
		return 0, err
	}
	size, err := qcow2Size(header)
	if err != nil {
		return 0, fmt.Errorf("volume %s: %w", name, err)
	}
	return size, nil
}

// qcow2Header is as much of a qcow2 file as tells its virtual size.
const qcow2Header = 32

// qcow2Size reads a virtual size: magic, version (4 bytes each), backing file (8 and 4), cluster bits (4), size (8), all big endian
// (docs/interop/qcow2.txt of QEMU).
func qcow2Size(header []byte) (int64, error) {
	if len(header) < qcow2Header || string(header[:4]) != "QFI\xfb" {
		return 0, errors.New("it is no qcow2 disk")
	}
	size := binary.BigEndian.Uint64(header[24:])
	if size == 0 || size > 1<<50 {
		return 0, fmt.Errorf("its virtual size is %d bytes", size)
	}
	return int64(size), nil
}
