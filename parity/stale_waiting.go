// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
	"strings"
)

// waiting are machines that say they wait for a reboot, or for security updates that their own lists know of. Machines of our images are judged by their
// lock instead (pending): their lists are empty.
func waiting(columns, of []*column) []Row {
	row := func(section, key, want, fix string, is func(*machine) (over, unknown string)) Row {
		r := Row{Kind: Stale, Section: section, Key: key, Machines: of[0].Kind, Tier: of[0].Tier, Reference: want, Cells: make([]Cell, len(columns)), Fix: fix}
		for _, col := range of {
			var names, unknowns, whys []string
			for _, m := range col.members {
				over, unknown := is(m)
				switch why := firstOf(over, unknown); {
				case over != "":
					names = append(names, m.id.name)
					whys = addOnce(whys, why)
				case unknown != "":
					unknowns = append(unknowns, m.id.name)
					whys = addOnce(whys, why)
				}
			}
			cell := Cell{State: Same}
			switch {
			case len(names) > 0:
				cell = Cell{State: Different, Value: clipValue(fmt.Sprintf("%d of %d: %s: %s", len(names), col.Count, Fold(names), strings.Join(whys, "; ")))}
			case len(unknowns) > 0:
				cell = Cell{State: Unknown, Value: clipValue(fmt.Sprintf("%d of %d: %s: %s", len(unknowns), col.Count, Fold(unknowns), strings.Join(whys, "; ")))}
			case col.Unreachable:
				cell.State = Unreachable
			}
			r.Cells[col.index] = cell
		}
		return r
	}
	reboot := row("os", "reboot", "none pending", "reboot them, one after the other, or `env rebuild --stale`", func(m *machine) (string, string) { return m.upkeep.reboot, "" })
	updates := row("updates", "own lists", "none pending", "install them, or rebuild from an image that has them", func(m *machine) (string, string) {
		if n := len(m.upkeep.updates); n > 0 {
			return plural(n, "security update") + ": " + strings.Join(m.upkeep.updates[:min(n, 10)], ", "), ""
		}
		if m.subject.ImageKey != "" {
			return "", ""
		}
		return "", m.upkeep.unknown
	})
	var rows []Row
	for _, r := range []Row{reboot, updates} {
		if slices.ContainsFunc(r.Cells, func(cell Cell) bool { return cell.State == Different || cell.State == Unknown }) {
			rows = append(rows, r)
		}
	}
	return rows
}

func addOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
