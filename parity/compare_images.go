// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

// digestWord stands before the digest of a file's content in its value.
const digestWord = "sha256:"

// manifestIndex is a manifest as it is looked up.
type manifestIndex struct {
	*images.Manifest
	packages map[string]string       // name:arch -> versions, joined by ", "
	files    map[string]images.Entry // below /etc
}

// manifest is what an image holds, nil where it is not known.
func (c *Comparison) manifest(key string) *manifestIndex {
	if m, known := c.manifests[key]; known {
		return m
	}
	m := c.policy.Manifests[key]
	if m == nil {
		return nil
	}
	c.manifests[key] = indexOf(m)
	return c.manifests[key]
}

func indexOf(m *images.Manifest) *manifestIndex {
	index := &manifestIndex{Manifest: m, packages: map[string]string{}, files: map[string]images.Entry{}}
	for _, p := range m.Packages {
		at := p.Name + ":" + p.Arch
		if had := index.packages[at]; had != "" {
			index.packages[at] = had + ", " + p.Version
		} else {
			index.packages[at] = p.Version
		}
	}
	hard := map[string]string{} // a further name of a file has no digest of its own
	for _, e := range m.Files {
		if !strings.HasPrefix(e.Path, "/etc/") {
			continue
		}
		if e.Type == "link" {
			hard[e.Path] = e.Link
		}
		index.files[e.Path] = e
	}
	for name, first := range hard {
		e := index.files[name]
		e.Type, e.SHA256, e.Size, e.Link = "file", index.files[first].SHA256, index.files[first].Size, ""
		index.files[name] = e
	}
	return index
}

// pairOfImages is a reference's image and another.
type pairOfImages struct{ ref, other string }

// explanation is what two images' manifests explain of the differences between their machines.
type explanation struct {
	packages, files map[string]bool
}

// explain reports whether got differs from want because the machines were made from different images of one recipe, each being as its image.
func (c *Comparison) explain(all map[pairOfImages]*explanation, ref, col *column, section, key string, want *fact) bool {
	if all == nil || ref.image == "" || col.image == "" || ref.image == col.image || section != "packages" && section != "etc" {
		return false
	}
	a, b := c.manifest(ref.image), c.manifest(col.image)
	if a == nil || b == nil || a.Recipe != b.Recipe {
		return false
	}
	got := col.views[section].get(key)
	pair := pairOfImages{ref.image, col.image}
	if all[pair] == nil {
		all[pair] = &explanation{map[string]bool{}, map[string]bool{}}
	}
	if section == "packages" {
		if a.packages[key] != textOf(want) || b.packages[key] != textOf(got) {
			return false
		}
		all[pair].packages[key] = true
		return true
	}
	if !asEntry(a, key, want) || !asEntry(b, key, got) {
		return false
	}
	all[pair].files[key] = true
	return true
}

func textOf(f *fact) string {
	if f == nil {
		return ""
	}
	return f.value
}

func asEntry(m *manifestIndex, key string, f *fact) bool {
	e, there := m.files[key]
	if f == nil || !there {
		return f == nil && !there
	}
	return fileDiffers(e, f.value) == ""
}

// get is find of a view that may be missing.
func (v *view) get(key string) *fact {
	if v == nil {
		return nil
	}
	return v.find(key)
}

// fileDiffers says in what a file on a machine differs from its entry in a manifest, "" where in nothing that both know.
func fileDiffers(e images.Entry, value string) string {
	words := strings.Fields(value)
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, digestWord):
			if e.Type != "file" {
				return "the image has a " + e.Type
			}
			if e.SHA256 != strings.TrimPrefix(w, digestWord) {
				return "content"
			}
		case w == "->" && i+1 < len(words):
			if e.Type != "symlink" {
				return "the image has a " + e.Type
			}
			if to := strings.Join(words[i+1:], " "); to != e.Link {
				return "target, in the image " + e.Link
			}
			return ""
		}
	}
	if e.Type == "symlink" {
		return ""
	}
	for _, w := range words {
		if mode, err := strconv.ParseUint(w, 8, 16); err == nil && len(w) >= 3 && len(w) <= 5 {
			if own, err := strconv.ParseUint(e.Mode, 8, 16); err == nil && own&0o7777 != mode&0o7777 {
				return "mode, in the image " + e.Mode
			}
		} else if user, group, found := strings.Cut(w, ":"); found && user+":" != digestWord {
			if differentID(user, e.UID) || differentID(group, e.GID) {
				return fmt.Sprintf("owner, in the image %d:%d", e.UID, e.GID)
			}
		}
	}
	return ""
}

// differentID reports whether name surely is not that id: names other than root's are the machine's own.
func differentID(name string, id int) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n != id
	}
	return (name == "root") != (id == 0)
}

// promotions are the differences between images of one recipe, one line for each tier that has another than the baseline.
func (c *Comparison) promotions(columns, of []*column, ref *column, explained map[pairOfImages]*explanation) []Row {
	var row *Row
	for _, col := range of {
		e := explained[pairOfImages{ref.image, col.image}]
		if col.Unreachable || e == nil || len(e.packages)+len(e.files) == 0 {
			continue
		}
		a, b := c.manifest(ref.image), c.manifest(col.image)
		if row == nil {
			row = &Row{
				Kind: Skew, Section: "images", Key: b.Recipe, Machines: ref.Kind, Cells: make([]Cell, len(columns)),
				Reference: "image of " + a.Time.UTC().Format(time.DateOnly), File: c.policy.Recipes[ref.Kind],
				Why: "the tiers run different images of one recipe, and each machine is as its image says",
			}
			for _, other := range of {
				row.Cells[other.index].State = Same
				if other.Unreachable {
					row.Cells[other.index].State = Unreachable
				}
			}
		}
		newer, order, ahead := b.Time, 1, "ahead"
		if a.Time.After(b.Time) {
			newer, order, ahead = a.Time, -1, "behind"
		}
		if a.Time.Equal(b.Time) { // the recipe changed, not its lock
			order, ahead = 0, "another recipe"
		}
		cell := Cell{State: Expected, Order: order, Value: fmt.Sprintf("%s: %s since %s", ahead, amounts(e), newer.UTC().Format("2 Jan 2006"))}
		if c.policy.At.Sub(newer) > c.policy.PromoteWithin {
			cell.State = Different
			row.Fix = fmt.Sprintf("promote the newer image: `evenkeel rebuild %s --tier %s`", col.Kind, behind(ref, col, order))
			if order == 0 {
				row.Fix = "bring all tiers to one commit of the recipe: `evenkeel rebuild " + col.Kind + " --tier TIER`"
			}
		}
		row.Cells[col.index] = cell
	}
	if row == nil {
		return nil
	}
	if row.Fix == "" {
		row.Fix = fmt.Sprintf("nothing yet: promote_within allows %s", days(c.policy.PromoteWithin))
	}
	return []Row{*row}
}

func behind(ref, col *column, order int) string {
	if order > 0 {
		return ref.Tier
	}
	return col.Tier
}

func amounts(e *explanation) string {
	var parts []string
	if n := len(e.packages); n > 0 {
		parts = append(parts, counted(n, "package"))
	}
	if n := len(e.files); n > 0 {
		parts = append(parts, counted(n, "file"))
	}
	return strings.Join(parts, ", ")
}

// days is a span in the largest unit that tells it apart from its neighbours.
func days(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	}
	return fmt.Sprintf("%d s", int(d/time.Second))
}
