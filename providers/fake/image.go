// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// image is what is kept of one.
type image struct {
	Key    string `json:"key"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

var imageKey = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (w world) image(key string) string { return filepath.Join(w.images(), key+".json") }

func (w world) readImage(key string) (image, error) {
	var i image
	if !imageKey.MatchString(key) {
		return i, fail(providers.Invalid, "image %q is none of this place", key)
	}
	err := readJSON(w.image(key), &i)
	if errors.Is(err, fs.ErrNotExist) {
		return i, fail(providers.NotFound, "image %.12s is not in this place", key)
	}
	return i, err
}

// PutImage notes the image's key and digest; its artefacts are not read.
func (p *provider) PutImage(ctx context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	err := func() error {
		if !imageKey.MatchString(img.Key) {
			return fail(providers.Invalid, "image key %q is not 64 hex digits", img.Key)
		}
		if err := p.begin(ctx, "put_image"); err != nil {
			return err
		}
		unlock, err := p.world.lock(ctx, "images")
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := p.world.readImage(img.Key); providers.CodeOf(err) != providers.NotFound {
			return err
		}
		i := image{Key: img.Key, Digest: img.Digest}
		for _, a := range img.Artefacts {
			i.Size += a.Size
		}
		if err := os.MkdirAll(p.world.images(), 0o700); err != nil {
			return err
		}
		progress.Emit(providers.Event{Subject: img.Recipe, Stage: "store", Done: i.Size, Total: i.Size, Bytes: true})
		return writeJSON(p.world.image(i.Key), i)
	}()
	if err != nil {
		return "", wrap("store", "image "+img.Recipe, err)
	}
	return providers.ImageRef(img.Key), nil
}

// ListImages follows the contract.
func (p *provider) ListImages(ctx context.Context) ([]providers.StoredImage, error) {
	list, err := func() ([]providers.StoredImage, error) {
		if err := p.begin(ctx, "list_images"); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(p.world.images())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		used, err := p.usedImages()
		if err != nil {
			return nil, err
		}
		var list []providers.StoredImage
		for _, e := range entries {
			key, ok := strings.CutSuffix(e.Name(), ".json")
			if !ok || strings.HasPrefix(key, ".") {
				continue
			}
			i, err := p.world.readImage(key)
			if providers.CodeOf(err) == providers.NotFound {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			list = append(list, providers.StoredImage{Ref: providers.ImageRef(key), Key: i.Key, Size: i.Size, InUse: used[key]})
		}
		return list, nil
	}()
	return list, wrap("list", "images", err)
}

// DeleteImage follows the contract.
func (p *provider) DeleteImage(ctx context.Context, ref providers.ImageRef) error {
	err := func() error {
		if err := p.begin(ctx, "delete_image"); err != nil {
			return err
		}
		_, err := p.world.readImage(string(ref))
		switch providers.CodeOf(err) {
		case providers.NotFound, providers.Invalid:
			return nil
		}
		unlock, err := p.world.lock(ctx, "images")
		if err != nil {
			return err
		}
		defer unlock()
		used, err := p.usedImages()
		if err != nil {
			return err
		}
		if used[string(ref)] {
			return fail(providers.Conflict, "a machine is made from it")
		}
		if err := os.Remove(p.world.image(string(ref))); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}()
	return wrap("delete", "image "+string(ref), err)
}

func (p *provider) usedImages() (map[string]bool, error) {
	used := map[string]bool{}
	entries, err := os.ReadDir(filepath.Dir(p.world.env("x")))
	if errors.Is(err, fs.ErrNotExist) {
		return used, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		records, err := p.world.records(e.Name())
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			used[r.ImageKey] = true
		}
	}
	return used, nil
}
