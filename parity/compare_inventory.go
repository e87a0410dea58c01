// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// inventory compares what is there with what is planned. A tier that could not be listed misses nothing and has nothing too many: that is not known.
func (c *Comparison) inventory(columns []*column) []Row {
	var rows []Row
	for i := range c.policy.Tiers {
		t := &c.policy.Tiers[i]
		for _, kind := range slices.Sorted(maps.Keys(t.External)) {
			c.note("%s: %s is external (%s) and left out", t.Name, kind, t.External[kind])
		}
		there := map[string]bool{}
		for id := range c.machines {
			if id.tier == t.Name && c.foreign(id) == "" {
				there[id.name] = true
			}
		}
		switch {
		case t.Unlisted != "":
			c.note("%s: its machines could not be listed from here: %s", t.Name, t.Unlisted)
			continue
		case len(there) == 0 && len(t.Planned) == 0:
			c.note("%s: it is empty: no machine is planned, none is there", t.Name)
		case len(there) == 0:
			c.note("%s: it is empty: no machine is there", t.Name)
		}
		if t.Planned != nil && len(there) > 0 {
			rows = append(rows, missing(t, there, len(columns))...)
			rows = append(rows, c.extra(t, columns)...)
		}
	}
	return append(rows, c.strangers(columns)...)
}

func missing(t *TierPolicy, there map[string]bool, columns int) []Row {
	byKind := map[string][]string{}
	for name, kind := range t.Planned {
		if !there[name] {
			byKind[kind] = append(byKind[kind], name)
		}
	}
	fix := fmt.Sprintf("`evenkeel up --tier %s` makes them", t.Name)
	if t.ReadOnly {
		fix = "name them in the tier's inventory, or plan fewer (count, tiers." + t.Name + ".machines)"
	}
	var rows []Row
	for kind, names := range byKind {
		// No column is theirs: Missing says it.
		rows = append(rows, Row{
			Kind: Inventory, Section: "machines", Key: "missing", Machines: kind, Tier: t.Name, Cells: make([]Cell, columns),
			Reference: clipValue(Fold(names)), Missing: len(names),
			Fix: fix,
		})
	}
	return rows
}

// extra are machines of ours that the definition does not plan.
func (c *Comparison) extra(t *TierPolicy, columns []*column) []Row {
	fix := "plan them (count, tiers." + t.Name + ".machines), or take them away: `evenkeel down NAME --tier " + t.Name + "`"
	if t.ReadOnly {
		fix = "plan them (count, tiers." + t.Name + ".machines), or leave them out (except, in the tier's config)"
	}
	return c.each(columns, "extra", func(m *machine) bool {
		_, planned := t.Planned[m.id.name]
		return m.id.tier == t.Name && !planned && c.foreign(m.id) == ""
	}, "the definition does not plan them", fix)
}

func (c *Comparison) foreign(id machineID) string {
	if c.policy.Project == "" || id.project == "" || id.project == c.policy.Project {
		return ""
	}
	return id.project
}

// strangers are machines of another project.
func (c *Comparison) strangers(columns []*column) []Row {
	return c.each(columns, "foreign", func(m *machine) bool { return c.foreign(m.id) != "" },
		"they bear another project's id", "nothing here touches them; their project's owner does")
}

// each makes a row for each tier and kind with machines of which it is true.
func (c *Comparison) each(columns []*column, key string, is func(*machine) bool, why, fix string) []Row {
	rows := map[string]*Row{}
	for _, col := range columns {
		var names []string
		for _, m := range col.members {
			if is(m) {
				names = append(names, m.id.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		at := col.Tier + "\x00" + col.Kind
		if rows[at] == nil {
			rows[at] = &Row{
				Kind: Inventory, Section: "machines", Key: key, Machines: col.Kind, Tier: col.Tier, Cells: make([]Cell, len(columns)), Why: why, Fix: fix,
			}
		}
		rows[at].Cells[col.index] = Cell{State: Different, Value: clipValue(Fold(names))}
	}
	var out []Row
	for _, at := range slices.SortedFunc(maps.Keys(rows), strings.Compare) {
		out = append(out, *rows[at])
	}
	return out
}
