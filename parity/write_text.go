// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Sizes of the text, in columns of the terminal.
const (
	textWidth     = 100
	textMinCell   = 6
	textMaxCell   = 48
	textMaxHead   = 28
	textLeastCell = 18 // narrower, versions cannot be told apart
	textMaxKey    = 44
	textGap       = 2
	textDiff      = 8 // lines of a row's difference that are shown
	textNotes     = 100
	textNames     = 3   // columns with up to so many machines are named by them
	textFolded    = 400 // bytes of folded names
)

// The escape sequences a report may contain; none comes from a machine.
const (
	styleBold   = "\x1b[1m"
	styleRed    = "\x1b[1;31m"
	styleYellow = "\x1b[33m"
	styleGreen  = "\x1b[32m"
	styleDim    = "\x1b[2m"
	styleOff    = "\x1b[0m"
)

type textWriter struct {
	*bufio.Writer
	r      *Report
	o      WriteOptions
	width  int
	times  string
	dots   string
	arrow  string
	budget int // rows still to be shown; -1: all
}

func writeText(w io.Writer, r *Report, o WriteOptions) error {
	t := &textWriter{Writer: bufio.NewWriter(w), r: r, o: o, width: o.Width, times: "×", dots: "…", arrow: "→", budget: -1}
	if t.width <= 0 {
		t.width = textWidth
	}
	t.width = max(t.width, 40)
	if o.ASCII {
		t.times, t.dots, t.arrow = "x", "..", "->"
	}
	if o.Rows > 0 {
		t.budget = o.Rows
	}
	s := summarize(r)
	t.head(s)
	left := 0
	for _, b := range blocks(r, isFinding) {
		left += t.block(b)
	}
	if left > 0 {
		t.line("")
		more := counted(left, "more row")
		if o.Link != "" {
			more += ", all in " + inertLine(o.Link, keyBytes)
		}
		t.line(t.paint(styleBold, t.dots+" "+more))
	}
	t.quiet()
	t.unreachable()
	t.notes()
	if s.findings > 0 {
		t.legend()
	}
	t.line("")
	t.wrapped("", styleDim, selfReported)
	return t.Flush()
}

func (t *textWriter) paint(style, s string) string {
	if !t.o.Color || s == "" || style == "" {
		return s
	}
	return style + s + styleOff
}

func (t *textWriter) line(s string) {
	if t.o.ASCII {
		s = asciiOnly(s)
	}
	_, _ = t.WriteString(strings.TrimRight(s, " ") + "\n")
}

// wrapped prints prose after a lead; following lines stand under the first's text. A lead that takes half of the width gets lines of its own.
func (t *textWriter) wrapped(lead, style, s string) {
	if columnsOf(lead) > t.width/2 {
		text := strings.TrimLeft(lead, " ")
		margin := lead[:len(lead)-len(text)]
		for _, l := range wrapWords(text, t.width-len(margin)) {
			t.line(margin + l)
		}
		lead = margin + "  "
	}
	indent := strings.Repeat(" ", columnsOf(lead))
	for i, l := range wrapWords(s, t.width-columnsOf(lead)) {
		if i > 0 {
			lead = indent
		}
		t.line(lead + t.paint(style, l))
	}
}

func (t *textWriter) head(s summary) {
	style := styleRed
	switch {
	case s.clean(t.r):
		style = styleGreen
	case s.findings == 0:
		style = styleYellow
	}
	for i, l := range s.verdict(t.r) {
		if i > 0 {
			style = ""
		}
		t.wrapped("", style, l)
	}
}

// block prints the findings of one kind of machine and returns how many rows were left out.
func (t *textWriter) block(b *block) int {
	parts := []*block{b}
	if _, fits := t.layout(b); !fits {
		parts = b.parts(t.r, 0)
	}
	left := 0
	for _, p := range parts {
		all := len(p.rows)
		if t.budget >= 0 {
			p.rows = p.rows[:min(all, t.budget)]
			t.budget -= len(p.rows)
		}
		left += all - len(p.rows)
		if len(p.rows) == 0 {
			continue
		}
		t.line("")
		for i, l := range wrapWords(p.title(t.r, t.times)+" ("+counted(all, "row")+")", t.width-2) {
			if i > 0 {
				l = "  " + l
			}
			t.line(t.paint(styleBold, l))
		}
		if m, fits := t.layout(p); fits {
			t.matrix(p, m)
		} else {
			t.list(p)
		}
	}
	return left
}

// quiet lists in one line each what is no finding, and why not. Kinds of machines of which the same is to be said share it.
func (t *textWriter) quiet() {
	order, lines := []string{}, map[string]*quietLine{}
	for i := range t.r.Rows {
		row := &t.r.Rows[i]
		if row.Counts {
			continue
		}
		key, groups := t.quietKey(row)
		l := lines[key]
		if l == nil {
			l = &quietLine{row: row, groups: groups}
			lines[key] = l
			order = append(order, key)
		} else {
			for n := range groups {
				l.groups[n].columns = slices.Sorted(slices.Values(append(l.groups[n].columns, groups[n].columns...)))
			}
		}
		l.machines = append(l.machines, inertLine(row.Machines, keyBytes))
	}
	for n, key := range order {
		switch {
		case n == 0:
			t.line("")
			t.wrapped("", styleBold, "No findings: waived, expected, or not to be judged")
		case t.o.Rows > 0 && n == t.o.Rows:
			t.line("  " + t.dots + " " + counted(len(order)-n, "more row"))
			return
		}
		t.wrapped("  ", "", t.quietText(lines[key]))
	}
}

// quietLine is rows that differ in their machines only, with the first of them.
type quietLine struct {
	row      *Row
	machines []string
	groups   []group // cells that are not the same
}

// quietKey is equal for rows of which the same is to be said.
func (t *textWriter) quietKey(row *Row) (string, []group) {
	groups := slices.DeleteFunc(groupCells(row, allColumns(t.r)), func(g group) bool { return g.cell.State == Same })
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.cell.State, b.cell.State), cmp.Compare(a.cell.Value, b.cell.Value), cmp.Compare(a.cell.Order, b.cell.Order))
	})
	key := fmt.Sprintf("%q %q %q %q", row.Section, row.Key, row.Waiver, row.Why)
	for _, g := range groups {
		key += fmt.Sprintf(" %q", []any{g.cell.State, g.cell.Value, g.cell.Order})
	}
	return key, groups
}

func (t *textWriter) quietText(l *quietLine) string {
	var parts []string
	for _, g := range l.groups {
		part := glyph(g.cell, t.o.ASCII) + " "
		if g.cell.Value != "" {
			part += inertLine(shortDigests(g.cell.Value), valueBytes) + " on "
		}
		parts = append(parts, part+t.columnsText(g.columns))
	}
	slices.Sort(l.machines)
	text := strings.Join(slices.Compact(l.machines), ",") + " " + rowKey(l.row) + ": " + strings.Join(parts, "; ")
	if l.row.Waiver != "" {
		text += "; waiver " + inertLine(l.row.Waiver, keyBytes)
	}
	if l.row.Why != "" {
		text += " (" + inertLine(l.row.Why, noteBytes) + ")"
	}
	return text
}

func allColumns(r *Report) []int {
	all := make([]int, len(r.Columns))
	for i := range all {
		all[i] = i
	}
	return all
}

func (t *textWriter) unreachable() {
	first := true
	for i := range t.r.Columns {
		c := &t.r.Columns[i]
		if !c.Unreachable {
			continue
		}
		if first {
			t.line("")
			t.line(t.paint(styleBold, "Not read"))
			first = false
		}
		text := inertLine(Fold(c.Machines), noteBytes)
		if c.Why != "" {
			text += ": " + inertLine(c.Why, noteBytes)
		}
		t.wrapped("  "+inertLine(c.Tier, 80)+" ", "", text)
	}
}

func (t *textWriter) notes() {
	if len(t.r.Notes) == 0 {
		return
	}
	t.line("")
	for i, n := range t.r.Notes {
		if i == textNotes {
			t.line(t.dots + " " + counted(len(t.r.Notes)-i, "more note"))
			return
		}
		t.wrapped("note: ", "", inertLine(n, noteBytes))
	}
}

func (t *textWriter) legend() {
	var parts []string
	for _, c := range legendCells() {
		parts = append(parts, glyph(c, t.o.ASCII)+" "+glyphWords(c))
	}
	t.line("")
	t.wrapped("", styleDim, strings.Join(parts, "  "))
}

// legendCells are one cell of each sign, in the order a legend names them.
func legendCells() []Cell {
	return []Cell{{State: Same}, {State: Different}, {State: Different, Order: 1}, {State: Different, Order: -1}, {State: Absent}, {State: Unknown},
		{State: Expected}, {State: Waived}, {State: Unreachable}}
}

func severityStyle(s Severity) string {
	switch s {
	case Security:
		return styleRed
	case Packages, Config:
		return styleYellow
	}
	return styleDim
}

func cellStyle(c Cell) string {
	switch c.State {
	case Different, Absent:
		return styleBold
	case Unknown, Unreachable:
		return styleYellow
	}
	return styleDim
}
