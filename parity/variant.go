// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"strings"
)

// column is a variant with what its machines share.
type column struct {
	Column
	views      map[string]*view
	members    []*machine // sorted by name
	image      string     // key
	hostKernel bool
	manager    Manager
	index      int
}

// collects reports whether the column's machines were asked for a section, which all of them were or none; an empty section has no view.
func (col *column) collects(section string) bool { return col.members[0].asked[section] }

// signatureOf is equal for machines that are one variant: the same image, kernel of its own or not, and equal views.
func signatureOf(m *machine) digest {
	h := sha256.New()
	h.Write([]byte(m.subject.ImageKey + "\x00" + word(m.subject.HostKernel, "host's kernel") + "\x00" + string(m.manager) + "\x00" + word(m.firstBoot, "first boot") + "\x00"))
	for _, v := range m.views {
		h.Write(v.id[:])
	}
	return digest(h.Sum(nil))
}

// columns are the variants: the baseline's first, then by tier as in the policy, by kind, by size; those that were not read stand last in their kind.
func (c *Comparison) columns(baseline string) []*column {
	type group struct {
		tier, kind, why string
		unasked         string // sections that others have facts of and these machines were not asked for: not the same as having none
		signature       digest
	}
	groups := map[group]*column{}
	sections := c.sections()
	for _, m := range c.machines {
		g := group{tier: m.id.tier, kind: m.kind, why: m.unreachable, signature: m.signature}
		for _, name := range sections {
			if m.unreachable == "" && !m.asked[name] {
				g.unasked += name + "\x00"
			}
		}
		col := groups[g]
		if col == nil {
			col = &column{
				Column: Column{Tier: m.id.tier, Kind: m.kind, Unreachable: m.unreachable != "", Why: m.unreachable},
				image:  m.subject.ImageKey, hostKernel: m.subject.HostKernel, manager: m.manager, views: map[string]*view{},
			}
			for _, v := range m.views {
				col.views[v.name] = v
			}
			groups[g] = col
		}
		col.members = append(col.members, m)
	}
	var all []*column
	for _, col := range groups {
		slices.SortFunc(col.members, func(a, b *machine) int {
			return cmp.Or(compareNames(a.id.name, b.id.name), strings.Compare(a.id.env, b.id.env), strings.Compare(a.id.project, b.id.project))
		})
		for _, m := range col.members {
			col.Machines = append(col.Machines, m.id.name)
		}
		col.Count = len(col.members)
		col.AgeDays = c.oldest(col.members)
		all = append(all, col)
	}
	slices.SortFunc(all, func(a, b *column) int {
		return cmp.Or(
			cmp.Compare(c.place(a.Tier, baseline), c.place(b.Tier, baseline)), strings.Compare(a.Tier, b.Tier), strings.Compare(a.Kind, b.Kind),
			cmp.Compare(truth(a.Unreachable), truth(b.Unreachable)), cmp.Compare(b.Count, a.Count), compareNames(a.Machines[0], b.Machines[0]),
			strings.Compare(a.members[0].id.env, b.members[0].id.env), strings.Compare(a.members[0].id.project, b.members[0].id.project), strings.Compare(a.Why, b.Why))
	})
	letter := 0
	for i, col := range all {
		col.index = i
		if i == 0 || all[i-1].Tier != col.Tier || all[i-1].Kind != col.Kind {
			letter = 0
		}
		if !col.Unreachable {
			col.Variant = letters(letter)
			letter++
		}
	}
	return all
}

// sections are those of which any machine has facts, sorted.
func (c *Comparison) sections() []string {
	names := map[string]bool{}
	for _, m := range c.machines {
		for _, v := range m.views {
			names[v.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// oldest is the age of the oldest machine in days, 0 where no machine's is known.
func (c *Comparison) oldest(machines []*machine) (days float64) {
	for _, m := range machines {
		if a := c.since(m, m.age.created); a.why == "" {
			days = max(days, math.Round(a.span.Hours()/24*100)/100)
		}
	}
	return days
}

// place is where a tier stands among the columns.
func (c *Comparison) place(tier, baseline string) int {
	if tier == baseline {
		return -1
	}
	if i := slices.IndexFunc(c.policy.Tiers, func(t TierPolicy) bool { return t.Name == tier }); i >= 0 {
		return i
	}
	return len(c.policy.Tiers)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// letters counts A, B, ..., Z, AA, AB, ...
func letters(n int) string {
	text := ""
	for n++; n > 0; n = (n - 1) / 26 {
		text = string(rune('A'+(n-1)%26)) + text
	}
	return text
}

// compareNames puts web-2 before web-10.
func compareNames(a, b string) int {
	sa, na := splitNumber(a)
	sb, nb := splitNumber(b)
	na, nb = strings.TrimLeft(na, "0"), strings.TrimLeft(nb, "0")
	return cmp.Or(strings.Compare(sa, sb), cmp.Compare(len(na), len(nb)), strings.Compare(na, nb), strings.Compare(a, b))
}

func kindsOf(columns []*column) []string {
	var kinds []string
	for _, col := range columns {
		kinds = append(kinds, col.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// ofKind are the columns of one kind, in their order.
func ofKind(columns []*column, kind string) []*column {
	var of []*column
	for _, col := range columns {
		if col.Kind == kind {
			of = append(of, col)
		}
	}
	return of
}
