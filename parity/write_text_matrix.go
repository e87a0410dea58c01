// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"fmt"
	"strings"
)

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
	least := make([]int, len(b.sets))
	for n := range b.sets {
		head := min(columnsOf(b.head(t.r, n, t.times)), textMaxHead)
		least[n] = max(textLeastCell, head)
		m.cells[n] = max(textMinCell, head)
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
			if w > least[n] && (widest < 0 || w > m.cells[widest]) {
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

// rowKey is what a row is about: its section, where its severity does not say it already, and its key.
func rowKey(row *Row) string {
	if row.Section == string(row.Severity) {
		return inertLine(row.Key, keyBytes)
	}
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

// cut says in full what differs and found no room in the matrix.
func (t *textWriter) cut(b *block, row *Row, m layout) {
	for n := range b.sets {
		if c := b.cell(row, n); c.State != Same && columnsOf(t.cell(row, b, n)) > m.cells[n] {
			t.wrapped("    "+b.head(t.r, n, t.times)+": ", "", t.cell(row, b, n))
		}
	}
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
		t.cut(b, row, m)
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
			value := cmp.Or(t.value(row, c), glyphWords(c))
			head := glyph(c, t.o.ASCII) + " " + fitMiddle(value, max(12, t.width/2-10), t.dots)
			t.wrapped("      "+head+"  ", styleDim, setName(t.r, b.all, set, t.times))
		}
		t.diff(row)
		t.advice(b, at)
	}
}

// columnsText names columns: few by their machines, many in few words.
func (t *textWriter) columnsText(columns []int) string {
	if len(columns) > textNames {
		return cmp.Or(setName(t.r, allColumns(t.r), columns, t.times), counted(len(columns), "variant"))
	}
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
	same := func(o *Row) bool { return sameAdvice(o, row) && o.Why == row.Why }
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
	if ref := inertLine(shortDigests(shouldBe(row)), valueBytes); row.Missing > 0 {
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
