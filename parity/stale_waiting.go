// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"
	"strings"
)

// waiting are machines that say they wait for a reboot, or for security updates that their own lists know of. Machines of our images are judged by their
// lock instead (pending): their lists are empty.
func (c *Comparison) waiting(columns, of []*column) []Row {
	row := func(section, key, want, fix string, is func(*machine) (why, unknown string)) Row {
		r := Row{Kind: Stale, Section: section, Key: key, Machines: of[0].Kind, Tier: of[0].Tier, Reference: want, Cells: make([]Cell, len(columns)), Fix: fix}
		for _, col := range of {
			var waits, unknown judged
			for _, m := range col.members {
				switch why, unsure := is(m); {
				case why != "":
					waits.add(m, why)
				case unsure != "":
					unknown.add(m, unsure)
				}
			}
			r.Cells[col.index] = cellOf(col, waits.byWhy(col), unknown.byWhy(col))
		}
		return r
	}
	fix := "reboot them, one after the other"
	if !c.policy.readOnly(of[0].Tier) {
		fix += ", or `evenkeel rebuild --stale`"
	}
	reboot := row("os", "reboot", "none pending", fix, func(m *machine) (string, string) { return m.upkeep.reboot, m.upkeep.unsure })
	updates := row("updates", "own lists", "none pending", "install them, or rebuild from an image that has them", func(m *machine) (string, string) {
		if n := m.upkeep.pending; n > 0 {
			return counted(n, "security update") + ": " + strings.Join(m.upkeep.updates, ", "), ""
		}
		if m.subject.ImageKey != "" {
			return "", ""
		}
		return "", m.upkeep.unknown
	})
	return telling(reboot, updates)
}

func addOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
