// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// stale judges ages by their limits, and pending updates. A machine is too old when it is older than its limit: at the limit exactly it is not.
func (c *Comparison) stale(columns []*column) []Row {
	var rows []Row
	for _, tier := range tiersOf(columns) {
		for _, kind := range kindsOf(columns) {
			var of []*column
			for _, col := range columns {
				if col.Tier == tier && col.Kind == kind {
					of = append(of, col)
				}
			}
			if len(of) == 0 {
				continue
			}
			if limit := c.policy.tier(tier).limit(kind); limit > 0 {
				rows = append(rows, c.overAge(columns, of, limit)...)
			}
			rows = append(rows, c.pending(columns, of)...)
			rows = append(rows, waiting(columns, of)...)
		}
	}
	return rows
}

// overAge are a row for the instance's age and one for uptime.
func (c *Comparison) overAge(columns, of []*column, limit time.Duration) []Row {
	instance := Row{Kind: Stale, Section: "age", Key: "instance", Machines: of[0].Kind, Tier: of[0].Tier, Reference: "at most " + days(limit), Cells: make([]Cell, len(columns))}
	uptime := instance
	uptime.Key, uptime.Cells = "uptime", make([]Cell, len(columns))
	for _, col := range of {
		var old, up, unknown judged
		for _, m := range col.members {
			created, running := c.since(m, m.age.created), c.since(m, m.age.uptime)
			switch {
			case created.why == "" && created.span > limit:
				old.add(m, created)
			case created.why != "" && running.why == "" && running.span > limit:
				old.add(m, age{span: running.span, source: "up for so long, so no younger"})
			case created.why != "":
				unknown.add(m, created)
			}
			if running.why == "" && running.span > limit {
				up.add(m, running)
			}
		}
		instance.Cells[col.index] = cellOf(col, &old, &unknown)
		uptime.Cells[col.index] = cellOf(col, &up, &judged{})
		c.imageAge(col, limit)
	}
	fix := fmt.Sprintf("`env rebuild --stale --tier %s`", of[0].Tier)
	instance.Fix, uptime.Fix = fix, fix+"; a reboot resets the uptime, not the age"
	var rows []Row
	for _, row := range []Row{instance, uptime} {
		if slices.ContainsFunc(row.Cells, func(cell Cell) bool { return cell.State == Different || cell.State == Unknown }) {
			rows = append(rows, row)
		}
	}
	return rows
}

// since is an age as of when it is judged.
func (c *Comparison) since(m *machine, a age) age {
	if a.why == "" {
		a.span += max(c.policy.At.Sub(m.taken), 0)
	}
	return a
}

// judged are machines that share a verdict.
type judged struct {
	names   []string
	oldest  age
	sources []string
}

func (j *judged) add(m *machine, a age) {
	j.names = append(j.names, m.id.name)
	if len(j.names) == 1 || a.span > j.oldest.span {
		j.oldest = a
	}
	j.sources = addOnce(j.sources, firstOf(a.why, a.source))
}

func cellOf(col *column, over, unknown *judged) Cell {
	switch {
	case len(over.names) > 0:
		return Cell{State: Different, Value: clipValue(fmt.Sprintf("%d of %d: %s, oldest %s (%s)", len(over.names), col.Count, Fold(over.names), days(over.oldest.span), over.oldest.source))}
	case len(unknown.names) > 0:
		return Cell{State: Unknown, Value: clipValue(fmt.Sprintf("%d of %d: %s: %s", len(unknown.names), col.Count, Fold(unknown.names), strings.Join(unknown.sources, "; ")))}
	case col.Unreachable:
		return Cell{State: Unreachable}
	}
	return Cell{State: Same}
}

// imageAge says where even a machine made today would be old.
func (c *Comparison) imageAge(col *column, limit time.Duration) {
	m := c.manifest(col.image)
	if m == nil || m.Time.IsZero() {
		return
	}
	if old := c.policy.At.Sub(m.Time); old > limit {
		c.note("%s: the image of %s is %s old (its lock is of %s); a rebuild does not make it younger, `env image lock --update` does",
			col.Tier, col.Kind, days(old), m.Time.UTC().Format(time.DateOnly))
	}
}

// pending are security updates that the images of these machines lack.
func (c *Comparison) pending(columns, of []*column) []Row {
	rows := map[string]*Row{}
	var order []string
	for _, col := range of {
		for _, update := range c.policy.Pending[col.image] {
			name, version, _ := strings.Cut(update, " ")
			if rows[name] == nil {
				order = append(order, name)
				rows[name] = &Row{
					Kind: Stale, Section: "updates", Key: name, Machines: col.Kind, Tier: col.Tier, Reference: clipValue(version), Cells: make([]Cell, len(columns)),
					Why: "the archives have a security update that the image's lock has not",
					Fix: fmt.Sprintf("`env image lock --update`, then `env rebuild --tier %s`", col.Tier),
				}
			}
			rows[name].Cells[col.index] = Cell{State: Different, Order: -1}
		}
	}
	slices.Sort(order)
	var out []Row
	for _, name := range order {
		out = append(out, *rows[name])
	}
	return out
}
