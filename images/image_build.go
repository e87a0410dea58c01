// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// Build returns the image of r with the artefacts named, building what is missing. Two builds at once make one: the second waits, and
// says so. After failure, cancel or death the store holds whole artefacts only.
func (s *Store) Build(ctx context.Context, r *Recipe, formats []Format, p progress.Func) (Image, error) {
	key := r.Key()
	if key == "" {
		return Image{}, fmt.Errorf("cannot build %s: it has no lock that fits; make one with: env image lock %s", r.Name, r.Name)
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
	if err != nil {
		return Image{}, err
	}
	if !found {
		if img, err = s.buildImage(ctx, r, p); err != nil {
			return Image{}, fmt.Errorf("cannot build the image %s: %w", r.Name, err)
		}
	}
	for _, f := range formats {
		if _, have := img.Artefacts[f]; have {
			continue
		}
		if err := s.addArtefact(ctx, r, &img, f, p); err != nil {
			return Image{}, fmt.Errorf("cannot make the %s of the image %s: %w", f, r.Name, err)
		}
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

// buildImage makes the root tree, which every other artefact is made from, and the image's record.
func (s *Store) buildImage(ctx context.Context, r *Recipe, p progress.Func) (Image, error) {
	work, done, err := s.tempDir("build")
	if err != nil {
		return Image{}, err
	}
	defer done()
	tree := filepath.Join(work, "tree.tar")
	digest, err := s.buildTree(ctx, r, work, tree, p)
	if err != nil {
		return Image{}, err
	}
	img := Image{Key: r.Key(), Digest: digest, Recipe: r.Name, Release: r.Lock.From, Arch: r.Lock.Arch, Artefacts: map[Format]Artefact{}}
	if err := os.MkdirAll(s.imageDir(img.Key), 0o755); err != nil {
		return Image{}, err
	}
	a, err := s.adopt(img.Key, tree)
	if err != nil {
		return Image{}, err
	}
	img.Artefacts[Tar] = a
	return img, s.save(img)
}

// adopt moves a finished file into the image's folder.
func (s *Store) adopt(key, file string) (Artefact, error) {
	size, sum, err := fileSum(file)
	if err != nil {
		return Artefact{}, err
	}
	a := Artefact{Path: filepath.Join(s.imageDir(key), filepath.Base(file)), Size: size, SHA256: sum}
	return a, os.Rename(file, a.Path)
}

func fileSum(name string) (int64, string, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// addArtefact makes one more artefact from the image's tree.
func (s *Store) addArtefact(ctx context.Context, r *Recipe, img *Image, f Format, p progress.Func) error {
	work, done, err := s.tempDir("pack")
	if err != nil {
		return err
	}
	defer done()
	k := packing{
		tree: img.Artefacts[Tar].Path, raw: img.Artefacts[Raw].Path, work: work, digest: img.Digest, newest: r.Lock.Time, subject: r.Name, emit: p,
	}
	made, err := k.pack(ctx, f)
	if err != nil {
		return err
	}
	a, err := s.adopt(img.Key, made.file)
	if err != nil {
		return err
	}
	img.Artefacts[f] = a
	img.DiskSize = max(img.DiskSize, made.diskSize)
	return s.save(*img)
}
