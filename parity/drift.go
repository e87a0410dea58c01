// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/images"
)

// drift compares machines with the image they were made from, by its manifest: packages, and files below /etc. What Settle and the first boot lay is
// compared with what is laid, where that is known, and else not judged.
func (c *Comparison) drift(columns []*column) []Row {
	type at struct{ tier, kind, section, key string }
	rows := map[at]*Row{}
	add := func(col *column, section, key, reference, why string, cell Cell) *Row {
		cell.Value = clipValue(cell.Value)
		k := at{col.Tier, col.Kind, section, key}
		if rows[k] == nil {
			rows[k] = &Row{
				Kind: Drift, Section: section, Key: key, Machines: col.Kind, Tier: col.Tier, Reference: clipValue(reference), Why: why,
				Cells: make([]Cell, len(columns)), File: c.policy.Recipes[col.Kind],
			}
		}
		rows[k].Cells[col.index] = cell
		return rows[k]
	}
	without := map[string][]string{} // tiers by the image whose manifest is not here
	for _, col := range columns {
		if col.Unreachable {
			continue
		}
		c.laid(col, add)
		c.given(col, add)
		if col.image == "" {
			continue
		}
		m := c.manifest(col.image)
		if m == nil {
			if !slices.Contains(without[col.image], col.Tier) {
				without[col.image] = append(without[col.image], col.Tier)
			}
			continue
		}
		driftOfPackages(col, m, add)
		c.driftOfFiles(columns, col, m, add)
	}
	for _, image := range slices.Sorted(maps.Keys(without)) {
		c.note("%s: the manifest of image %.12s is not here, so machines are not compared with it", strings.Join(without[image], ", "), image)
	}
	var out []Row
	for k, row := range rows {
		for _, col := range columns {
			if cell := &row.Cells[col.index]; col.Tier == k.tier && col.Kind == k.kind && cell.State == "" {
				cell.State = Same
				if col.Unreachable {
					cell.State = Unreachable
				} else if v := col.views[k.section]; v != nil && v.unknown != "" || !col.collects(k.section) || c.manifest(col.image) == nil && !c.says(col, k.section, k.key) {
					cell.State = Unknown
				}
			}
		}
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Section, b.Section), strings.Compare(a.Key, b.Key), strings.Compare(a.Tier, b.Tier), strings.Compare(a.Machines, b.Machines))
	})
	return out
}

// says reports whether it is known what a fact should be on all of a column's machines, even without their image.
func (c *Comparison) says(col *column, section, key string) bool {
	t := c.policy.tier(col.Tier)
	if t == nil {
		return false
	}
	if _, given := t.Expected[section+"/"+key]; given {
		return true
	}
	return section == "etc" && !slices.ContainsFunc(col.members, func(m *machine) bool { return t.Laid[m.id.name][key] == "" })
}

type addDrift = func(col *column, section, key, reference, why string, cell Cell) *Row

func driftOfPackages(col *column, m *manifestIndex, add addDrift) {
	v := col.views["packages"]
	if v == nil || v.unknown != "" {
		return
	}
	seen := map[string]bool{}
	for i := range v.facts {
		f := &v.facts[i]
		own := m.packages[f.key]
		seen[f.key] = true
		switch {
		case f.unknown != "":
			add(col, "packages", f.key, own, f.unknown, Cell{State: Unknown, Value: f.value})
		case own == "":
			add(col, "packages", f.key, "", reason("installed after the machine was made", f), Cell{State: Different, Value: f.value})
		case own != f.value:
			add(col, "packages", f.key, own, reason("changed after the machine was made", f), Cell{State: Different, Value: f.value, Order: orderOf(col.manager, f.value, own)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.packages)) {
		if !seen[key] && (!col.hostKernel || !ofKernel("packages", key)) {
			add(col, "packages", key, m.packages[key], "removed after the machine was made", Cell{State: Absent})
		}
	}
}

func reason(text string, f *fact) string {
	if f.since != "" {
		return text + ", " + clipValue(f.since)
	}
	return text
}

// FirstBootItem is the key of an item of etc that says: this machine's first boot has ended, and items that came to be so later have their Since. What the steps of first boot make
// below /etc is no drift, since they are the recipe's, and the manifest cannot have it.
const FirstBootItem = "/etc/(first boot)"

// appended are files of the image to which Settle or the seed adds, by their meaning compared with other machines only.
func appended(key string) bool { return key == "/etc/hosts" }

func (c *Comparison) driftOfFiles(columns []*column, col *column, m *manifestIndex, add addDrift) {
	v := col.views["etc"]
	if v == nil || v.unknown != "" {
		return
	}
	seen := map[string]bool{}
	for i := range v.facts {
		f := &v.facts[i]
		seen[f.key] = true
		e, there := m.files[f.key]
		switch {
		case f.place || appended(f.key):
		case f.since == "" && col.members[0].firstBoot: // its steps made it so, as the recipe says
		case f.unknown != "":
			if there {
				add(col, "etc", f.key, "", f.unknown, Cell{State: Unknown, Value: f.value})
			}
		case !there:
			add(col, "etc", f.key, "", reason("not in the image", f), Cell{State: Different, Value: f.value})
		default:
			if in, diff := c.fileDrift(columns, col, m, f); in != "" {
				row := add(col, "etc", f.key, entryText(e), reason("differs from the image in "+in, f), Cell{State: Different, Value: f.value})
				row.Diff = cmp.Or(row.Diff, diff)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.files)) {
		e := m.files[key]
		if e.Type != "file" && e.Type != "symlink" || seen[key] || appended(key) || v.find(key) != nil {
			continue
		}
		if lane := LaneOf("etc", key); lane != "" && lane != Stable || e.Type == "file" && neverRead(key) {
			continue
		}
		add(col, "etc", key, entryText(e), "removed after the machine was made", Cell{State: Absent})
	}
}

// neverRead are files that a collector leaves out, so that their absence from a snapshot says nothing.
func neverRead(key string) bool {
	return strings.HasSuffix(key, ".key") || strings.Contains(key, "/private/") || strings.HasSuffix(key, "_key")
}

// entryText is an entry as the value of an item of etc.
func entryText(e images.Entry) string {
	text := e.Mode + " " + ownerName(e.UID) + ":" + ownerName(e.GID)
	switch {
	case e.Type == "symlink":
		text += " -> " + e.Link
	case e.SHA256 != "":
		text += " " + digestWord + e.SHA256
	}
	return text
}

// laid compares files that Settle lays with what it lays today.
func (c *Comparison) laid(col *column, add addDrift) {
	t := c.policy.tier(col.Tier)
	v := col.views["etc"]
	if t == nil || v == nil || v.unknown != "" {
		return
	}
	for _, m := range col.members {
		files := t.Laid[m.id.name]
		for _, key := range slices.Sorted(maps.Keys(files)) {
			f := v.find(key)
			switch {
			case f == nil && LaneOf("etc", key) != Identity:
				add(col, "etc", key, digestWord+files[key], "laid by `evenkeel up`, and gone", Cell{State: Absent})
			case f != nil && f.unknown != "":
				add(col, "etc", key, digestWord+files[key], f.unknown, Cell{State: Unknown, Value: f.value})
			case f != nil && content(f.value) != files[key]:
				add(col, "etc", key, digestWord+files[key], "differs from what `evenkeel up` lays", Cell{State: Different, Value: f.value})
			}
		}
	}
}

// given compares facts with what the definition gives them in this tier.
func (c *Comparison) given(col *column, add addDrift) {
	t := c.policy.tier(col.Tier)
	if t == nil {
		return
	}
	for _, subject := range slices.Sorted(maps.Keys(t.Expected)) {
		section, key, _ := strings.Cut(subject, "/")
		v := col.views[section]
		if v != nil && v.unknown != "" || v == nil && !col.collects(section) || c.policy.Sections != nil && !slices.Contains(c.policy.Sections, section) {
			continue
		}
		f, want := v.get(key), t.Expected[subject]
		switch {
		case f == nil && want != "":
			add(col, section, key, want, "the definition gives it", Cell{State: Absent})
		case f != nil && f.unknown != "":
			add(col, section, key, want, f.unknown, Cell{State: Unknown, Value: f.value})
		case f != nil && f.value != want:
			add(col, section, key, want, reason("the definition says otherwise", f), Cell{State: Different, Value: f.value})
		}
	}
}
