// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// skew compares the variants of one kind with the baseline's largest, and what belongs to a place with the largest of its own tier.
func (c *Comparison) skew(columns []*column, kind, baseline string) []Row {
	of := ofKind(columns, kind)
	ref := readable(of, baseline)
	tiers := tiersOf(of)
	if ref == nil {
		i := slices.IndexFunc(of, func(col *column) bool { return !col.Unreachable })
		switch {
		case slices.ContainsFunc(of, func(col *column) bool { return col.Tier == baseline }):
			c.note("no machine %s of %s could be read, so the other tiers were not compared with it", kind, baseline)
			return c.within(columns, of, tiers, nil)
		case i < 0:
			return nil
		}
		ref = of[i]
		if len(tiers) > 1 {
			c.note("%s has no machines %s; they are compared with those of %s", baseline, kind, ref.Tier)
		}
	}
	c.kernels(of, ref)
	explained := map[pairOfImages]*explanation{}
	rows := c.differences(columns, of, ref, "", false, explained)
	rows = append(rows, c.promotions(columns, of, ref, explained)...)
	return append(rows, c.within(columns, of, tiers, ref)...)
}

// within compares inside of each tier what belongs to a place; where there is no reference of the baseline (ref is nil), the rest too.
func (c *Comparison) within(columns, of []*column, tiers []string, ref *column) []Row {
	var rows []Row
	for _, tier := range tiers {
		own := readable(of, tier)
		if own == nil {
			continue
		}
		var list []*column
		for _, col := range of {
			if col.Tier == tier {
				list = append(list, col)
			}
		}
		rows = append(rows, c.differences(columns, list, own, tier, true, nil)...)
		if ref == nil {
			rows = append(rows, c.differences(columns, list, own, tier, false, nil)...)
		}
	}
	return rows
}

// readable is a tier's largest variant that was read, nil where there is none.
func readable(columns []*column, tier string) *column {
	for _, col := range columns {
		if col.Tier == tier && !col.Unreachable {
			return col
		}
	}
	return nil
}

func tiersOf(columns []*column) []string {
	var tiers []string
	for _, col := range columns {
		if !slices.Contains(tiers, col.Tier) {
			tiers = append(tiers, col.Tier)
		}
	}
	return tiers
}

// kernels says once which tiers run their hosts' kernels, whose facts are not theirs.
func (c *Comparison) kernels(of []*column, ref *column) {
	for _, col := range of {
		if col.hostKernel != ref.hostKernel && !col.Unreachable {
			tier := col.Tier
			if ref.hostKernel {
				tier = ref.Tier
			}
			c.note("%s: its machines run their host's kernel, so kernel, modules, sysctl, boot, mounts and what serves the kernel (devices, clock, audit) are not compared", tier)
		}
		if otherSystem(ref, col) {
			c.note("%s: its machines %s have another package manager (%s) than those of %s (%s), so packages and archives are not compared by name",
				col.Tier, col.Kind, col.manager, ref.Tier, ref.manager)
		}
	}
}

// differences are the rows of keys in which a column differs from ref: of the stable lane, or of what belongs to a place.
func (c *Comparison) differences(columns, of []*column, ref *column, tier string, place bool, explained map[pairOfImages]*explanation) []Row {
	sections := map[string]bool{}
	for _, col := range of {
		for name := range col.views {
			sections[name] = true
		}
	}
	var rows []Row
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		if !place {
			if row, unknown := c.unreadRow(columns, of, ref, section, tier); unknown {
				rows = append(rows, row)
			}
		}
		for _, key := range differing(of, ref, section, place) {
			if row, told := c.difference(columns, of, ref, section, key, tier, explained); told {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// difference is the row of one key; false where all that differs is explained.
func (c *Comparison) difference(columns, of []*column, ref *column, section, key, tier string, explained map[pairOfImages]*explanation) (row Row, told bool) {
	row = Row{Kind: Skew, Section: section, Key: key, Machines: ref.Kind, Tier: tier, Cells: make([]Cell, len(columns))}
	want := ref.views[section].get(key)
	row.Reference = clipValue(textOf(want))
	for _, col := range of {
		cell := cellBeside(col, ref, section, key, want)
		switch v := col.views[section]; cell.State {
		case Different, Absent:
			if c.explain(explained, ref, col, section, key, want) || c.expected(ref, col, section, key) {
				cell.State = Expected
				break
			}
			told = true
			if row.Diff == "" {
				row.Diff, row.Why = details(section, key, want, v.get(key), ref, col)
			}
		case Unknown: // of a section that could not be read at all another row tells
			told = told || v != nil && v.unknown == ""
		}
		row.Cells[col.index] = cell
	}
	return row, told
}

// differing are the keys of a section in which a column that was read differs from ref, or cannot be compared with it.
func differing(of []*column, ref *column, section string, place bool) []string {
	base := ref.views[section]
	if base == nil {
		if !ref.collects(section) {
			return nil
		}
		base = &view{}
	}
	if base.unknown != "" {
		return nil
	}
	keys := map[string]bool{}
	type met struct {
		*view
		hostKernel bool
		manager    Manager
	}
	done := map[met]bool{{base, ref.hostKernel, ref.manager}: true}
	for _, col := range of {
		v := col.views[section]
		if v == nil {
			v = &view{}
		}
		if col.Unreachable || v.unknown != "" || done[met{v, col.hostKernel, col.manager}] {
			continue
		}
		done[met{v, col.hostKernel, col.manager}] = true
		merge(base.facts, v.facts, func(a, b *fact) {
			one := a
			if a == nil {
				one = b
			}
			if one.place == place && !incomparable(ref, col, section, one.key) && stateOf(a, b) != Same {
				keys[one.key] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(keys))
}

// expected reports whether both columns have of a key what the definition gives it in their tiers; where it gives nothing, anything.
func (c *Comparison) expected(ref, col *column, section, key string) bool {
	said := 0
	for _, one := range []*column{ref, col} {
		t := c.policy.tier(one.Tier)
		if t == nil {
			continue
		}
		value, known := t.Expected[section+"/"+key]
		if known && value != textOf(one.views[section].get(key)) {
			return false
		}
		said += truth(known)
	}
	return said > 0 && ref.Tier != col.Tier
}

// incomparable reports whether a fact of two columns is no matter of same or different: one of them is its host's, or they are of different systems.
func incomparable(ref, col *column, section, key string) bool {
	return col.hostKernel != ref.hostKernel && (ofKernel(section, key) || ofEngine(section)) || otherSystem(ref, col) && byManager(section)
}

// otherSystem reports whether two columns surely have different package managers.
func otherSystem(a, b *column) bool {
	return a.manager != b.manager && a.manager != "" && b.manager != ""
}

// merge calls do for each key of two sorted lists, with nil where one lacks it.
func merge(a, b []fact, do func(a, b *fact)) {
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = strings.Compare(a[0].key, b[0].key)
		}
		var x, y *fact
		if order <= 0 {
			x, a = &a[0], a[1:]
		}
		if order >= 0 {
			y, b = &b[0], b[1:]
		}
		do(x, y)
	}
}

// stateOf is what got is beside want; either may be nil, where a machine does not have it.
func stateOf(want, got *fact) State {
	switch {
	case want == nil && got == nil:
		return Same
	case want != nil && want.unknown != "" || got != nil && got.unknown != "":
		return Unknown
	case got == nil:
		return Absent
	case want == nil:
		return Different
	case want.keyID != got.keyID && want.keyID != "" && got.keyID != "":
		return Unknown // masked with different keys: nothing can be said of them
	case want.same(got):
		return Same
	}
	return Different
}

// cellBeside is what col has of a key, seen from ref, which has want.
func cellBeside(col, ref *column, section, key string, want *fact) Cell {
	if col.Unreachable {
		return Cell{State: Unreachable}
	}
	if incomparable(ref, col, section, key) {
		return Cell{}
	}
	v := col.views[section]
	if v == nil && !col.collects(section) {
		return Cell{State: Unknown}
	}
	if v == nil {
		v = &view{}
	}
	if v.unknown != "" {
		return Cell{State: Unknown}
	}
	got := v.find(key)
	cell := Cell{State: stateOf(want, got)}
	if got != nil {
		cell.Value = clipValue(got.value)
		if section == "packages" && cell.State == Different && want != nil && col.manager == ref.manager {
			cell.Order = orderOf(col.manager, got.value, want.value)
		}
	}
	return cell
}

// unreadRow is the row of a section that some columns could not read, while others could.
func (c *Comparison) unreadRow(columns, of []*column, ref *column, section, tier string) (Row, bool) {
	row := Row{Kind: Skew, Section: section, Key: "*", Machines: ref.Kind, Tier: tier, Severity: Info, Cells: make([]Cell, len(columns))}
	any := false
	for _, col := range of {
		cell := Cell{State: Same}
		v := col.views[section]
		switch {
		case col.Unreachable:
			cell.State = Unreachable
		case v != nil && v.unknown != "":
			any = true
			cell.State, cell.Value = Unknown, clipValue(v.unknown)
		case v == nil && !col.collects(section) && !incomparable(ref, col, section, ""):
			any = true
			c.gaps[gap{col.index, section}] = col.Count
			cell.State, cell.Value = Unknown, "another collector, or an older snapshot"
		}
		row.Cells[col.index] = cell
	}
	row.Fix = "let the machines be read in full: `evenkeel facts --print-sudoers` prints what has to be permitted"
	return row, any
}

const maxValue = 512 // bytes of a value in a report

// clipValue bounds what a machine said. Two texts that differ stay different, since waivers are pinned to what is left: a digest stands for the rest.
func clipValue(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if len(value) <= maxValue {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return strings.ToValidUTF8(value[:maxValue], "") + fmt.Sprintf("... (%d bytes, %s%x)", len(value), digestWord, sum[:8])
}

// details are the difference of one key in words, and where it comes from, as far as the machines know.
func details(section, key string, want, got *fact, ref, col *column) (diff, why string) {
	if want != nil && got != nil {
		diff = diffOf(section, key, want, got, ref.Tier+" "+ref.Variant, col.Tier+" "+col.Variant)
	}
	switch {
	case got != nil && got.since != "":
		why = fmt.Sprintf("so on %s %s since %s", col.Tier, Fold(col.Machines), clipValue(got.since))
	case want != nil && got == nil && want.since != "":
		why = fmt.Sprintf("there on %s %s since %s", ref.Tier, Fold(ref.Machines), clipValue(want.since))
	}
	return diff, why
}
