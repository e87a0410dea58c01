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
			rows = append(rows, c.waiting(columns, of)...)
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
				old.addAge(m, created)
			case created.why != "" && running.why == "" && running.span > limit:
				old.addAge(m, age{span: running.span, source: "up for so long, so no younger"})
			case created.why != "":
				unknown.add(m, created.why)
			}
			if running.why == "" && running.span > limit {
				up.addAge(m, running)
			}
		}
		instance.Cells[col.index] = cellOf(col, old.byAge(col), unknown.byWhy(col))
		c.gaps[gap{col.index, "age"}] = truth(!col.Unreachable) * len(unknown.names) // a limit was set, and is not known to be kept
		uptime.Cells[col.index] = cellOf(col, up.byAge(col), "")
		c.imageAge(col, limit)
	}
	fix := fmt.Sprintf("`evenkeel rebuild --stale --tier %s`", of[0].Tier)
	if c.policy.readOnly(of[0].Tier) {
		fix = "make them anew, by what made them"
	}
	instance.Fix, uptime.Fix = fix, fix+"; a reboot resets the uptime, not the age"
	return telling(instance, uptime)
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
	names  []string
	whys   []string // each once
	oldest age
}

func (j *judged) add(m *machine, why string) {
	j.names = append(j.names, m.id.name)
	j.whys = addOnce(j.whys, why)
}

func (j *judged) addAge(m *machine, a age) {
	j.add(m, a.source)
	if len(j.names) == 1 || a.span > j.oldest.span {
		j.oldest = a
	}
}

// byWhy says who they are and why; "" where there are none.
func (j *judged) byWhy(col *column) string {
	if len(j.names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d: %s: %s", len(j.names), col.Count, Fold(j.names), strings.Join(j.whys, "; "))
}

// byAge says who they are and how old the oldest is; "" where there are none.
func (j *judged) byAge(col *column) string {
	if len(j.names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d: %s, oldest %s (%s)", len(j.names), col.Count, Fold(j.names), days(j.oldest.span), j.oldest.source)
}

// cellOf is a column's cell by who is over a limit and of whom that is not known, as byWhy and byAge say it.
func cellOf(col *column, over, unknown string) Cell {
	switch {
	case over != "":
		return Cell{State: Different, Value: clipValue(over)}
	case unknown != "":
		return Cell{State: Unknown, Value: clipValue(unknown)}
	case col.Unreachable:
		return Cell{State: Unreachable}
	}
	return Cell{State: Same}
}

// telling are the rows that say more than that all is well.
func telling(rows ...Row) []Row {
	return slices.DeleteFunc(rows, func(row Row) bool { return !hasState(&row, Different) && !hasState(&row, Unknown) })
}

// imageAge says where even a machine made today would be old.
func (c *Comparison) imageAge(col *column, limit time.Duration) {
	m := c.manifest(col.image)
	if m == nil || m.Time.IsZero() {
		return
	}
	if old := c.policy.At.Sub(m.Time); old > limit {
		c.note("%s: the image of %s is %s old (its lock is of %s); a rebuild does not make it younger, `evenkeel image lock --update` does",
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
					Fix: fmt.Sprintf("`evenkeel image lock --update`, then `evenkeel rebuild %s --tier %s`", col.Kind, col.Tier),
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
