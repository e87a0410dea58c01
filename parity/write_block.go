// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// block is rows about machines of one kind, with the columns that have something to say of them.
type block struct {
	machines string
	// sets are the columns as shown: each one of Report.Columns, or, in a block that was split, all that have equal cells in every row.
	sets  [][]int
	all   []int // every column that the kind's rows speak of
	rows  []*Row
	split bool
}

// blocks groups the rows that want keeps, by the kind of machines they are about; the kind with the worst row comes first.
func blocks(r *Report, want func(*Row) bool) []*block {
	var all []*block
	byKind := map[string]*block{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if !want(row) {
			continue
		}
		b := byKind[row.Machines]
		if b == nil {
			b = &block{machines: row.Machines}
			byKind[row.Machines] = b
			all = append(all, b)
		}
		b.rows = append(b.rows, row)
	}
	for _, b := range all {
		for i := range r.Columns {
			if slices.ContainsFunc(b.rows, func(row *Row) bool { return cellAt(row, i).State != "" }) {
				b.all = append(b.all, i)
				b.sets = append(b.sets, []int{i})
			}
		}
	}
	return all
}

// parts is the block itself where it has at most limit columns. Else it is a block for each way in which rows divide the columns: forty
// variants that differ from the baseline in three ways are three small tables, not one that nobody can read. Machines that were not read
// are in none of them, since they would be in all.
func (b *block) parts(r *Report, limit int) []*block {
	if len(b.sets) <= limit {
		return []*block{b}
	}
	var all []*block
	byPattern := map[string]*block{}
	for _, row := range b.rows {
		var sets [][]int
		at := map[Cell]int{}
		var pattern strings.Builder
		for _, i := range b.all {
			c := cellAt(row, i)
			if c.State == "" || r.Columns[i].Unreachable {
				pattern.WriteString("-,")
				continue
			}
			n, seen := at[c]
			if !seen {
				n = len(sets)
				at[c] = n
				sets = append(sets, nil)
			}
			sets[n] = append(sets[n], i)
			fmt.Fprintf(&pattern, "%d%t,", n, c.State == Same)
		}
		p := byPattern[pattern.String()]
		if p == nil {
			p = &block{machines: b.machines, sets: sets, all: b.all, split: true}
			byPattern[pattern.String()] = p
			all = append(all, p)
		}
		p.rows = append(p.rows, row)
	}
	return all
}

// cell is what a row has in the block's nth set.
func (b *block) cell(row *Row, n int) Cell { return cellAt(row, b.sets[n][0]) }

// title names the block's machines and, in a block that was split, those in which they differ.
func (b *block) title(r *Report, times string) string {
	title := cmp.Or(inertLine(b.machines, 120), "all machines")
	if !b.split {
		return title
	}
	var differ []int
	for n, set := range b.sets {
		if b.cell(b.rows[0], n).State != Same {
			differ = append(differ, set...)
		}
	}
	if len(differ) > 0 {
		title += ": " + setName(r, b.all, differ, times)
	}
	return title
}

// foldedIn names a set's machines in few words, by their tiers where they are of several.
func foldedIn(r *Report, set []int) string {
	by := map[string][]string{}
	var order []string
	for _, i := range set {
		c := &r.Columns[i]
		if by[c.Tier] == nil {
			order = append(order, c.Tier)
		}
		by[c.Tier] = append(by[c.Tier], c.Machines...)
	}
	var parts []string
	for _, tier := range order {
		text := Fold(by[tier])
		if len(order) > 1 {
			text = tier + " " + text
		}
		parts = append(parts, text)
	}
	return inertLine(strings.Join(parts, "; "), foldedBytes)
}

// namedRuns is how many runs of variants a name spells out.
const namedRuns = 6

// setName names columns in few words: production A ×147, dev B-D ×9, all of staging ×52.
func setName(r *Report, among, set []int, times string) string {
	var parts []string
	for _, tier := range tierOrder(r) {
		own, of, count := 0, 0, 0 // columns of the tier in the set, and in all; machines in the set
		first, last := "", ""
		var runs []string
		flush := func() {
			switch first {
			case "":
			case last:
				runs = append(runs, first)
			default:
				runs = append(runs, first+"-"+last)
			}
			first, last = "", ""
		}
		for _, i := range among {
			c := &r.Columns[i]
			if c.Tier != tier || c.Unreachable {
				continue
			}
			of++
			if !slices.Contains(set, i) {
				flush()
				continue
			}
			own++
			count += columnCount(c)
			last = inertLine(c.Variant, 20)
			if first == "" {
				first = last
			}
		}
		flush()
		name := inertLine(tier, 80)
		switch {
		case own == 0:
			continue
		case own == of && of > 1:
			name = "all of " + name
		default:
			if len(runs) > namedRuns {
				runs = append(runs[:namedRuns], "...")
			}
			name = strings.TrimSpace(name + " " + strings.Join(runs, ","))
		}
		parts = append(parts, name+" "+times+grouped(count))
	}
	if len(parts) == 0 && len(set) == 1 { // machines that were not read
		return columnName(&r.Columns[set[0]], times)
	}
	return strings.Join(parts, ", ")
}

// head is what stands over a set.
func (b *block) head(r *Report, n int, times string) string {
	if !b.split {
		return columnName(&r.Columns[b.sets[n][0]], times)
	}
	if b.cell(b.rows[0], n).State == Same && len(b.sets) > 1 {
		count := 0
		for _, i := range b.sets[n] {
			count += columnCount(&r.Columns[i])
		}
		return "others " + times + grouped(count)
	}
	return setName(r, b.all, b.sets[n], times)
}
