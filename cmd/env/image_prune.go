// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// pruned is what `image prune --json` prints.
type pruned struct {
	images.Pruned
	Place []providers.StoredImage `json:"place"` // with --place: images in the tier's place
}

func runImagePrune(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	old, err := span(c.flag.String("older-than"))
	if err != nil {
		return usagef("--older-than: got %q; allowed is a time like 30d or 12h", c.flag.String("older-than"))
	}
	keep, err := c.wantedImages()
	if err != nil {
		return err
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	p := pruned{Place: []providers.StoredImage{}}
	if p.Pruned, err = store.Prune(ctx, time.Now().Add(-old), keep, c.flag.Bool("dry-run")); err != nil {
		return err
	}
	p.Images = append([]images.Stored{}, p.Images...)
	if c.flag.Bool("place") {
		if p.Place, err = c.prunePlace(ctx, keep); err != nil {
			return err
		}
	}
	if c.json() {
		return c.printJSON(p)
	}
	return c.printPruned(p)
}

// wantedImages are the keys of the definition found here; of none there are none.
func (c *call) wantedImages() ([]string, error) {
	if c.flag.String("file") == "" {
		if file, _, err := envs.Find(c.Dir); err != nil || file == "" {
			return nil, err
		}
	}
	def, err := c.definition()
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, name := range sorted(def.Recipes) {
		if k := def.Recipes[name].Key(); k != "" {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// prunePlace removes the images in the tier's place that no machine uses and the definition does not want.
func (c *call) prunePlace(ctx context.Context, keep []string) ([]providers.StoredImage, error) {
	gone := []providers.StoredImage{}
	p, err := c.open(ctx, placeOptions{})
	if err != nil {
		return nil, err
	}
	defer p.close()
	pruner, ok := providers.As[providers.ImagePruner](p.Provider)
	if !ok {
		return nil, fmt.Errorf("cannot prune images of tier %s: provider %s keeps none that can be removed", p.Plan.Tier, p.Plan.Provider)
	}
	list, err := pruner.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	for _, img := range list {
		if img.InUse || slices.Contains(keep, img.Key) {
			continue
		}
		if !c.flag.Bool("dry-run") {
			err := pruner.DeleteImage(ctx, img.Ref)
			if providers.CodeOf(err) == providers.Conflict {
				continue // a machine was made from it meanwhile
			}
			if err != nil {
				return nil, err
			}
		}
		gone = append(gone, img)
	}
	return gone, nil
}

func (c *call) printPruned(p pruned) error {
	did := "removed"
	if c.flag.Bool("dry-run") {
		did = "would remove"
	}
	for _, img := range p.Images {
		if err := c.printf("%s image %.12s of %s, %s old\n", did, img.Key, oneLine(img.Recipe), age(img.Built)); err != nil {
			return err
		}
	}
	for _, img := range p.Place {
		if err := c.printf("%s image %.12s in the place, %s\n", did, oneLine(img.Key), size(img.Size)); err != nil {
			return err
		}
	}
	return c.printf("store: %s %d images and %d files of builds, %s\n", did, len(p.Images), p.Files, size(p.Bytes))
}

// span is a time as people write it: Go's, and whole days.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 10000 {
			return 0, fmt.Errorf("%q is no number of days", days)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is negative", d)
	}
	return d, err
}
