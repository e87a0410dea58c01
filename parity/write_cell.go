// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// projectName is what a report's project is called.
func projectName(r *Report) string { return cmp.Or(r.Name, r.Project) }

// cellAt is a row's cell of a column; rows of foreign origin may have fewer.
func cellAt(row *Row, column int) Cell {
	if column < len(row.Cells) {
		return row.Cells[column]
	}
	return Cell{}
}

// shouldBe is a row's reference where none of its cells shows it: a limit, what a machine lacks, the image's value.
func shouldBe(row *Row) string {
	for _, c := range row.Cells {
		if c.State == Same && c.Value == row.Reference {
			return ""
		}
	}
	return row.Reference
}

// sameAdvice tells rows for which the same is to be done, so that it is said once.
func sameAdvice(a, b *Row) bool {
	return a.Fix == b.Fix && a.Kind == b.Kind && a.Waiver == b.Waiver && a.Missing == 0 && b.Missing == 0 && shouldBe(a) == shouldBe(b)
}

// lacking tells a row whose reference does not have the key: its equal cells are of absence.
func lacking(row *Row) bool {
	return row.Reference == "" && (row.Kind == Skew || row.Kind == Drift) &&
		slices.ContainsFunc(row.Cells, func(c Cell) bool { return c.State != Same && c.Value != "" })
}

// cellText is a cell's value as shown: what is the same because nobody has it is said to be.
func cellText(row *Row, c Cell) string {
	if c.State == Same && c.Value == "" && lacking(row) {
		return "∅"
	}
	return inertLine(shortDigests(c.Value), valueBytes)
}

const (
	digestHex = 64 // digits of a SHA-256
	shownHex  = 12 // of them people tell one from another, as they do commits
)

// shortDigests is a value as people read it: of "sha256:" and 64 digits the first ones. What programs read has it whole. A value may be a machine's longest: it is read once.
func shortDigests(value string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(value, digestWord)
		if !found {
			break
		}
		b.WriteString(before)
		b.WriteString(digestWord)
		head := after[:min(len(after), digestHex+1)]
		if len(head)-len(strings.TrimLeft(head, "0123456789abcdef")) == digestHex {
			b.WriteString(after[:shownHex])
			after = after[digestHex:]
		}
		value = after
	}
	if b.Len() == 0 {
		return value
	}
	return b.String() + value
}

func isFinding(row *Row) bool { return row.Counts }

// columnName is how a column is called: production A ×487.
func columnName(c *Column, times string) string {
	name := inertLine(c.Tier, 80)
	if c.Variant != "" {
		name += " " + inertLine(c.Variant, 20)
	}
	return fmt.Sprintf("%s %s%s", name, times, grouped(columnCount(c)))
}

func columnCount(c *Column) int {
	if c.Count > 0 {
		return c.Count
	}
	return len(c.Machines)
}

// group is the columns of a row that have one and the same cell.
type group struct {
	cell    Cell
	columns []int
}

// groupCells gathers a row's equal cells, in the order of columns.
func groupCells(row *Row, columns []int) []group {
	var all []group
	at := map[Cell]int{}
	for _, i := range columns {
		c := cellAt(row, i)
		if c.State == "" {
			continue
		}
		n, ok := at[c]
		if !ok {
			n = len(all)
			at[c] = n
			all = append(all, group{cell: c})
		}
		all[n].columns = append(all[n].columns, i)
	}
	return all
}

// glyph is the sign of a cell's state; the forms of ascii are for terminals that show nothing else.
func glyph(c Cell, ascii bool) string {
	full, plain := "", ""
	switch c.State {
	case Same:
		full, plain = "=", "="
	case Different:
		switch {
		case c.Order > 0:
			full, plain = "▲", "^"
		case c.Order < 0:
			full, plain = "▼", "v"
		default:
			full, plain = "≠", "#"
		}
	case Absent:
		full, plain = "∅", "-"
	case Unknown:
		full, plain = "?", "?"
	case Expected:
		full, plain = "~", "~"
	case Waived:
		full, plain = "W", "W"
	case Unreachable:
		full, plain = "!", "!"
	}
	if ascii {
		return plain
	}
	return full
}

// diffClass is what a line of a unified difference is: ins, del, at (its headings), or "".
func diffClass(line string) string {
	switch {
	case strings.HasPrefix(line, "@@"), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		return "at"
	case strings.HasPrefix(line, "+"):
		return "ins"
	case strings.HasPrefix(line, "-"):
		return "del"
	}
	return ""
}

// glyphWords says in words what a cell's glyph says.
func glyphWords(c Cell) string {
	switch {
	case c.State == Different && c.Order > 0:
		return "newer"
	case c.State == Different && c.Order < 0:
		return "older"
	}
	return string(c.State)
}
