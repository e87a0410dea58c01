// SPDX-License-Identifier: Apache-2.0

package images

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// Build returns the image of r with the artefacts named, building what is missing. Two builds at once make one: the second waits, and
// says so. After failure, cancel or death the store holds whole artefacts only.
func (s *Store) Build(ctx context.Context, r *Recipe, formats []Format, p progress.Func) (Image, error) {
	key := r.Key()
	if key == "" {
		return Image{}, fmt.Errorf("cannot build %s: it has no lock that fits; make one with: evenkeel image lock %s", r.Name, r.Name)
	}
	if img, found, err := s.Find(key); err != nil || found && img.has(formats) {
		return img, err
	}
	l, err := s.lock(ctx, "image-"+key, func() {
		p.Emit(progress.Event{Subject: r.Name, Stage: "wait", Detail: "another build of this image is running"})
	})
	if err != nil {
		return Image{}, err
	}
	defer l.unlock()
	img, found, err := s.Find(key)
	if err != nil || found && img.has(formats) {
		return img, err
	}
	if img, err = s.complete(ctx, r, img, formats, p); err != nil {
		return Image{}, fmt.Errorf("cannot build the image %s: %w", r.Name, err)
	}
	return img, nil
}

func (img Image) has(formats []Format) bool {
	for _, f := range formats {
		if _, have := img.Artefacts[f]; !have {
			return false
		}
	}
	return true
}

// complete makes what img lacks; the zero Image lacks all. The tree is stored also where packing it fails.
func (s *Store) complete(ctx context.Context, r *Recipe, img Image, formats []Format, p progress.Func) (Image, error) {
	work, done, err := s.tempDir(ctx, "build")
	if err != nil {
		return Image{}, err
	}
	defer done()
	tree, fresh := filepath.Join(work, "tree.tar"), img.Key == ""
	if fresh {
		digest, err := s.buildTree(ctx, r, work, tree, p)
		if err != nil {
			return Image{}, err
		}
		img = Image{Key: r.Key(), Digest: digest, Recipe: r.Name, Release: r.Lock.From, Arch: r.Lock.Arch, Artefacts: map[Format]Artefact{}}
	} else if err := expand(ctx, img.Artefacts[Tar].Path, tree); err != nil {
		return Image{}, err
	}
	var keeping sync.WaitGroup
	var keepErr error
	if fresh {
		keeping.Go(func() { keepErr = compress(ctx, tree, tree+".zst") })
	}
	made, packErr := s.packAll(ctx, r, img, formats, work, tree, p)
	keeping.Wait()
	switch {
	case ctx.Err() != nil:
		return Image{}, context.Cause(ctx)
	case keepErr != nil:
		return Image{}, errors.Join(packErr, keepErr)
	case fresh:
		made[Tar] = packed{file: tree + ".zst"}
	}
	if err := s.adopt(&img, made); err != nil {
		return Image{}, errors.Join(packErr, err)
	}
	return img, packErr
}

// packAll makes the missing artefacts one after the other and returns those that were made before one failed.
func (s *Store) packAll(ctx context.Context, r *Recipe, img Image, formats []Format, work, tree string, p progress.Func) (map[Format]packed, error) {
	made := map[Format]packed{}
	for _, f := range formats {
		_, have := img.Artefacts[f]
		if _, now := made[f]; have || now || f == Tar {
			continue
		}
		dir := filepath.Join(work, "pack-"+filepath.Base(string(f)))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return made, err
		}
		k := packing{
			tree: tree, raw: cmp.Or(made[Raw].file, img.Artefacts[Raw].Path), work: dir, digest: img.Digest, newest: r.Lock.Time,
			subject: r.Name, emit: p, memory: s.memoryTree,
		}
		one, err := k.pack(ctx, f)
		if err != nil {
			return made, fmt.Errorf("cannot make its %s: %w", f, err)
		}
		made[f] = one
	}
	return made, nil
}

// adopt moves finished files into the image's folder and writes the image's record, which makes them exist: all is on the disk by then.
func (s *Store) adopt(img *Image, made map[Format]packed) error {
	if err := os.MkdirAll(s.imageDir(img.Key), 0o755); err != nil {
		return err
	}
	for f, one := range made {
		a := Artefact{Path: filepath.Join(s.imageDir(img.Key), filepath.Base(one.file))}
		var err error
		if a.Size, a.SHA256, err = syncAndSum(one.file); err != nil {
			return err
		}
		if err := os.Rename(one.file, a.Path); err != nil {
			return err
		}
		img.Artefacts[f] = a
		img.DiskSize = max(img.DiskSize, one.diskSize)
	}
	return s.save(*img)
}

// syncAndSum waits until the file is on the disk and sums it up meanwhile.
func syncAndSum(name string) (size int64, sum string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	var g errgroup.Group
	g.Go(f.Sync)
	h := sha256.New()
	g.Go(func() (err error) { size, err = io.Copy(h, f); return err })
	err = g.Wait()
	return size, hex.EncodeToString(h.Sum(nil)), err
}
