// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"maps"
	"slices"
)

// unreadItems says which single facts are unknown, by their section. Where all machines lack the same ones no row tells of them, and a report that is incomplete has to
// say what it lacks.
func (c *Comparison) unreadItems(columns []*column) {
	type unread struct {
		facts, machines int
		reasons         map[string]bool
	}
	sections := map[string]*unread{}
	for _, col := range columns {
		for name, v := range col.views {
			n := 0
			for i := range v.facts {
				f := &v.facts[i]
				if f.unknown == "" {
					continue
				}
				if sections[name] == nil {
					sections[name] = &unread{reasons: map[string]bool{}}
				}
				n++
				sections[name].reasons[f.unknown] = true
			}
			if n > 0 {
				sections[name].facts += n * col.Count
				sections[name].machines += col.Count
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		u := sections[name]
		reasons := slices.Sorted(maps.Keys(u.reasons))
		more := ""
		if n := len(reasons) - 1; n > 0 {
			more = fmt.Sprintf(" (and %s)", counted(n, "other reason"))
		}
		c.note("%s: %s on %s could not be read: %s%s", name, counted(u.facts, "fact"), counted(u.machines, "machine"), clipValue(reasons[0]), more)
	}
}
