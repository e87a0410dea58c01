// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/images"
)

// ManifestSections are the sections that FromManifest fills: a comparison with an image is of these (Policy.Sections).
func ManifestSections() []string { return []string{"etc", "os", "packages"} }

// FromManifest is an image as a machine that was made from it and never changed, so that images can be compared with each other. To compare a machine with
// an image say in its Subject that it is made from it: the differences are its drift.
func FromManifest(m *images.Manifest, subject Subject) Snapshot {
	s := Snapshot{Format: SnapshotFormat, Subject: subject, Taken: m.Time}
	id, version, _ := strings.Cut(m.Release, ":")
	system := Section{Name: "os", Lane: Stable, Items: []Item{{Key: "id", Value: id}, {Key: "version_id", Value: version}}}
	packages, etc := Section{Name: "packages", Lane: Stable}, Section{Name: "etc", Lane: Stable}
	index := indexOf(m)
	for key, version := range index.packages {
		packages.Items = append(packages.Items, Item{Key: key, Value: version})
	}
	for key, e := range index.files {
		if e.Type != "file" && e.Type != "symlink" {
			continue
		}
		etc.Items = append(etc.Items, Item{Key: key, Value: entryText(e)})
	}
	for _, section := range []Section{etc, system, packages} {
		slices.SortFunc(section.Items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
		s.Sections = append(s.Sections, section)
	}
	return s
}

// ownerName is root's name, and others' numbers: their names are not in a manifest.
func ownerName(id int) string {
	if id == 0 {
		return "root"
	}
	return strconv.Itoa(id)
}
