// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Sizes of the text, in columns of the terminal.
const (
	textWidth     = 100
	textMinCell   = 6
	textMaxCell   = 28
	textLeastCell = 18 // narrower, versions cannot be told apart
	textMaxKey    = 44
	textGap       = 2
	textDiff      = 8   // lines of a row's difference that are shown
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

func (t *textWriter) line(s string) { _, _ = t.WriteString(strings.TrimRight(s, " ") + "\n") }

// wrapped prints prose under an indent; following lines stand under the first's text.
func (t *textWriter) wrapped(lead, style, s string) {
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
		if t.o.ASCII {
			l = strings.ReplaceAll(l, "…", "..")
		}
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

// layout is the widths of a matrix: severity, key, columns.
type layout struct {
	severity, key int
	cells         []int
}

// layout says how wide the matrix's columns get, and whether it fits at all.
func (t *textWriter) layout(b *block) (layout, bool) {
	m := layout{cells: make([]int, len(b.sets))}
	for _, row := range b.rows {
		m.severity = max(m.severity, columnsOf(inertLine(string(row.Severity), 20)))
		m.key = max(m.key, columnsOf(rowKey(row)))
	}
	m.key = min(m.key, textMaxKey)
	for n := range b.sets {
		head := b.head(t.r, n, t.times)
		m.cells[n] = min(max(textMinCell, columnsOf(head)), textMaxCell)
		for _, row := range b.rows {
			m.cells[n] = max(m.cells[n], min(columnsOf(t.cell(row, b, n)), textMaxCell))
		}
	}
	over := m.total() - t.width
	// First the key gives way, then the widest cells, down to what can still be told apart.
	if over > 0 {
		give := min(over, max(0, m.key-24))
		m.key, over = m.key-give, over-give
	}
	for over > 0 {
		widest := -1
		for n, w := range m.cells {
			head := columnsOf(b.head(t.r, n, t.times))
			if w > max(textLeastCell, min(head, textMaxCell)) && (widest < 0 || w > m.cells[widest]) {
				widest = n
			}
		}
		if widest < 0 {
			return m, false
		}
		m.cells[widest]--
		over--
	}
	return m, true
}

func (m layout) total() int {
	n := 2 + m.severity + textGap + m.key
	for _, w := range m.cells {
		n += textGap + w
	}
	return n
}

// rowKey is what a row is about: its section and its key.
func rowKey(row *Row) string {
	return strings.TrimSpace(inertLine(row.Section, keyBytes) + " " + inertLine(row.Key, keyBytes))
}

// cell is what stands in the matrix: the sign, and the value where it is not the one that stands further left.
func (t *textWriter) cell(row *Row, b *block, n int) string {
	c := b.cell(row, n)
	if c.State == "" {
		return ""
	}
	value := t.value(row, c)
	if c.State == Same {
		for i := range n {
			if o := b.cell(row, i); o.State == Same && o.Value == c.Value {
				value = ""
				break
			}
		}
	}
	return strings.TrimSpace(glyph(c, t.o.ASCII) + " " + value)
}

func (t *textWriter) value(row *Row, c Cell) string {
	text := cellText(row, c)
	if t.o.ASCII && text == "∅" {
		return "-"
	}
	return text
}

func (t *textWriter) matrix(b *block, m layout) {
	gap := strings.Repeat(" ", textGap)
	line := "  " + padTo("", m.severity) + gap + padTo("", m.key)
	for n := range b.sets {
		line += gap + padTo(fitMiddle(b.head(t.r, n, t.times), m.cells[n], t.dots), m.cells[n])
	}
	t.line(t.paint(styleBold, strings.TrimRight(line, " ")))
	for at, row := range b.rows {
		line := "  " + t.paint(severityStyle(row.Severity), padTo(inertLine(string(row.Severity), 20), m.severity)) + gap +
			padTo(fitMiddle(rowKey(row), m.key, t.dots), m.key)
		for n := range b.sets {
			text := padTo(fitMiddle(t.cell(row, b, n), m.cells[n], t.dots), m.cells[n])
			line += gap + t.paint(cellStyle(b.cell(row, n)), text)
		}
		t.line(line)
		t.diff(row)
		t.advice(b, at)
	}
	t.names(b)
}

// list is for more columns than the terminal is wide: each row with its values, and under each value who has it.
func (t *textWriter) list(b *block) {
	for at, row := range b.rows {
		t.line("  " + t.paint(severityStyle(row.Severity), inertLine(string(row.Severity), 20)) + "  " +
			fitMiddle(rowKey(row), max(20, t.width-14), t.dots))
		for n, set := range b.sets {
			c := b.cell(row, n)
			if c.State == "" {
				continue
			}
			value := orWord(t.value(row, c), glyphWords(c))
			head := glyph(c, t.o.ASCII) + " " + fitMiddle(value, max(12, t.width/2-10), t.dots)
			t.wrapped("      "+head+"  ", styleDim, setName(t.r, b.all, set, t.times))
		}
		t.diff(row)
		t.advice(b, at)
	}
}

// columnsText names columns, those of few machines by the machines.
func (t *textWriter) columnsText(columns []int) string {
	var parts []string
	for _, i := range columns {
		c := &t.r.Columns[i]
		name := columnName(c, t.times)
		if n := len(c.Machines); n > 0 && n <= textNames {
			name += " (" + inertLine(Fold(c.Machines), 120) + ")"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

// diff shows the first lines of what a row differs in.
func (t *textWriter) diff(row *Row) {
	text := strings.TrimRight(inertBlock(row.Diff, diffBytes), "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	for _, l := range lines[:min(len(lines), textDiff)] {
		style := styleDim
		switch diffClass(l) {
		case "ins":
			style = styleGreen
		case "del":
			style = styleRed
		}
		l = strings.ReplaceAll(l, "\t", "    ")
		t.line("    | " + t.paint(style, fitMiddle(l, t.width-6, t.dots)))
	}
	if n := len(lines) - textDiff; n > 0 {
		t.line(t.paint(styleDim, "    | "+t.dots+" "+counted(n, "more line")))
	}
}

// advice says under a row why it is so and what to do; rows in a sequence that have the same advice get it once, under the last.
func (t *textWriter) advice(b *block, at int) {
	row := b.rows[at]
	same := func(o *Row) bool {
		return o.Fix == row.Fix && o.Why == row.Why && o.Kind == row.Kind && shouldBe(o) == shouldBe(row)
	}
	if at+1 < len(b.rows) && same(b.rows[at+1]) {
		return
	}
	n := 1
	for at-n >= 0 && same(b.rows[at-n]) {
		n++
	}
	text := inertLine(row.Fix, noteBytes)
	if why := inertLine(row.Why, noteBytes); why != "" {
		text += " (" + why + ")"
	}
	lead := fmt.Sprintf("    %s ", t.arrow)
	if n > 1 {
		lead = fmt.Sprintf("    %s all %s: ", t.arrow, grouped(n))
	}
	if ref := inertLine(shouldBe(row), valueBytes); row.Missing > 0 {
		text = "missing " + ref + ": " + text
	} else if ref != "" {
		text = "should be " + ref + ": " + text
	}
	t.wrapped(lead, "", inertLine(string(row.Kind), 20)+": "+text)
}

// names says which machines stand behind a matrix' columns. Of a block that was split only those are named that differ.
func (t *textWriter) names(b *block) {
	for n, set := range b.sets {
		if b.split && b.cell(b.rows[0], n).State == Same {
			continue
		}
		if len(set) == 1 && t.r.Columns[set[0]].Unreachable {
			continue
		}
		if text := foldedIn(t.r, set); text != "" {
			t.wrapped("    "+b.head(t.r, n, t.times)+": ", styleDim, text)
		}
	}
}

// quiet lists in one line each what is no finding, and why not.
func (t *textWriter) quiet() {
	first := true
	shown := 0
	for i := range t.r.Rows {
		row := &t.r.Rows[i]
		if row.Counts {
			continue
		}
		if t.o.Rows > 0 && shown == t.o.Rows {
			t.line("  " + t.dots + " and more")
			return
		}
		if first {
			t.line("")
			t.line(t.paint(styleBold, "No findings"))
			first = false
		}
		shown++
		var parts []string
		for _, g := range groupCells(row, allColumns(t.r)) {
			if g.cell.State != Same {
				parts = append(parts, strings.TrimSpace(glyph(g.cell, t.o.ASCII)+" "+inertLine(g.cell.Value, valueBytes))+" "+t.columnsText(g.columns))
			}
		}
		text := inertLine(row.Machines, keyBytes) + " " + rowKey(row) + ": " + strings.Join(parts, "; ")
		if row.Waiver != "" {
			text += "; waiver " + inertLine(row.Waiver, keyBytes)
		}
		if row.Why != "" {
			text += " (" + inertLine(row.Why, noteBytes) + ")"
		}
		t.wrapped("  ", "", text)
	}
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
	for _, n := range t.r.Notes {
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
