// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func (a *App) imageVerb() verb {
	return verb{name: "image", args: "lock|build|list|show|prune", about: "lock, build and look after images", sub: []verb{
		{
			name: "lock", args: "[RECIPE...]", about: "write the exact set of packages that recipes come to",
			more:  "A lock that fits its recipe stays as it is, unless --update. Commit it: every build installs exactly what it names.",
			flags: []cli.Flag{boolFlag("update", "move to what the archives have today")},
			run:   runImageLock,
		},
		{
			name: "build", args: "[RECIPE...]", about: "build images for the tier's provider",
			more:  "`up` does it by itself. Two builds of the same lock come to the same image, wherever they run.",
			flags: []cli.Flag{lockedFlag()},
			run:   runImageBuild,
		},
		{name: "list", about: "list the images in the store", run: runImageList},
		{name: "show", args: "RECIPE|KEY", about: "show an image in the store", run: runImageShow},
		{
			name: "prune", about: "remove images from the store that are not used any more",
			more: "Images of the definition found here stay, and those younger than --older-than.",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "older-than", Usage: "remove what is older than `TIME`", Value: "30d"},
				boolFlag("place", "remove images from the tier's place too, where no machine uses them"),
				boolFlag("dry-run", "show it, remove nothing", "n"),
			},
			run: runImagePrune,
		},
	}}
}

func runImageLock(ctx context.Context, c *call) error {
	def, err := c.definition()
	if err != nil {
		return err
	}
	picked, err := recipes(def, c.args)
	if err != nil {
		return err
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	type wrote struct {
		Recipe  string `json:"recipe"`
		Lock    string `json:"lock"`
		Key     string `json:"key"`
		Changed bool   `json:"changed"`
	}
	list := []wrote{}
	d, tell := c.show()
	defer d.stop()
	for _, path := range picked {
		before := def.Recipes[path].Key()
		r, err := store.WriteLock(ctx, def.Recipes[path], c.flag.Bool("update"), tell)
		if err != nil {
			return err
		}
		list = append(list, wrote{path, r.LockFile(), r.Key(), r.Key() != before})
	}
	d.stop()
	if c.json() {
		return c.printJSON(list)
	}
	for _, w := range list {
		did := "unchanged"
		if w.Changed {
			did = "written; commit it"
		}
		if err := c.printf("%s: %s (image %.12s)\n", c.shown(w.Lock), did, w.Key); err != nil {
			return err
		}
	}
	return nil
}

func runImageBuild(ctx context.Context, c *call) error {
	locked := c.flag.Bool("locked")
	def, plan, err := c.plan(locked)
	if err != nil {
		return err
	}
	picked, err := recipes(def, c.args)
	if err != nil {
		return err
	}
	launched, err := plugin.Launch(ctx, plan.Provider, nil, c.log())
	if err != nil {
		return err
	}
	defer launched.Close()
	if len(launched.Formats) == 0 {
		return usagef("provider %s of tier %s boots no images", plan.Provider, plan.Tier)
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	d, tell := c.show()
	defer d.stop()
	built := []images.Image{}
	for _, path := range picked {
		r := def.Recipes[path]
		if r.Lock == nil {
			if r, err = store.WriteLock(ctx, r, false, tell); err != nil {
				return err
			}
			d.note("wrote " + c.shown(r.LockFile()) + "; commit it")
		}
		img, err := store.Build(ctx, r, launched.Formats, tell)
		if err != nil {
			return err
		}
		built = append(built, img)
	}
	d.stop()
	if c.json() {
		return c.printJSON(built)
	}
	for _, img := range built {
		if err := c.printf("%s: image %.12s, digest %.12s, %s\n", img.Recipe, img.Key, img.Digest, formatsOf(img)); err != nil {
			return err
		}
	}
	return nil
}

func formatsOf(img images.Image) string {
	var list []string
	for _, f := range slices.Sorted(maps.Keys(img.Artefacts)) {
		list = append(list, fmt.Sprintf("%s %s", f, size(img.Artefacts[f].Size)))
	}
	return listed(list)
}

func runImageList(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	list, err := store.List()
	if err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(append([]images.Stored{}, list...))
	}
	t := newTable("RECIPE", "KEY", "RELEASE", "AGE", "ON DISK", "HOLDS")
	for _, img := range list {
		t.add(img.Recipe, img.Key[:12], img.Release, age(img.Built), size(img.Bytes), formatsOf(img.Image))
	}
	return t.print(c.Stdout)
}

func runImageShow(ctx context.Context, c *call) error {
	if len(c.args) != 1 || c.cut {
		return usagef("image show takes a recipe of the definition or the beginning of an image key")
	}
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	img, err := c.imageNamed(store, c.args[0])
	if err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(img)
	}
	t := [][2]string{
		{"recipe", img.Recipe}, {"key", img.Key}, {"digest", img.Digest}, {"release", img.Release}, {"architecture", img.Arch},
		{"disk", size(img.DiskSize)}, {"built", img.Built.Format(time.RFC3339)},
	}
	for _, f := range slices.Sorted(maps.Keys(img.Artefacts)) {
		a := img.Artefacts[f]
		t = append(t, [2]string{string(f), fmt.Sprintf("%s, sha256 %s, %s", a.Path, a.SHA256, size(a.Size))})
	}
	for _, line := range t {
		if err := c.printf("%-13s %s\n", line[0], oneLine(line[1])); err != nil {
			return err
		}
	}
	return nil
}

// imageNamed finds an image by the beginning of its key, or by its recipe: then the one that the definition's lock comes to.
func (c *call) imageNamed(store *images.Store, word string) (images.Stored, error) {
	list, err := store.List()
	if err != nil {
		return images.Stored{}, err
	}
	var found []images.Stored
	if len(word) >= 4 {
		for _, img := range list {
			if strings.HasPrefix(img.Key, word) {
				found = append(found, img)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return images.Stored{}, usagef("%d images have keys that begin with %s", len(found), word)
	}
	def, err := c.definition()
	if err != nil {
		return images.Stored{}, err
	}
	picked, err := recipes(def, []string{word})
	if err != nil {
		return images.Stored{}, err
	}
	key := def.Recipes[picked[0]].Key()
	for _, img := range list {
		if img.Key == key {
			return img, nil
		}
	}
	return images.Stored{}, &usageError{text: fmt.Sprintf("the image of %s is not in the store", picked[0]), hint: "evenkeel image build " + picked[0]}
}
